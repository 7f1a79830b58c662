# Latin-1.
hostname = "café"
