package cmd_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest/acmetest"
)

// dnsSecrets are dns blocks that all fail, in the order of their names: at a
// name server that is not there, and at a server that answers with what it was
// sent. %[1]s is its URL.
var dnsSecrets = []struct{ name, block string }{
	{"rfc2136", `
  server   = "127.0.0.1:1"
  key_name = "acme."
  key      = env("MARK_TSIG")`},
	{"cloudflare", `
  api_token = "MARK-cloudflare-token"
  endpoint  = "%[1]s"`},
	{"acmedns", `
  server      = "%[1]s"
  username    = "user"
  password    = "MARK-acmedns-password"
  subdomain   = "d420c923"
  full_domain = "d420c923.auth.example.org"`},
	{"exec", `
  command     = ["sh", "-c", "echo refused: $MARK_EXEC >&2; exit 1"]
  environment = ["MARK_EXEC"]`},
	{"webhookbasic", `
  url      = "%[1]s/hook"
  username = "user"
  password = "MARK-webhook-password"`},
	{"webhook", `
  url    = "%[1]s/MARK-webhook-path"
  secret = "MARK-webhook-secret"
  token  = "MARK-webhook-token"`},
}

// dnsConfig has a listener and a certificate for each dns block.
func dnsConfig(dir, operator string, ca *acmetest.Server) string {
	var b strings.Builder
	fmt.Fprintf(&b, "hostname = \"mail.example.com\"\ndata_dir = %q\nlog { level = \"debug\" }\n", dir+"/data")
	var listeners []string
	for _, s := range dnsSecrets {
		fmt.Fprintf(&b, "dns %[1]q %[2]q {%[3]s\n}\n", strings.TrimSuffix(s.name, "basic"), s.name, strings.ReplaceAll(s.block, "%[1]s", operator))
		fmt.Fprintf(&b, `tls "acme" %[1]q {
  names     = ["%[1]s.example.com"]
  dns       = dns.%[1]s
  resolvers = [%[2]q]
  issuer "test" {
    directory = %[3]q
    root_file = %[4]q
  }
}
listener "submission" %[1]q {
  address = "127.0.0.1:0"
  tls     = tls.%[1]s
}
`, s.name, ca.Resolver(), ca.Directory(), ca.RootFile())
		listeners = append(listeners, "listener."+s.name)
	}
	fmt.Fprintf(&b, `auth "static" "apps" { user "app" { password = "secret" } }
relay "discard" "out" {}
pipeline "outgoing" {
  listeners = [%s]
  auth      = [auth.apps]
  relay     = relay.out
}
`, strings.Join(listeners, ", "))
	return b.String()
}

// TestP19DNS runs a server whose DNS operators all fail, one of them by
// answering with the credentials it was sent, and looks for these in all that
// is said about it.
func TestP19DNS(t *testing.T) {
	t.Setenv("MARK_TSIG", "MARK/tsig/key+0123456789abcdefg=")
	t.Setenv("MARK_EXEC", "MARK-exec-token")
	sent := new(lockedBuffer)
	operator := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		text := fmt.Sprintf("refused: %v %s", r.Header, body)
		fmt.Fprintln(sent, text)
		http.Error(w, text, http.StatusForbidden)
	}))
	t.Cleanup(operator.Close)
	ca := acmetest.Start(t, acmetest.Options{})
	dir := t.TempDir()
	r := &secretRun{dir: dir, file: filepath.Join(dir, "mail.hcl")}
	r.write(t, dnsConfig(dir, operator.URL, ca))
	logged := r.serve(t)
	r.ask("health", "--wait", "20s")
	r.awaitFailures(t)
	for _, command := range []string{"tls list", "status", "status --json", "tls renew tls.webhook", "tls renew tls.cloudflare", "validate"} {
		r.ask(strings.Fields(command)...)
	}
	r.ask("stop")
	everything := r.said() + logged()
	for _, mark := range []string{"MARK-cloudflare-token", "MARK-acmedns-password", "MARK-webhook-token"} {
		if !strings.Contains(sent.String(), mark) {
			t.Errorf("%s was not even sent", mark)
		}
	}
	everything = strings.ReplaceAll(everything, `"MARK_EXEC"`, "the variable")
	noMarks(t, everything, []string{"MARK", "BEGIN PRIVATE KEY"})
}

// awaitFailures waits until each certificate has failed once, and keeps what
// is said of that.
func (r *secretRun) awaitFailures(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		before := len(r.said())
		r.ask("tls", "list", "--json")
		if list := r.said()[before:]; strings.Count(list, `"error": `) == len(dnsSecrets) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not all certificates have failed:\n%s", r.said()[before:])
		}
	}
}
