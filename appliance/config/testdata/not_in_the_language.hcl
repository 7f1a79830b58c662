# What HCL has and a configuration file does not need.
relay "smarthost" "a" {
  address = join(",", [for x in ["a", "b"] : x])
}
relay "smarthost" "b" {
  address = ["a"][*]
}
relay "smarthost" "c" {
  address = "a" + 1
}
signer "dkim" "d" { domains = [for x in ["a"] : x] }
