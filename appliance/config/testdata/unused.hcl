# What no pipeline leads to does not run. tls.x belongs to a listener that is not used: one warning is enough.
listener "submission" "public" {}
listener "submission" "forgotten" { tls = tls.x }
tls "files" "x" {}
auth "static" "apps" {}
signer "dkim" "example" {}
check "senders" "own" {}
relay "mx" "internet" {}
pipeline "outgoing" {
  listeners = [listener.public]
  auth      = [auth.apps]
  signers   = [signer.example]
  relay     = relay.internet
}
