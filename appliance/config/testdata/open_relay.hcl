# A pipeline that would relay for anyone does not load.
listener "submission" "public" {}
relay "mx" "internet" {}
pipeline "outgoing" {
  listeners = [listener.public]
  relay     = relay.internet
}
