# Every word that can be misspelt, each with a suggestion.
hostnme = "mail.example.com"
listner "submission" "a" {}
relay "smarthsot" "ses" {
  password = "marker-literal"
}
log { levle = "info" }
queue { retries { } }
relay "smarthost" "two" {
  address = "a"
  pasword = "marker-literal"
  option { }
}
mode = "capure"
check "senders" "own" { warmpu { start = "1" } }
signer "dkim" "x" { domain = ["a"] }
tls "files" "own" {
  certificate "x" { }
}
check "senders" "two" { warmup = "50/day" }
test "something" { from = "a@example.com" }
pipeline "p" { relay = relay.two  rewrite = [rewrite.x] }
