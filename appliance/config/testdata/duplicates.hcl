# Names are unique within a kind; attributes and blocks stand once; there is one store.
relay "mx" "internet" {}
relay "smarthost" "internet" { address = "x" }
store "disk" "a" {}
store "disk" "b" {}
log { level = "info" }
log { level = "warn" }
