# Addresses whose ports are none.
hostname = "mail.example.com"
metrics { address = "127.0.0.1:70000" }
admin {
  address = "10.9.8.7:25x"
  token   = "0123456789abcdef"
}
