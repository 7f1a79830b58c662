package peers

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// harakaFiles are the configuration, a file for each plugin. What is not
// named has its default; so has what is not written of a file.
var harakaFiles = map[string]string{
	"me":        "{{.Hostname}}\n",
	"host_list": "{{.SenderDomain}}\n",

	// One process for each CPU, as its manual advises for throughput. It ends
	// after seconds, not half a minute, when connections are left.
	"smtp.ini": `listen={{.Address}}
nodes=cpus
force_shutdown_timeout=3
`,
	"log.ini": `[main]
level=notice
`,
	"plugins": `{{if .Login}}tls
auth/flat_file
{{end}}relay
{{if .Sign}}dkim
{{end}}`,

	// force_routing sends everything to the next hop; acl lets in whom
	// relay_acl_allow names.
	"relay.ini": `[relay]
acl={{not .Login}}
force_routing=true
dest_domains=false
`,
	"relay_acl_allow": "127.0.0.0/8\n",
	"relay_dest_domains.ini": `[domains]
any = {"action":"continue","nexthop":"{{.NextHop}}"}
`,
	// A next hop on loopback is what is measured.
	"outbound.ini": "local_mx_ok=true\n",

	"dkim.ini": `[sign]
enabled = {{.Sign}}
selector = {{.Selector}}
domain = {{.SenderDomain}}
headers = From, Sender, Reply-To, Subject, Date, Message-ID, To, Cc, MIME-Version, Content-Type

[canon]
body = relaxed

[verify]
enabled = false
`,
	"tls.ini": `[main]
key=tls_key.pem
cert=tls_cert.pem
dhparam=dhparams.pem
`,
	// The group ffdhe2048 of RFC 7919. Haraka would else compute one, for ten
	// seconds, beside what is measured.
	"dhparams.pem": `-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
`,
	"auth_flat_file.ini": `[core]
methods=PLAIN

[users]
{{.User}}={{.Password}}
`,
}

type haraka struct{}

// Haraka is Haraka with its plugins relay, dkim, tls and auth/flat_file.
func Haraka() Peer { return haraka{} }

func (haraka) Name() string { return "haraka" }

func (haraka) Needs() Needs { return Needs{Root: true, DNS: true} }

// harakaModule is a directory of node_modules.
func harakaModule(name string) string { return filepath.Join(installed, "haraka/node_modules", name) }

func (haraka) Version() (string, error) {
	own, err := npmVersion("Haraka")
	dkim, err2 := npmVersion("haraka-plugin-dkim")
	node, err3 := firstLine("node", "--version")
	return fmt.Sprintf("Haraka %s, haraka-plugin-dkim %s, Node %s", own, dkim, node), errors.Join(err, err2, err3)
}

// npmVersion is the version of an installed module.
func npmVersion(name string) (string, error) {
	b, err := os.ReadFile(filepath.Join(harakaModule(name), "package.json"))
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, install)
	}
	var p struct {
		Version string `json:"version"`
	}
	err = json.Unmarshal(b, &p)
	return p.Version, err
}

type harakaServer struct{ *process }

func (haraka) Start(box *Box, s Setup) (Server, error) {
	plan, err := newPlan(s)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(harakaFiles)) {
		err = errors.Join(err, plan.write(filepath.Join("config", name), harakaFiles[name]))
	}
	err = errors.Join(err,
		// As it is shipped: 25 MiB, among others. Without the file it has no greeting.
		plan.own(filepath.Join(harakaModule("Haraka"), "config/connection.ini"), "config/connection.ini", root),
		os.MkdirAll(plan.path("queue"), 0o755),
		plan.own(s.Keys.DKIMPKCS8, "config/dkim.private.key", root),
		plan.own(s.Keys.TLSKey, "config/tls_key.pem", root),
		plan.own(s.Keys.TLSCert, "config/tls_cert.pem", root),
		plan.give(),
	)
	if err != nil {
		return nil, err
	}
	cmd := plan.command(box, "node", filepath.Join(harakaModule("Haraka"), "bin/haraka"), "-c", plan.Dir)
	p, err := launch(box, cmd, plan.path("log"))
	if err != nil {
		return nil, err
	}
	if err := p.listens("tcp", s.Address); err != nil {
		return nil, err
	}
	return &harakaServer{p}, nil
}

// Flush is the signal at which its first process has the others try.
func (r *harakaServer) Flush() error { return r.cmd.Process.Signal(syscall.SIGHUP) }

func (r *harakaServer) Stop() error { return r.stop() }
