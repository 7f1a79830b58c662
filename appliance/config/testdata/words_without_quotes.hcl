# Text stands in quotes; a secret is not repeated.
mode = live
relay "smarthost" "ses" {
  address  = smtp.example.com
  password = marker
}
signer "dkim" "x" { domains = [auth.apps] }
check "senders" "own" { on_error = check.own }
