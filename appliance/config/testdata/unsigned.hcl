# A pipeline that sends and does not sign, once without a word and once on purpose; one without listeners; few recipients.
limits { max_recipients = 50 }
listener "submission" "public" {}
listener "submission" "lan" { trusted = ["10.0.0.0/8"] }
listener "submission" "inside" { trusted = ["10.1.0.0/16"] }
auth "static" "apps" {}
relay "mx" "internet" {}
rewrite "aliases" "people" {}
pipeline "outgoing" {
  listeners = [listener.public]
  auth      = [auth.apps]
  relay     = relay.internet
}
pipeline "lan" {
  listeners = [listener.lan]
  relay     = relay.internet
}
pipeline "signed_elsewhere" {
  listeners = [listener.inside]
  relay     = relay.internet
  unsigned  = "allow"
}
pipeline "incoming" {
  rewrites = [rewrite.people]
  relay    = relay.internet
}
