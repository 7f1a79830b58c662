# A pipeline that sends and does not sign; one without listeners; few recipients.
limits { max_recipients = 50 }
listener "submission" "public" {}
listener "submission" "lan" { trusted = ["10.0.0.0/8"] }
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
pipeline "incoming" {
  rewrites = [rewrite.people]
  relay    = relay.internet
}
