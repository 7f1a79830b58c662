# HCL itself finds this.
relay "mx" "internet" {}
hostname = "a.example.com"
hostname = "b.example.com"
