# What the pipeline says about itself.
relay "mx" "internet" {}
listener "submission" "world" { trusted = ["0.0.0.0/0"] }
rewrite "aliases" "people" {}
pipeline "a" {
  rewrites = [rewrite.people]
  relay    = relay.internet
  unsigned = "sometimes"
}
pipeline "b" {
  rewrites = [rewrite.people]
  relay    = relay.internet
  route {
    when = recipient.domain == "example.com"
  }
}
pipeline "c" {
  listeners = [listener.world]
  relay     = relay.internet
}
