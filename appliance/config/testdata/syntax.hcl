# Syntax errors, beside secrets.
relay "smarthost" "ses" {
  address  = "a
  password = "marker-literal"
}
