package appliance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// TestPostureLog: at its start a server says who may send where, and whether
// anything leaves at all.
func TestPostureLog(t *testing.T) {
	now, day := time.Now(), 24*time.Hour
	p := Posture{
		Hostname: "mail.example.com", DataDir: "/data", Mode: ModeLive,
		Listeners: []ListenerPosture{{Addr: "listener.lan", Type: "submission", Addresses: []string{"[::]:587"}, Pipeline: "out", TLS: "tls.own"}},
		TLS: []TLSPosture{{Addr: "tls.own", Type: "files", Certificates: []CertificateInfo{{
			Names: []string{"mail.example.com"}, State: CertificateValid, NotBefore: now.Add(-30 * day), NotAfter: now.Add(60 * day),
		}}}},
		Pipelines: []PipelinePosture{{Name: "out", MayRelay: []string{"users of auth.apps", "network 10.0.0.0/24, without authentication"}}},
		Records:   []DNSRecord{{Name: "mail._domainkey.example.com", Type: "TXT", Value: "v=DKIM1; p=x"}},
	}
	logged := func() (text string, warnings int) {
		core, logs := observer.New(zapcore.InfoLevel)
		p.Log(zap.New(core))
		var b strings.Builder
		for _, e := range logs.All() {
			b.WriteString(e.Message)
			for _, f := range e.Context {
				b.WriteString(" " + f.String)
				if list, ok := f.Interface.(zapcore.ArrayMarshaler); ok {
					fmt.Fprintf(&b, "%v", list)
				}
			}
			b.WriteString("\n")
		}
		return b.String(), logs.FilterLevelExact(zapcore.WarnLevel).Len()
	}
	text, warnings := logged()
	for _, want := range []string{
		"appliance mail.example.com /data live\n", "listening listener.lan submission [[::]:587] out tls.own\n",
		"certificate tls.own [mail.example.com] valid",
		"users of auth.apps; network 10.0.0.0/24, without authentication",
		"publish in the DNS mail._domainkey.example.com TXT v=DKIM1; p=x\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if warnings != 0 {
		t.Errorf("a warning about nothing:\n%s", text)
	}
	p.TLS[0].Certificates[0].NotAfter = now.Add(13 * day)
	p.TLS = append(p.TLS, TLSPosture{Addr: "tls.le", Type: "acme", Certificates: []CertificateInfo{{
		Names: []string{"smtp.example.com"}, State: CertificatePending, Error: "the authority cannot be reached",
	}}})
	text, warnings = logged()
	if want := "certificate tls.le [smtp.example.com] pending the authority cannot be reached\n"; warnings != 2 || !strings.Contains(text, want) {
		t.Errorf("%d warnings, and no %q in\n%s", warnings, want, text)
	}
	p.TLS, p.Mode = nil, ModeCapture
	if text, warnings := logged(); warnings != 1 || !strings.Contains(text, "nothing leaves this machine") {
		t.Errorf("capture mode, which loses mail if it is not meant, is not warned of:\n%s", text)
	}
}
