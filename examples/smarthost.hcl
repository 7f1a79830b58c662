# Everything leaves through the server of a provider, which has the reputation
# and the open port 25. It is reached with TLS and a verified certificate; the
# password is never sent without.

hostname = "mail.example.com"

listener "submission" "apps" {}

auth "static" "apps" {
  user "app" { password = env("APP_PASSWORD") }
}

check "senders" "own" { allow = { app = ["@example.com"] } }

signer "dkim" "example" { domains = ["example.com"] }

relay "smarthost" "provider" {
  addresses = ["smtp.example.net:587", "smtp2.example.net:587"] # tried in this order
  username  = env("SMARTHOST_USER")
  password  = env("SMARTHOST_PASSWORD")
}

pipeline "outgoing" {
  listeners = [listener.apps]
  auth      = [auth.apps]
  checks    = [check.own]
  signers   = [signer.example]
  relay     = relay.provider
}
