# What a block cannot do without.
relay "smarthost" "ses" {}
auth "static" "apps" {
  user "app" {}
}
check "senders" "own" {
  warmup {}
}
pipeline "outgoing" {
  route {}
}
