# Waxwing with the check of this directory. Try it:
#
#   APP_PASSWORD=secret go run . validate --config mail.hcl
#   go run . modules check

hostname = "mail.example.com"

listener "submission" "public" {}

auth "static" "apps" {
  user "app" { password = env("APP_PASSWORD") }
}

check "markings" "dlp" {
  words  = ["CONFIDENTIAL", "INTERNAL ONLY"]
  inside = ["example.com"]
}

relay "mx" "internet" {}

pipeline "outgoing" {
  listeners = [listener.public]
  auth      = [auth.apps]
  checks    = [check.dlp]
  relay     = relay.internet
}
