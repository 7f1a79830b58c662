# In capture mode relays are replaced: that they are not used is no news.
mode = "capture"
listener "submission" "public" {}
auth "static" "apps" {}
relay "mx" "internet" {}
pipeline "outgoing" {
  listeners = [listener.public]
  auth      = [auth.apps]
  relay     = relay.internet
  route {
    when  = recipient.domain == "a.example"
    relay = relay.internet
  }
}
