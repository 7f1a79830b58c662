package smtpserver

import (
	"context"
	"crypto/tls"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// BenchmarkReconnect is a client that connects, says STARTTLS, logs in, and
// quits: with a whole handshake each time, and with the ticket of the last. The
// client is in the time.
func BenchmarkReconnect(b *testing.B) {
	for _, c := range []struct {
		name  string
		cache tls.ClientSessionCache
	}{{"whole", nil}, {"resumed", tls.NewLRUClientSessionCache(1)}} {
		b.Run(c.name, func(b *testing.B) {
			r := benchRig(b)
			config := r.clientTLS()
			config.ClientSessionCache = c.cache
			b.ReportAllocs()
			for b.Loop() {
				s, err := appliancetest.DialSubmitter(appliancetest.SubmitConfig{
					Address: r.srv.Addrs()[0].String(), TLS: config, User: "app", Password: "secret",
				})
				if err != nil {
					b.Fatal(err)
				}
				s.Close()
			}
		})
	}
}

// benchRig runs a submission server that logs nothing.
func benchRig(b *testing.B) *rig {
	r := &rig{House: appliancetest.NewHouse(b), srv: new(Server), tls: appliancetest.NewCertificates(b)}
	set := DefaultSettings("127.0.0.1:0")
	set.TLS = r.tls.Ref()
	err := r.srv.Provision(&appliance.Context{Limits: appliance.DefaultSettings().Limits}, set, Role{Submission: true})
	if err != nil {
		b.Fatal(err)
	}
	r.srv.Attach(r.Pipeline)
	if err := r.srv.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := r.srv.Stop(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return r
}
