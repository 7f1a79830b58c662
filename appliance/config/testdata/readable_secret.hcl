# A secret that everybody can read is used all the same, with a warning.
relay "smarthost" "ses" {
  address  = "smtp.example.com"
  password = file("/run/secrets/open")
}
