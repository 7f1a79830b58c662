package smtpserver

import (
	"context"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// assuring is a relay that honours REQUIRETLS, or does not.
type assuring bool

func (assuring) Provision(*appliance.Context) error { return nil }
func (assuring) NextHop(appliance.Mailbox) string   { return "nowhere" }
func (assuring) Deliver(context.Context, appliance.Envelope, *appliance.Message) []appliance.Result {
	return nil
}
func (a assuring) HonoursRequireTLS() bool { return bool(a) }

func relaying(a assuring) func(*options) {
	return within(func(h *appliancetest.House, _ *appliance.House) {
		h.Pipeline.Relay = appliance.RefTo[appliance.Relay](appliance.Addr{Kind: appliance.KindRelay, Name: "out"}, a)
	})
}

// TestRequireTLS: REQUIRETLS is taken under TLS, and stays with the message; a
// transaction later it is forgotten.
func TestRequireTLS(t *testing.T) {
	r := start(t, relaying(true))
	r.talk(t, `S: 220 <<.*
C: EHLO client.example
S: 250 <<.*
lacks: REQUIRETLS
C: MAIL FROM:<a@sender.example> REQUIRETLS
S: 530 5.7.0 REQUIRETLS needs TLS <<.*
C: STARTTLS
S: 220 <<.*
starttls
C: EHLO client.example
S: 250 <<.*
has: ^250.REQUIRETLS$
C: MAIL FROM:<a@sender.example> REQUIRETLS=yes
S: 501 5.5.4 REQUIRETLS takes no value
C: MAIL FROM:<a@sender.example> REQUIRETLS REQUIRETLS
S: 501 5.5.4 <<.*
C: MAIL FROM:<a@sender.example> requiretls BODY=8BITMIME
C: RCPT TO:<b@local.test>
C> BDAT 6 LAST\r\n\r\nab\r\n
S: 250 <<.*
S: 250 <<.*
S: 250 <<.*
C: MAIL FROM:<a@sender.example> REQUIRETLS
C: RSET
C: MAIL FROM:<a@sender.example>
C: RCPT TO:<b@local.test>
C: DATA
S: 250 <<.*
S: 250 <<.*
S: 250 <<.*
S: 250 <<.*
S: 354 <<.*
C: text
C: .
S: 250 <<.*
C: MAIL FROM:<> REQUIRETLS
C: RCPT TO:<b@local.test>
C: DATA
S: 250 <<.*
S: 250 <<.*
S: 354 <<.*
C: text
C: .
S: 250 <<.*
accepted: 3`)
	for i, want := range []bool{true, false, true} {
		if all := r.Spool.Messages(); i < len(all) && all[i].Envelope.RequireTLS != want {
			t.Errorf("message %d: RequireTLS is %t", i, all[i].Envelope.RequireTLS)
		}
	}
}

// TestRequireTLSNotOffered: where it could not be kept, it is not promised.
func TestRequireTLSNotOffered(t *testing.T) {
	const ask = `S: 220 <<.*
C: EHLO client.example
S: 250 <<.*
lacks: REQUIRETLS
C: MAIL FROM:<a@sender.example> REQUIRETLS
S: 555 5.5.4 REQUIRETLS is not offered <<.*
C: MAIL FROM:<a@sender.example>
S: 250 <<.*`
	trusted := func(o *options) { implicit(o); trusting(o) }
	for name, opts := range map[string][]func(*options){
		"a relay that does not":       {trusted, relaying(false)},
		"a relay that does not say":   {trusted},
		"in clear, and the relay too": {relaying(false)},
		"no TLS to be had":            {relaying(true), func(o *options) { o.noTLS = true }},
	} {
		t.Run(name, func(t *testing.T) { start(t, opts...).talk(t, ask) })
	}
}

// TestRequireTLSReload: what EHLO has offered is no promise of the pipeline that
// a reload puts in its place.
func TestRequireTLSReload(t *testing.T) {
	r := start(t, implicit, trusting, relaying(true))
	other := appliancetest.NewHouse(t)
	d := r.dialogue()
	d.Directive = func(string, string) error { r.srv.Attach(other.Pipeline); return nil }
	if err := d.Run(`S: 220 <<.*
C: EHLO client.example
S: 250 <<.*
has: REQUIRETLS
reload: now
C: MAIL FROM:<a@sender.example> REQUIRETLS
S: 555 5.5.4 <<.*
C: EHLO client.example
S: 250 <<.*
lacks: REQUIRETLS`); err != nil {
		t.Error(err)
	}
}

// TestRequireTLSChunks: whatever ends a chunked message before its last chunk,
// REQUIRETLS ends with it, and a chunk is never taken for MAIL.
func TestRequireTLSChunks(t *testing.T) {
	const begin = "C: MAIL FROM:<a@sender.example> REQUIRETLS\nC: RCPT TO:<b@local.test>\n"
	const plain = `C: MAIL FROM:<a@sender.example>
C: RCPT TO:<b@local.test>
C> BDAT 6 LAST\r\n\r\nab\r\n
S: 250 <<.*
S: 250 <<.*
S: 250 <<.*
accepted: 1`
	for name, script := range map[string]string{
		"RSET":            begin + "C> BDAT 2\\r\\nabRSET\\r\\n\nS: 250 <<.*\nS: 250 <<.*\nS: 250 2.0.0 Chunk OK\nS: 250 2.0.0 OK\n",
		"EHLO":            begin + "C> BDAT 2\\r\\nabEHLO client.example\\r\\n\nS: 250 <<.*\nS: 250 <<.*\nS: 250 2.0.0 Chunk OK\nS: 250 <<.*\nhas: REQUIRETLS\n",
		"a faulty chunk":  begin + "C> BDAT 3 LAST\\r\\na\\nb\nS: 250 <<.*\nS: 250 <<.*\nS: 550 5.6.0 <<.*\n",
		"MAIL in a chunk": "C> BDAT 44\\r\\nMAIL FROM:<a@sender.example> REQUIRETLS\\r\\nxxx\nS: 503 5.5.1 <<.*\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, implicit, trusting, relaying(true), func(o *options) { o.role.Submission = false })
			r.talk(t, "S: 220 <<.*\nC: EHLO client.example\nS: 250 <<.*\n"+script+plain)
			if all := r.Spool.Messages(); len(all) != 1 || all[0].Envelope.RequireTLS {
				t.Errorf("%d messages", len(all))
			}
		})
	}
}
