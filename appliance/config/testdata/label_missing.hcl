# A type and no name: what to write has the type.
relay "mx" {}
