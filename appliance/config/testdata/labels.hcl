# The number of labels, and what a name may be.
relay "internet" {}
pipeline "outgoing" "x" { }
zone {}
auth {}
relay "mx" "../../etc/passwd" {}
relay "mx" "a b" {}
auth "static" "apps" {
  user { password = "marker-literal" }
  user "a" "b" { password = "marker-literal" }
}
log "x" { level = "info" }
