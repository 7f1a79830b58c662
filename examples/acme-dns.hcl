# Certificates by dns-01: no port has to be published for them, and several
# names, wildcards among them, are possible. The zone is changed by signed
# updates (RFC 2136) at a name server of one's own; "waxwing modules dns" lists
# the other ways.

hostname = "mail.example.com"

tls "acme" "letsencrypt" {
  email = "postmaster@example.com"
  dns   = dns.zone
}

dns "rfc2136" "zone" {
  server   = "10.0.0.53"
  key_name = "acme."
  key      = env("TSIG_KEY")
}

listener "submission" "people" {
  hostname = "smtp.example.com" # the name that programs are set up with: it gets a certificate too
}

listener "submissions" "people_tls" {
  hostname = "smtp.example.com"
}

auth "htpasswd" "staff" { file = "/etc/waxwing/users" }

# Machines log in with a certificate and have no password at all.
auth "client_cert" "machines" {
  ca_file = "/etc/waxwing/clients-ca.pem"
}

check "senders" "own" {
  allow = { "*" = ["{user}@example.com"] }
}

signer "dkim" "example" {
  domains = ["example.com"]
}

relay "mx" "internet" {}

pipeline "outgoing" {
  listeners = [listener.people, listener.people_tls]
  auth      = [auth.machines, auth.staff]
  checks    = [check.own]
  signers   = [signer.example]
  relay     = relay.internet
}
