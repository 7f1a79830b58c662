# What refers to a block of unknown type has nothing to answer for; nor does a wrong name.
relay "mxx" "internet" {
  tls = "opportunistic"
}
rewrite "aliases" "people" {}
pipeline "outgoing" {
  rewrites = [rewrite.people]
  relay    = relay.internet
}
