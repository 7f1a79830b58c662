# For development: applications submit as they would in production, nothing
# leaves the machine, and "waxwing capture list" and "waxwing capture show ID"
# show what would have been sent. With mode = "capture" the rest of the file can
# be that of production.

hostname = "mail.localhost.example"
mode     = "capture"

listener "submission" "dev" { address = "127.0.0.1:2587" }

auth "static" "dev" {
  user "dev" { password = "dev" } # reaches nothing but this machine
}

signer "dkim" "dev" { domains = ["example.com"] }

relay "mx" "internet" {}

pipeline "outgoing" {
  listeners = [listener.dev]
  auth      = [auth.dev]
  signers   = [signer.dev]
  unsigned  = "allow" # whatever a test sends from
  relay     = relay.internet
}
