# The error is in the secret, or on its line.
relay "smarthost" "ses" {
  address  = "a"
  password = "marker-literal" marker
  pasword  = "marker-literal" marker
  password "marker-literal"
  address = (1
}
