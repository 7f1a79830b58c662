# Conditions that make no sense, one for each way.
relay "mx" "internet" {}
auth "static" "apps" {}
pipeline "outgoing" {
  auth  = [auth.apps]
  relay = relay.internet
  route {
    when  = recipent.domain == "example.com"
    relay = relay.internet
  }
  route {
    when  = recipient.domian == "example.com"
    relay = relay.internet
  }
  route {
    when  = recipient == "user@example.com"
    relay = relay.internet
  }
  route {
    when  = user.name == "app"
    relay = relay.internet
  }
  route {
    when  = message.size == "large"
    relay = relay.internet
  }
  route {
    when  = recipient.domain
    relay = relay.internet
  }
  route {
    when  = user == "app" && false
    relay = relay.internet
  }
  route {
    when  = matches(user, "(")
    relay = relay.internet
  }
  route {
    when  = matches(user, sender.local)
    relay = relay.internet
  }
  route {
    when  = cidrcontains("10.0.0.0/33", client.ip)
    relay = relay.internet
  }
  route {
    when  = cidrcontains("10.0.0.5/24", client.ip)
    relay = relay.internet
  }
  route {
    when  = startwith(user, "a")
    relay = relay.internet
  }
  route {
    when  = startswith(user)
    relay = relay.internet
  }
  route {
    when  = contains(5, user)
    relay = relay.internet
  }
  route {
    when  = env("WORD") == user
    relay = relay.internet
  }
  route {
    when  = message.size > "large"
    relay = relay.internet
  }
  route {
    when  = user == app
    relay = relay.internet
  }
  route {
    when  = contains([for x in ["a"] : x], user)
    relay = relay.internet
  }
  route {
    when  = client["ip"] == "10.0.0.1" || client.ip.x == ""
    relay = relay.internet
  }
}
