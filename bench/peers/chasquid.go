package peers

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// chasquidConf leaves at their defaults all but the addresses, the size of
// the queue, of which the default is 200 messages, and the log. It has no
// listener for strangers.
const chasquidConf = `
hostname: "{{.Hostname}}"
max_data_size_mb: 50
submission_address: "{{.Address}}"
data_dir: "{{.Dir}}/data"
mail_log_path: "{{.Dir}}/mail.log"
max_queue_items: {{.MaxQueue}}
`

type chasquid struct{}

// Chasquid is chasquid, which takes mail to relay from users only and looks
// for the MX of each recipient.
func Chasquid() Peer { return chasquid{} }

func (chasquid) Name() string { return "chasquid" }

func (chasquid) Needs() Needs { return Needs{Root: true, Login: true, Port25: true, DNS: true} }

func chasquidBin(name string) string { return filepath.Join(installed, "bin", name) }

func (chasquid) Version() (string, error) {
	line, err := firstLine(chasquidBin("chasquid"), "--version")
	version, _, _ := strings.Cut(line, " (")
	return version, err
}

type chasquidServer struct{ *process }

func (chasquid) Start(box *Box, s Setup) (Server, error) {
	plan, err := newPlan(s)
	if err != nil {
		return nil, err
	}
	if err := chasquidFiles(plan); err != nil {
		return nil, err
	}
	p, err := launch(box, plan.command(box, chasquidBin("chasquid"), "-config_dir", plan.path("etc")), plan.path("log"))
	if err != nil {
		return nil, err
	}
	if err := p.listens("tcp", s.Address); err != nil {
		return nil, err
	}
	return &chasquidServer{p}, nil
}

// chasquidFiles makes its directories, of which the names say what is in
// them, and its user, whose password it hashes with scrypt.
func chasquidFiles(plan plan) error {
	const domain = "etc/domains/" + SenderDomain
	err := errors.Join(
		plan.write("etc/chasquid.conf", chasquidConf),
		plan.write("data/.keep", ""),
		plan.write(domain+"/aliases", ""),
		plan.own(plan.Keys.TLSCert, "etc/certs/"+Hostname+"/fullchain.pem", root),
		plan.own(plan.Keys.TLSKey, "etc/certs/"+Hostname+"/privkey.pem", root),
	)
	if plan.Sign {
		err = errors.Join(err, plan.own(plan.Keys.DKIMPKCS8, domain+"/dkim:"+Selector+".pem", root))
	}
	if err != nil {
		return err
	}
	add := exec.Command(chasquidBin("chasquid-util"), "-C="+plan.path("etc"), "user-add", plan.User, "--password="+plan.Password)
	if out, err := add.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", add.Args, err, out)
	}
	return plan.give()
}

// Flush: there is no such command, and after a restart it waits again.
func (r *chasquidServer) Flush() error { return ErrNoFlush }

func (r *chasquidServer) Stop() error { return r.stop() }
