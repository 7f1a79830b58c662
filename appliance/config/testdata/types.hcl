# Values of the wrong type, and of the right type and still wrong.
hostname = 5
limits {
  max_message_size = "25 MB or so"
  max_recipients   = "100"
  max_hops         = 1.5
  max_header       = true
}
queue {
  lifetime    = 5
  warn_after  = "4 hours"
  retry       = "1m, 0s"
  concurrency = null
}
listener "submission" "a" { trusted = ["10.0.0.0/99"] }
check "senders" "own" {
  strict   = "yes"
  score    = "high"
  small    = 1000
  on_error = ["defer"]
  allow    = { a = "b" }
  names    = ["a"]
  size     = 1.5
  limit    = [1]
}
signer "dkim" "x" { domains = "example.com" }
signer "dkim" "y" { domains = ["example.com", 5] }
relay "smarthost" "z" { address = { a = "b" } }
pipeline "p" {
  relay    = relay.z
  unsigned = 1
  route {
    when   = recipient.domain == "a"
    reject = "no"
  }
}
