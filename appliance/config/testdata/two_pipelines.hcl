# A listener has one pipeline.
listener "submission" "public" {}
auth "static" "apps" {}
signer "dkim" "example" {}
relay "mx" "internet" {}
pipeline "a" {
  listeners = [listener.public]
  auth      = [auth.apps]
  signers   = [signer.example]
  relay     = relay.internet
}
pipeline "b" {
  listeners = [listener.public]
  auth      = [auth.apps]
  signers   = [signer.example]
  relay     = relay.internet
}
