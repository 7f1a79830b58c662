# References to nothing, to the wrong kind, and in the wrong form.
auth "static" "apps" {}
signer "dkim" "example" {}
rewrite "aliases" "people" {}
listener "submission" "public" {}
relay "smarthost" "ses" {
  address  = "x"
  fallback = relay.sess
}
relay "mx" "internet" {}
pipeline "outgoing" {
  listeners = listener.public
  auth      = [auth.aps, rely.x, check.none]
  checks    = [check.spf]
  rewrites  = [signer.example]
  signers   = [auth.apps, rewrite.people, signer.example, signer.example, signer.example.key]
  relay     = [relay.internet]
  route {
    when  = sender.domain == "x.example"
    relay = "relay.ses"
  }
}
pipeline "two" {
  listeners = ["public"]
  auth      = [auth.apps]
  relay     = internet
}
