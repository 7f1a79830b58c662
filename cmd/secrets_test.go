package cmd_test

import (
	"encoding/base64"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// secretConfig holds a secret in every place that takes one, but for those of
// dnsSecrets. %[1]s is a directory, the others are addresses.
const secretConfig = `
hostname = "mail.example.com"
data_dir = "%[1]s/data"
log { level = "debug" }
admin {
  address = "%[2]s"
  token   = env("MARK_TOKEN")
}
metrics { address = "%[3]s" }
deliverability {
  webhook    = "https://127.0.0.1:1/MARK-hook-token"
  blocklists = ["MARK-list-key.zen.dq.spamhaus.net"]
}
listener "submission" "public" {
  address = "%[4]s"
  tls     = tls.public
}
listener "submissions" "own" {
  address = "%[5]s"
  tls     = tls.own
}
tls "files" "own" {
  certificate = "%[1]s/pair.pem"
  key         = "%[1]s/pair.key"
}
auth "htpasswd" "legacy" { file = "%[1]s/htpasswd" }
auth "static" "apps" {
  user "literal" { password = "MARK-literal-password" }
  user "env" { password = env("MARK_PASSWORD") }
  user "file" { password = file("%[1]s/password") }
  user "hash" { password_hash = "$2y$04$MARKMARKMARKMARKMARKMO2OjYHyN4Yv1L3gfjKXlYnl6IEG7HdT." }
}
dns "rfc2136" "zone" {
  server   = "127.0.0.1:1"
  key_name = "acme."
  key      = env("MARK_TSIG")
}
tls "acme" "public" {
  self_signed = true
  dns         = dns.zone
  issuer "down" {
    directory  = "https://127.0.0.1:1/directory"
    eab_key_id = "account"
    eab_key    = "MARK-eab-key"
  }
}
signer "dkim" "own" {
  domains = ["example.org"]
  key "mail" {
    domain = "example.com"
    file   = "%[1]s/key.pem"
  }
}
relay "smarthost" "out" {
  address  = "127.0.0.1:1"
  username = "relay-user"
  password = env("MARK_RELAY")

  client_certificate = "%[1]s/pair.pem"
  client_key         = "%[1]s/pair.key"
}
relay "capture" "reports" {}
pipeline "outgoing" {
  listeners = [listener.public, listener.own]
  auth      = [auth.apps, auth.legacy]
  signers   = [signer.own]
  unsigned  = "allow"
  relay     = relay.out

  route {
    when  = recipient.domain == "example.com"
    relay = relay.reports
  }
}
`

// marks are what no output may hold, besides the keys.
var marks = []string{
	"MARK-token-0123456789", "MARK-literal-password", "MARK-env-password", "MARK-file-password",
	"MARKMARKMARK", "MARK-relay-password", "MARK-wrong-password", "MARK-eab-key", "MARK-hook-token", "mark-list-key", "MARK-list-key", "MARK/tsig/key", "BEGIN PRIVATE KEY",
}

// badKey is a file that is taken for a key, and is none.
const badKey = "-----BEGIN PRIVATE KEY-----\nMARKMARKMARK\n-----END PRIVATE KEY-----\n"

// TestP19 runs a server that knows secrets, logs in rightly and wrongly, breaks
// the configuration, asks everything there is to ask, and looks for them.
func TestP19(t *testing.T) {
	r := newSecretRun(t)
	logged := r.serve(t)
	r.ask("health", "--wait", "20s")
	watched := r.watch()
	r.login(t)
	r.clumsy(t)
	r.ask("send", "--from", "app@example.com", "--to", "you@example.net", "--body", "x", "--wait")
	r.bounce(t)
	for _, command := range []string{
		"status --json", "status", "queue list --json", "queue list --wide", "queue summary", "queue sites --json", "dkim show --json", "dkim list --json",
		"validate --json", "reload --plan --json", "reload", "version", "capture list", "fmt --check",
		"tls list", "tls list --json", "tls renew mail.example.com", "tls tlsa", "dns --json", "dns --format table", "tls reports", "doctor --offline -v", "doctor --offline --json", "explain --from app@example.com --to you@example.net --json",
	} {
		r.ask(strings.Fields(command)...)
	}
	r.get(t, "/metrics")
	r.get(t, "/readyz")
	keys := r.keys(t)
	r.breakConfiguration(t)
	r.ask("stop", "--timeout", "0")
	watched()
	everything := r.said() + logged()
	for _, seen := range []string{
		"auth_failed", "waxwing_messages_accepted_total", "there is no new certificate for mail.example.com", "Diagnostic-Code: ", `"bounced"`,
	} {
		if !strings.Contains(everything, seen) {
			t.Errorf("the test has not seen %s, and so not what it looks into:\n%.5000s", seen, everything)
		}
	}
	noMarks(t, everything, append(keys, marks...))
}

// noMarks looks for marks, as they are and as AUTH would write them.
func noMarks(t *testing.T, everything string, marks []string) {
	t.Helper()
	for _, mark := range marks {
		for _, form := range []string{mark, base64.StdEncoding.EncodeToString([]byte(mark)), url.QueryEscape(mark)} {
			if i := strings.Index(everything, form); i >= 0 {
				t.Errorf("%s is in the output: …%s…", mark, everything[max(0, i-300):min(len(everything), i+100)])
			}
		}
	}
}

// breakConfiguration makes mistakes in the file, each beside a secret.
func (r *secretRun) breakConfiguration(t *testing.T) {
	t.Helper()
	good := r.text
	const password, eab, tsig = `password = "MARK-literal-password"`, `eab_key    = "MARK-eab-key"`, `key      = env("MARK_TSIG")`
	for name, c := range map[string]struct{ is, becomes string }{
		"unknown attribute": {password, `passwort = "MARK-literal-password"`},
		"wrong type":        {password, `password = ["MARK-literal-password"]`},
		"not closed":        {password, `password = "MARK-literal-password`},
		"no function":       {password, `password = enw("MARK-literal-password")`},
		"both":              {password, "password = env(\"MARK_PASSWORD\")\n    password_hash = \"MARKMARKMARK\""},
		"template":          {password, `password = "MARK-literal-password${x}"`},
		"no base64url":      {eab, `eab_key = "MARK-eab-key is none"`},
		"no eab_key_id":     {`eab_key_id = "account"`, ""},
		"no base64":         {tsig, `key = "MARK/tsig/key is none"`},
		"client key":        {`client_key         = "` + r.dir + "/pair.key", `client_key = "` + r.dir + "/bad.pem"},
		"key of a listener": {`  key         = "` + r.dir + "/pair.key", `  key = "` + r.dir + "/bad.pem"},
		"htpasswd":          {r.dir + "/htpasswd", r.dir + "/bad.pem"},
	} {
		r.write(t, strings.Replace(good, c.is, c.becomes, 1))
		if n := len(r.said()); r.ask("validate") != 3 || r.ask("validate", "--json") != 3 || r.ask("reload") != 3 || len(r.said()) == n {
			t.Errorf("%s: the configuration was taken, or nothing was said", name)
		}
	}
	if err := os.WriteFile(filepath.Join(r.dir, "key.pem"), []byte(badKey), 0o600); err != nil {
		t.Fatal(err)
	}
	r.write(t, good)
	r.ask("validate")
}
