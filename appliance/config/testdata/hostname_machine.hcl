# The name of a container is no name for a mail server.
relay "mx" "internet" {}
