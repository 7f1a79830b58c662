# A TCP address of the admin interface with a token that can be guessed: the
# error must not show it.
hostname = "mail.example.com"
admin {
  address = "127.0.0.1:8026"
  token   = "tooshort"
}
