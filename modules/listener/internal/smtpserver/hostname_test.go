package smtpserver

import (
	"crypto/tls"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

// wanted are certificates that remember what they were wanted for.
type wanted struct {
	*served
	uses     []appliance.TLSUse
	released []appliance.TLSUse
}

func (w *wanted) ServerConfig(use appliance.TLSUse) *tls.Config {
	w.uses = append(w.uses, use)
	return w.served.ServerConfig(use)
}

func (w *wanted) Release(use appliance.TLSUse) { w.released = append(w.released, use) }

// TestHostname: a listener with a name of its own says it in the greeting, to
// EHLO and HELO and in Received, and wants a certificate for it as long as it runs. What tells
// who checked a message stays with the name of the appliance.
func TestHostname(t *testing.T) {
	for _, c := range []struct {
		attribute, says string
		names           []string
	}{
		{"", "mail.test", nil},
		{"SMTP.Example.com", "smtp.example.com", []string{"smtp.example.com"}},
		{"bücher.example", "xn--bcher-kva.example", []string{"xn--bcher-kva.example"}},
	} {
		t.Run(c.says, func(t *testing.T) {
			r := newRig(t, func(o *options) { o.set.Hostname = c.attribute })
			w := &wanted{served: r.tls}
			r.srv.set.TLS = appliance.RefTo[appliance.Certificates](appliance.Addr{Kind: appliance.KindTLS, Name: "test"}, w)
			if err := r.srv.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.stop(t) })
			greeting := "S: 220 " + c.says + " ESMTP\nC: HELO c\nS: 250 " + c.says + "\nC: EHLO c\nS: 250 <<.*\nhas: ^250-" + strings.ReplaceAll(c.says, ".", "[.]") + "$\n"
			_, rest, _ := strings.Cut(fmt.Sprintf(oneMessage, "250 <<.*"), "S: 250 <<.*\n")
			r.talk(t, greeting+rest)
			if got := r.Spool.Messages()[0].Header.Get("Received"); !strings.Contains(got, " by "+c.says+" with ESMTP id ") {
				t.Errorf("Received: %s", got)
			}
			if len(w.uses) != 1 || !slices.Equal(w.uses[0].Names, c.names) || !w.uses[0].Opportunistic {
				t.Errorf("wanted for %+v", w.uses)
			}
			if len(w.released) > 0 {
				t.Error("released while it is in use")
			}
			r.stop(t)
			r.stop(t)
			if !reflect.DeepEqual(w.released, w.uses) {
				t.Errorf("released: %+v", w.released)
			}
		})
	}
}
