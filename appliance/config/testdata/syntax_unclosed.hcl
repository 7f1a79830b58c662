# The string does not end, and what looks like one is the rest.
relay "smarthost" "ses" {
  password = marker-literal"
  address  = "a"
}
