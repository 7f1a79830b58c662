# Everything that can be right about a file, without a word said.
hostname = env("MAIL_HOSTNAME", "mail.example.com")
log     { level = "info"  format = "json"  redact = ["address"] }
metrics { address = "127.0.0.1:9090" }
admin   { address = "127.0.0.1:9091"  token = env("ADMIN_TOKEN", "0123456789abcdef") }
limits  { max_message_size = "64MiB"  max_recipients = env("NUMBER_OF_RECIPIENTS", "200") }
queue {
  retry      = "1m, 1h*"
  lifetime   = "4d"
  warn_after = "0"
}

listener "submission" "public" { address = ":587" trusted = ["10.0.0.0/24"] }
tls "files" "own" {
  certificate = "/tls/fullchain.pem"
  key         = file("/run/secrets/password")
}
auth "static" "apps" {
  user "app" { password = env("PASSWORD") }
  user "other" {
    password = "marker-literal"
    groups   = ["a", "b"]
  }
}
check "senders" "own" {
  allow  = { app = ["@example.com"], "*" = ["{user}@example.com"] }
  names  = { a = "b" }
  size   = 1000
  score  = 1.5
  strict = true
  limit  = 1 + 2
  warmup { start = "50/day"  every = "3d" }
}
rewrite "aliases" "people" {}
signer "dkim" "example" { domains = ["example.com"] }
relay "smarthost" "ses" {
  address  = "smtp.example.net:${env("PORT", "587")}"
  fallback = relay.internet
  report   = signer.example
}
relay "mx" "internet" {}

pipeline "outgoing" {
  listeners = [listener.public]
  auth      = [auth.apps]
  checks    = [check.own]
  rewrites  = [rewrite.people]
  signers   = [signer.example]
  relay     = relay.internet

  route {
    when  = sender.domain == "news.example.com" || header("List-Id") != ""
    relay = relay.ses
  }
  route {
    when   = endswith(recipient.domain, ".invalid")
    reject = "550 5.1.2 No such domain"
  }
}
