package appliance

import (
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// TestPostureLog: at its start a server says who may send where, and whether
// anything leaves at all.
func TestPostureLog(t *testing.T) {
	p := Posture{
		Hostname: "mail.example.com", DataDir: "/data", Mode: ModeLive,
		Listeners: []ListenerPosture{{Addr: "listener.lan", Type: "submission", Addresses: []string{"[::]:587"}, Pipeline: "out"}},
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
			}
			b.WriteString("\n")
		}
		return b.String(), logs.FilterLevelExact(zapcore.WarnLevel).Len()
	}
	text, warnings := logged()
	for _, want := range []string{
		"appliance mail.example.com /data live\n", "listening listener.lan submission",
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
	p.Mode = ModeCapture
	if text, warnings := logged(); warnings != 1 || !strings.Contains(text, "nothing leaves this machine") {
		t.Errorf("capture mode, which loses mail if it is not meant, is not warned of:\n%s", text)
	}
}
