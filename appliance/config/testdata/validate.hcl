# What modules say about their own attributes, at the line of the attribute.
check "senders" "own" {
  on_error = "dfer"
  limit    = -1
}
check "senders" "two" {
  warmup { start = "1" }
}
check "senders" "three" {
  strict = true
}
