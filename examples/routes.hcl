# Several domains, several ways out: newsletters through a provider, mail for
# the head office to its own server, the rest straight to the recipients.

hostname = "mail.example.com"

listener "submission" "apps" {}

auth "static" "apps" {
  user "shop" { password = env("SHOP_PASSWORD") }
  user "news" { password = env("NEWS_PASSWORD") }
}

check "senders" "own" {
  allow = {
    shop = ["orders@example.com", "@shop.example.org"]
    news = ["@news.example.com"]
  }
}

signer "dkim" "domains" {
  domains = ["example.com", "news.example.com", "example.org"] # shop.example.org is signed as example.org
}

relay "mx" "internet" {}
relay "smarthost" "bulk" {
  address  = "smtp.bulk.example.net:587"
  username = env("BULK_USER")
  password = env("BULK_PASSWORD")
}
relay "smarthost" "office" {
  address = "10.1.0.5:25"
  tls     = "opportunistic"
}

pipeline "outgoing" {
  listeners = [listener.apps]
  auth      = [auth.apps]
  checks    = [check.own]
  signers   = [signer.domains]
  relay     = relay.internet # when no route matches

  route { # the first that matches decides
    when   = endswith(recipient.domain, ".invalid")
    reject = "550 5.1.2 No such domain"
  }
  route {
    when  = recipient.domain == "office.example.com"
    relay = relay.office
  }
  route {
    when  = sender.domain == "news.example.com" || header("List-Id") != ""
    relay = relay.bulk
  }
}

queue {
  retry    = "1m, 5m, 15m, 1h*6, 3h*"
  lifetime = "3d"
}
