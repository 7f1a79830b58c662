package appliance

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"
)

// A Posture says in a few lines what an appliance does for whom: an open
// relay must not look like a correct one when it starts.
type Posture struct {
	Hostname  string            `json:"hostname"`
	DataDir   string            `json:"data_dir"`
	Mode      string            `json:"mode"`
	Listeners []ListenerPosture `json:"listeners"`
	Pipelines []PipelinePosture `json:"pipelines"`
	TLS       []TLSPosture      `json:"tls"`
	Records   []DNSRecord       `json:"dns_records"` // to publish, keys of signers among them
}

// ListenerPosture is where mail comes in.
type ListenerPosture struct {
	Addr      string   `json:"address"`
	Type      string   `json:"type"`
	Addresses []string `json:"listens_on"`
	Pipeline  string   `json:"pipeline"`
	TLS       string   `json:"tls,omitempty"` // the block whose certificates it serves
}

// TLSPosture is what a tls block has for its listeners.
type TLSPosture struct {
	Addr         string            `json:"address"`
	Type         string            `json:"type"`
	Waits        string            `json:"waits,omitempty"` // why nobody is asked for a password yet
	Certificates []CertificateInfo `json:"certificates"`
}

// PipelinePosture is who may send where.
type PipelinePosture struct {
	Name     string   `json:"name"`
	MayRelay []string `json:"may_relay"` // who may send to anybody, and why
	Checks   []string `json:"checks"`
	Signers  []string `json:"signers"`
	Unsigned string   `json:"unsigned"` // what happens to mail no signer is responsible for
	// What happens to mail whose From domain neither a signature nor SPF can
	// vouch for.
	Unaligned string   `json:"unaligned"`
	Relays    []string `json:"relays"`
}

// Posture describes what runs.
func (a *Appliance) Posture() Posture {
	g := a.Graph()
	p := Posture{Hostname: g.Settings.Hostname, DataDir: g.Settings.DataDir, Mode: g.Settings.Mode}
	for _, n := range g.Pipelines() {
		for _, l := range n.Pipeline.Listeners {
			ln := g.Node(l.Addr())
			lp := ListenerPosture{Addr: ln.Addr.String(), Type: ln.Type, Pipeline: n.Addr.Name, TLS: ln.dep(KindTLS)}
			for _, addr := range l.To().Addrs() {
				lp.Addresses = append(lp.Addresses, addr.String())
			}
			p.Listeners = append(p.Listeners, lp)
		}
		p.Pipelines = append(p.Pipelines, n.Pipeline.posture())
	}
	for _, n := range g.of(KindTLS) {
		p.TLS = append(p.TLS, n.tlsPosture())
	}
	for _, n := range g.Nodes {
		if d, ok := n.Module.(DNSPublisher); ok {
			p.Records = append(p.Records, d.DNSRecords()...)
		}
	}
	return p
}

// dep is the first of a kind that the node refers to, or "".
func (n *Node) dep(kind Kind) string {
	for _, d := range n.Deps {
		if d.Kind == kind {
			return d.String()
		}
	}
	return ""
}

func (n *Node) tlsPosture() TLSPosture {
	m := n.Module.(Certificates)
	p := TLSPosture{Addr: n.Addr.String(), Type: n.Type, Certificates: m.Certificates()}
	if err := m.Ready(); err != nil {
		p.Waits = err.Error()
	}
	return p
}

func (p *Pipeline) posture() PipelinePosture {
	out := PipelinePosture{Name: p.addr.Name, Unsigned: p.unsigned(), Unaligned: p.alignment()}
	for _, r := range p.Auth {
		out.MayRelay = append(out.MayRelay, "users of "+r.String())
	}
	for _, prefix := range p.trusted() {
		out.MayRelay = append(out.MayRelay, fmt.Sprintf("network %s, without authentication", prefix))
	}
	for _, r := range p.Rewrites {
		if _, ok := r.To().(Claimer); ok {
			out.MayRelay = append(out.MayRelay, "anybody, to recipients that "+r.String()+" claims")
		}
	}
	out.Checks, out.Signers = names(p.Checks), names(p.Signers)
	out.Relays = names(p.relays())
	return out
}

// unsigned says in words what [Pipeline.Unsigned] means here.
func (p *Pipeline) unsigned() string {
	switch {
	case len(p.Signers) == 0:
		return "sent: no signers"
	case p.Unsigned == UnsignedAllow:
		return "sent"
	case p.Unsigned == UnsignedReject:
		return "refused with 550"
	}
	return "refused with 451"
}

func names[T any](refs []Ref[T]) []string {
	var all []string
	for _, r := range refs {
		all = append(all, r.String())
	}
	return all
}

// Log writes the posture, a line for each listener, certificate and pipeline.
func (p Posture) Log(log *zap.Logger) {
	log.Info("appliance", zap.String("hostname", p.Hostname), zap.String("data_dir", p.DataDir), zap.String("mode", p.Mode))
	if p.Mode == ModeCapture {
		log.Warn("nothing leaves this machine: mail is taken, answered 250, and kept for people to look at", zap.String("mode", p.Mode))
	}
	for _, l := range p.Listeners {
		log.Info("listening", zap.String("listener", l.Addr), zap.String("type", l.Type),
			zap.Strings("on", l.Addresses), zap.String("pipeline", l.Pipeline), zap.String("tls", cmp.Or(l.TLS, "none")))
	}
	for _, b := range p.TLS {
		for i := range b.Certificates {
			b.Certificates[i].log(log.With(zap.String("tls", b.Addr)), time.Now())
		}
	}
	for _, x := range p.Pipelines {
		log.Info("pipeline", zap.String("name", x.Name), zap.String("may_relay", strings.Join(x.MayRelay, "; ")),
			zap.Strings("checks", x.Checks), zap.Strings("signers", x.Signers),
			zap.String("unsigned_mail", x.Unsigned),
			zap.String("unaligned_mail", x.Unaligned), zap.Strings("relays", x.Relays))
	}
	for _, r := range p.Records {
		log.Info("publish in the DNS", zap.String("name", r.Name), zap.String("type", r.Type), zap.String("value", r.Value))
	}
}

// log writes one line, a warning if somebody should look after the
// certificate.
func (c *CertificateInfo) log(log *zap.Logger, now time.Time) {
	fields := []zap.Field{zap.Strings("names", c.Names), zap.String("state", string(c.State))}
	if !c.NotAfter.IsZero() {
		fields = append(fields, zap.Time("not_after", c.NotAfter))
	}
	if c.Error != "" {
		fields = append(fields, zap.String("error", c.Error))
	}
	if !c.NextTry.IsZero() {
		fields = append(fields, zap.Time("next_try", c.NextTry))
	}
	if c.Alarming(now) {
		log.Warn("certificate", fields...)
		return
	}
	log.Info("certificate", fields...)
}
