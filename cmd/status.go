package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

// status is the answer of "waxwing status".
type status struct {
	Version admin.Version `json:"version"`
	Ready   bool          `json:"ready"`
	Reasons []string      `json:"reasons,omitempty"`
	// Of certificates that somebody should look after.
	Warnings []string          `json:"warnings,omitempty"`
	Posture  appliance.Posture `json:"posture"`
	// What a person lets wait in the queue.
	Suspensions []appliance.Suspension `json:"suspensions,omitempty"`
}

func (p *program) statusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "say what the server does for whom, and whether it is well",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := p.client()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), askTime)
			defer cancel()
			s, err := statusOf(ctx, client)
			if err != nil {
				return err
			}
			if p.json {
				return writeJSON(p.out, s)
			}
			return s.write(p)
		},
	}
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

func statusOf(ctx context.Context, client *admin.Client) (s status, err error) {
	if s.Version, err = client.Version(ctx); err != nil {
		return s, err
	}
	if s.Posture, err = client.Posture(ctx); err != nil {
		return s, err
	}
	page, err := client.Suspensions(ctx)
	if err != nil {
		return s, err
	}
	s.Suspensions = page.Suspensions
	s.Warnings = warningsOf(s.Posture, time.Now())
	err = client.Ready(ctx)
	if e, ok := errors.AsType[*admin.Error](err); ok {
		s.Reasons = e.Reasons
		return s, nil
	}
	s.Ready = err == nil
	return s, err
}

func (s status) write(p *program) error {
	t := new(table)
	t.add("version", s.Version.Version+", process "+fmt.Sprint(s.Version.PID)+", since "+clock(s.Version.Started))
	t.add("ready", map[bool]string{true: "yes", false: "no: " + strings.Join(s.Reasons, "; ")}[s.Ready])
	for _, w := range s.Warnings {
		t.add("warning", w)
	}
	if len(s.Suspensions) > 0 {
		t.add("suspended", suspended(s.Suspensions, time.Now()))
	}
	t.add("hostname", s.Posture.Hostname)
	t.add("data", s.Posture.DataDir)
	t.add("mode", s.Posture.Mode)
	for _, l := range s.Posture.Listeners {
		t.add(l.Addr, fmt.Sprintf("%s on %s, into pipeline %s, %s", l.Type, strings.Join(l.Addresses, ", "), l.Pipeline, certificatesOf(l)))
	}
	for _, x := range s.Posture.Pipelines {
		name := "pipeline." + x.Name
		t.add(name, "may relay: "+list(x.MayRelay))
		t.add("", "checks:    "+list(x.Checks))
		t.add("", "signers:   "+list(x.Signers)+"; unsigned mail is "+x.Unsigned)
		t.add("", "unaligned: "+x.Unaligned)
		t.add("", "relays:    "+list(x.Relays))
	}
	for _, b := range s.Posture.TLS {
		addTLS(t, b, time.Now())
	}
	return t.write(p.out)
}

func certificatesOf(l appliance.ListenerPosture) string {
	if l.TLS == "" {
		return "without TLS"
	}
	return "certificates of " + l.TLS
}

// addTLS says what a tls block serves, and what listeners do meanwhile.
func addTLS(t *table, b appliance.TLSPosture, now time.Time) {
	head := b.Type
	if b.Waits != "" {
		head += ": nobody can log in yet, AUTH is answered with 454"
	}
	t.add(b.Addr, head)
	for i := range b.Certificates {
		t.add("", certificateLine(&b.Certificates[i], now))
	}
}

func warningsOf(p appliance.Posture, now time.Time) []string {
	var all []string
	for _, b := range p.TLS {
		for i := range b.Certificates {
			if w := alarmFor(&b.Certificates[i], now); w != "" {
				all = append(all, b.Addr+": "+w)
			}
		}
	}
	return all
}

func list(items []string) string {
	if len(items) == 0 {
		return "none"
	}
	return strings.Join(items, ", ")
}
