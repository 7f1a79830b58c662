# The process starts and says what is missing.
relay "mx" "internet" {}
