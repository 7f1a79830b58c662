# Settings that make no sense.
hostname = "not a name"
mode     = "catch"
resolver = "dns.example.com:53"
log {
  level  = "warning"
  format = "xml"
  redact = ["adress"]
}
metrics { address = "9090" }
admin { address = "0.0.0.0:9091" }
limits {
  max_message_size       = "1KiB"
  max_header             = "15KiB"
  max_recipients         = 0
  max_hops               = -1
  max_connections        = 0
  max_connections_per_ip = 0
  max_connections_per_user = 0
  check_timeout          = "1ms"
  max_memory             = "128KiB"
}
logins { never_ban = ["office"] }
queue {
  lifetime                = "0"
  concurrency             = 0
  destination_concurrency = 0
}
