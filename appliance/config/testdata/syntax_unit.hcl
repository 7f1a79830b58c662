# Units without quotes, as many other languages have them.
limits { max_message_size = 25MiB }
queue {
  lifetime = 5d
}
