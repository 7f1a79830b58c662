# X2: what comes from outside is taken literally, and does not show when it is wrong.
hostname = env("TRICKY")
mode     = env("TRICKY")
relay "smarthost" "ses" {
  address  = env("TRICKY")
  password = env("TRICKY")
}
