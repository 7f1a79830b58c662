# Certificates that something else keeps fresh (certbot, a company CA, a
# Kubernetes secret): the files are read again when they change. Users come from
# a file that "htpasswd -B" writes, which is read again as well.

hostname = "mail.example.com"

tls "files" "own" {
  certificate = "/etc/letsencrypt/live/mail.example.com/fullchain.pem"
  key         = "/etc/letsencrypt/live/mail.example.com/privkey.pem"

  pair { # for clients that ask for the old name
    certificate = "/etc/letsencrypt/live/smtp.example.org/fullchain.pem"
    key         = "/etc/letsencrypt/live/smtp.example.org/privkey.pem"
  }
}

listener "submission" "people" {}      # :587, STARTTLS
listener "submissions" "people_tls" {} # :465, TLS from the start

auth "htpasswd" "staff" { file = "/etc/waxwing/users" }

check "senders" "own" {
  allow = { "*" = ["{user}@example.com"] } # everybody as themselves
}

signer "dkim" "example" {
  key "mail" { # the key that OpenDKIM used: its record stays
    domain = "example.com"
    file   = "/etc/opendkim/keys/example.com/mail.private"
  }
}

relay "mx" "internet" {}

pipeline "outgoing" {
  listeners = [listener.people, listener.people_tls]
  auth      = [auth.staff]
  checks    = [check.own]
  signers   = [signer.example]
  relay     = relay.internet
}
