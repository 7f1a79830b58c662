# A circle is printed as a path.
relay "smarthost" "a" {
  address  = "a"
  fallback = relay.b
}
relay "smarthost" "b" {
  address  = "b"
  fallback = relay.c
}
relay "smarthost" "c" {
  address  = "c"
  fallback = relay.a
}
relay "smarthost" "self" {
  address  = "d"
  fallback = relay.self
}
