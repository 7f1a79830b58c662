// Package exec is dns "exec": a program of one's own changes the records, for
// an operator that nothing else here speaks to.
//
//	dns "exec" "own" {
//	  command     = ["/usr/local/bin/dns-hook", "--profile", "mail"]
//	  environment = ["OPERATOR_TOKEN"]
//	}
//
// # The contract
//
// The program is run once for each record, without a shell, and one run at a
// time: it need not mind others. Two or three arguments follow those of the
// block:
//
//	dns-hook --profile mail present _acme-challenge.mail.example.com. VALUE
//	dns-hook --profile mail cleanup _acme-challenge.mail.example.com. VALUE
//
// "present" adds a record and leaves others of the same name alone. "cleanup"
// removes it; one that is not there is no error. Scripts for lego's provider
// "exec" do just that. A value can begin with a hyphen: the first two
// arguments are the ones to tell the third by.
//
// Its environment is PATH, HOME and LANG as the server has them, the variables
// named in environment, and what the arguments do not say:
//
//	WAXWING_DNS_ACTION  present or cleanup
//	WAXWING_DNS_ZONE    example.com.
//	WAXWING_DNS_NAME    _acme-challenge.mail.example.com.
//	WAXWING_DNS_TYPE    TXT
//	WAXWING_DNS_VALUE   the value; for TXT without quotes, however long
//	WAXWING_DNS_TTL     60, in seconds
//
// In a cleanup an empty value or type, or a TTL of 0, stands for any.
//
// Exit status 0 means that it is done. With any other status the first line of
// standard error becomes the error; all of it goes to the log, up to 16 KiB,
// and standard output goes nowhere. Values of the variables in environment are
// struck out of both. A program that runs for longer than timeout is killed, and
// so is whatever it leaves behind in its process group.
package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/dns/internal/provider"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindDNS,
		Name:    "exec",
		Summary: "a program of one's own that changes the records",
		Example: `dns "exec" "own" {
  command     = ["/usr/local/bin/dns-hook", "--profile", "mail"]
  environment = ["OPERATOR_TOKEN"]
}
`,
		New: func() appliance.Module { return New() },
	})
}

// Exec is the block dns "exec".
type Exec struct {
	provider.Settings
	// The program and its first arguments: ["/usr/local/bin/dns-hook"]. A name
	// without a slash is looked for in PATH. No shell reads them.
	Command []string `hcl:"command"`
	// The names of the environment variables that the program may see besides
	// PATH, HOME and LANG, such as ["OPERATOR_TOKEN"]. Each must be set.
	// Default: none.
	Environment []string `hcl:"environment,optional"`

	program     string
	environment []string // "NAME=value"
	secrets     []string
	log         *zap.Logger
	turn        chan struct{} // holds one token: whoever has it runs the program
}

// Interface guards.
var (
	_ appliance.DNSProvider = (*Exec)(nil)
	_ appliance.Validator   = (*Exec)(nil)
)

// New returns an Exec with the defaults.
func New() *Exec { return &Exec{Settings: provider.Defaults()} }

// Validate implements appliance.Validator.
func (p *Exec) Validate() error {
	if err := p.Settings.Validate(); err != nil {
		return err
	}
	if len(p.Command) == 0 || p.Command[0] == "" {
		return &appliance.AttrError{Attr: "command", Msg: `is empty; write a program, such as ["/usr/local/bin/dns-hook"]`}
	}
	for _, arg := range p.Command {
		if strings.Contains(arg, "\x00") {
			return &appliance.AttrError{Attr: "command", Msg: "must not have NULs"}
		}
	}
	if strings.Contains(p.Command[0], "/") && p.Command[0][0] != '/' {
		return &appliance.AttrError{Attr: "command", Msg: fmt.Sprintf("%q depends on where the server was started; write the whole path", p.Command[0])}
	}
	for _, name := range p.Environment {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.HasPrefix(name, prefix) {
			return &appliance.AttrError{Attr: "environment", Msg: `takes names of environment variables, such as "OPERATOR_TOKEN"`}
		}
	}
	return nil
}

// prefix begins the names of the variables that tell what to do.
const prefix = "WAXWING_DNS_"

// minSecret is the length from which on the value of a variable is struck out
// of what the program says: "1" or "eu" are no secrets.
const minSecret = 6

// Provision implements appliance.Module.
func (p *Exec) Provision(ctx *appliance.Context) (err error) {
	if p.program, err = osexec.LookPath(p.Command[0]); err != nil {
		return &appliance.AttrError{Attr: "command", Msg: "is no program that this server may run", Err: err}
	}
	p.environment, p.secrets = nil, nil
	for _, name := range []string{"PATH", "HOME", "LANG"} {
		if value, ok := os.LookupEnv(name); ok {
			p.environment = append(p.environment, name+"="+value)
		}
	}
	for _, name := range p.Environment {
		value, ok := os.LookupEnv(name)
		if !ok {
			return &appliance.AttrError{Attr: "environment", Msg: fmt.Sprintf("%s is not set; set it for the server, or leave it out here", name)}
		}
		p.environment = append(p.environment, name+"="+value)
		if len(value) >= minSecret {
			p.secrets = append(p.secrets, value)
		}
	}
	p.log, p.turn = ctx.Log, make(chan struct{}, 1)
	return nil
}

// AppendRecords implements libdns.RecordAppender. If the program fails, the
// records it has added before are returned with the error.
func (p *Exec) AppendRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	records, err := provider.Added(zone, recs)
	if err != nil {
		return nil, err
	}
	return p.each(ctx, "present", zone, records)
}

// DeleteRecords implements libdns.RecordDeleter. The program does not say what
// was there: all of the records are returned.
func (p *Exec) DeleteRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	records, err := provider.Complete(zone, recs)
	if err != nil {
		return nil, err
	}
	return p.each(ctx, "cleanup", zone, records)
}

func (p *Exec) each(ctx context.Context, action, zone string, records []provider.Record) ([]libdns.Record, error) {
	zone, err := provider.Zone(zone)
	if err != nil {
		return nil, err
	}
	for i, r := range records {
		if err := p.inTurn(ctx, action, zone, r); err != nil {
			return provider.Typed(records[:i]), fmt.Errorf("%s %s %s: %w", p.program, action, r.FQDN, err)
		}
	}
	return provider.Typed(records), nil
}

// inTurn runs the program when nobody else does. The time-out begins then.
func (p *Exec) inTurn(ctx context.Context, action, zone string, r provider.Record) error {
	if strings.Contains(r.Data, "\x00") {
		return errors.New("a value with a NUL cannot be an argument")
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := p.Bound(ctx)
	defer cancel()
	return p.run(ctx, action, append(p.environment[:len(p.environment):len(p.environment)],
		prefix+"ACTION="+action,
		prefix+"ZONE="+zone,
		prefix+"NAME="+r.FQDN,
		prefix+"TYPE="+r.Type,
		prefix+"VALUE="+r.Data,
		prefix+"TTL="+strconv.FormatInt(int64(r.TTL/time.Second), 10),
	), r)
}
