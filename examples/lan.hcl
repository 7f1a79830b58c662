# For printers, scanners and old programs that cannot log in: the machines of
# the network may send without AUTH, but only as addresses of our own, and
# nobody else may send at all.

hostname = "relay.example.com"

listener "submission" "lan" {
  address = ":2525"
  trusted = ["10.0.0.0/24", "192.168.7.20"]
}

check "senders" "own" {
  trusted = ["@example.com"] # who did not log in
}

signer "dkim" "example" { domains = ["example.com"] }

relay "mx" "internet" {}

pipeline "outgoing" {
  listeners = [listener.lan]
  checks    = [check.own]
  signers   = [signer.example]
  relay     = relay.internet
}

limits { max_connections_per_ip = 20 }
