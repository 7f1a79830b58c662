package peers

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// maddyConf is a relay of maddy's modules with their defaults. What its
// example configuration limits, to 50 messages a second, is not limited.
const maddyConf = `
state_dir {{.Dir}}/state
runtime_dir {{.Dir}}/run
hostname {{.Hostname}}
log stderr
{{if .Login}}
tls file {{.Keys.TLSCert}} {{.Keys.TLSKey}}

auth.pass_table users {
    table static {
        entry "{{.User}}" "{{.Hash}}"
    }
}
{{else}}
tls off
{{end}}
target.smtp sink {
    targets tcp://{{.NextHop}}
    starttls no
}

target.queue outgoing {
    target &sink
    location {{.Dir}}/state/queue
}

{{if .Login}}submission{{else}}smtp{{end}} tcp://{{.Address}} {
    max_message_size 32M
    {{if .Login}}auth &users{{end}}
    default_source {
        default_destination {
            {{- if .Sign}}
            modify {
                dkim {
                    domains {{.SenderDomain}}
                    selector {{.Selector}}
                    key_path {{.Dir}}/dkim.key
                }
            }
            {{- end}}
            deliver_to &outgoing
        }
    }
}
`

type maddy struct{}

// Maddy is maddy as a relay.
func Maddy() Peer { return maddy{} }

func (maddy) Name() string { return "maddy" }

func (maddy) Needs() Needs { return Needs{Root: true, DNS: true} }

func maddyBin() string { return filepath.Join(installed, "bin/maddy") }

func (maddy) Version() (string, error) {
	line, err := firstLine(maddyBin(), "version")
	version, _, _ := strings.Cut(line, " ")
	return "maddy " + version, err
}

// maddyPlan is what maddyConf executes with.
type maddyPlan struct {
	plan
	Hash string // of the password
}

type maddyServer struct{ *process }

func (maddy) Start(box *Box, s Setup) (Server, error) {
	p, err := newPlan(s)
	if err != nil {
		return nil, err
	}
	plan := maddyPlan{plan: p}
	if s.Login {
		// bcrypt, of the cost that is its default.
		if plan.Hash, err = firstLine(maddyBin(), "hash", "--password", p.Password); err != nil {
			return nil, err
		}
	}
	err = errors.Join(
		os.MkdirAll(p.path("state"), 0o755),
		os.MkdirAll(p.path("run"), 0o755),
		p.own(s.Keys.DKIMPKCS8, "dkim.key", root),
		p.fill("maddy.conf", maddyConf, plan),
		p.give(),
	)
	if err != nil {
		return nil, err
	}
	r, err := launch(box, p.command(box, maddyBin(), "-config", p.path("maddy.conf"), "run"), p.path("log"))
	if err != nil {
		return nil, err
	}
	if err := r.listens("tcp", s.Address); err != nil {
		return nil, err
	}
	return &maddyServer{r}, nil
}

// Flush: there is no such command, and after a restart it waits for what was
// left of its quarter of an hour.
func (r *maddyServer) Flush() error { return ErrNoFlush }

func (r *maddyServer) Stop() error { return r.stop() }
