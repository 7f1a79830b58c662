# env() and file(), and everything that can be wrong about them.
hostname = env("NOT_SET")
data_dir = file("/run/secrets/nothing")
metrics { address = env("A", "127.0.0.1:1", "c") }
limits {
  max_recipients = env("WORD")
  max_hops       = env("NUMBER")
  max_header     = env("WORD")
}
queue {
  lifetime = env("WORD")
}
relay "smarthost" "a" {
  address  = file("/root/password")
  password = file("/run/secrets/large")
}
relay "smarthost" "b" {
  address  = upper("x")
  password = evn("PASSWORD", "marker-literal")
}
relay "smarthost" "c" {
  address  = "${env("NOT_SET")}:587"
  password = file("/run")
}
relay "smarthost" "d" {
  address  = env()
  password = env("NOT_SET", "marker-literal", "marker-literal")
}
check "senders" "own" {
  on_error = env("WORD")
  strict   = env("WORD")
}
