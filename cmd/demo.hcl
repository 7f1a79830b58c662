# The configuration of "waxwing demo". It is a whole one: what an application
# submits is signed, queued, and handed to a next hop. The next hop is a second
# pipeline of the same process, which keeps what it gets and shows it.

hostname = "mail.waxwing.example"

store "memory" "demo" {} # gone when the demo ends; the default is a disk

listener "submission" "apps" { # STARTTLS, then AUTH
  address = "127.0.0.1:2587"
}

tls "self_signed" "demo" {}

auth "static" "apps" {
  user "app" { password = env("WAXWING_DEMO_PASSWORD") }
}

check "senders" "own" { # who may send as whom
  allow = { app = ["@waxwing.example"] }
}

signer "dkim" "example" { # a key is made when the demo starts
  domains = ["waxwing.example"]
}

relay "smarthost" "next_hop" {
  address = "127.0.0.1:2525"
  tls     = "opportunistic"
}

pipeline "outgoing" {
  listeners = [listener.apps]
  auth      = [auth.apps]
  checks    = [check.own]
  signers   = [signer.example]
  relay     = relay.next_hop
}

# The next hop.

listener "smtp" "next_hop" {
  address = "127.0.0.1:2525"
  trusted = ["127.0.0.1"] # takes mail from this machine, for anybody
}

relay "capture" "inbox" {}

pipeline "next_hop" {
  listeners = [listener.next_hop]
  unsigned  = "allow" # it is signed already
  relay     = relay.inbox
}
