# Conditions whose value is nothing, or is the same for every message.
relay "mx" "internet" {}
rewrite "aliases" "people" {}
pipeline "incoming" {
  rewrites = [rewrite.people]
  relay    = relay.internet
  route {
    when  = null
    relay = relay.internet
  }
  route {
    when  = user == null
    relay = relay.internet
  }
  route {
    when  = user != "a" || true
    relay = relay.internet
  }
  route {
    when  = header(user) == header()
    relay = relay.internet
  }
}
