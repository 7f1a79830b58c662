# A template directive nests without brackets.
hostname = "%{ if true }a%{ endif }"
limits { max_recipients = 1e999999999 }
