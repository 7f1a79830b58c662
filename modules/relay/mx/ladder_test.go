package mx

import (
	"fmt"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/relay/internal/fallback"
	"github.com/waxwing-mail/waxwing/modules/relay/smarthost"
)

// provider is a smarthost at a server of a test.
func provider(t *testing.T, s *picky) appliance.Ref[appliance.Relay] {
	t.Helper()
	h := smarthost.New()
	h.Address, h.TLS = fmt.Sprintf("127.0.0.1:%d", s.port), "none"
	if err := h.Provision(&appliance.Context{Hostname: "mail.us.test"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return appliance.RefTo[appliance.Relay](appliance.Addr{Kind: appliance.KindRelay, Name: "provider"}, h)
}

// TestLadderWhole climbs it in one attempt, with the queue that does the last
// step: an address of the exchanger where nobody is, one that does not want our
// first address, the other family, our second address, and the smarthost. It is
// delivered once; the next message is spared our second address.
func TestLadderWhole(t *testing.T) {
	refuse := func(_, line string) string {
		if strings.HasPrefix(line, "RCPT") {
			return listed
		}
		return ""
	}
	four := listenPicky(t, "127.0.0.1:0", refuse)
	six := listenSix(t, four.port, refuse)
	last := listenPicky(t, "127.0.0.1:0", func(string, string) string { return "" })
	m := provision(t, zone{"MX a.test": "10 mx.test", "A mx.test": "127.0.0.66, 127.0.0.1, ::1"}, func(m *MX) {
		loopback(four.port)(m)
		m.AllowNetworks = append(m.AllowNetworks, "::1")
		m.SendFrom = []SendFrom{{Address: "127.0.0.9"}, {Address: "127.0.0.10"}, {Address: "::1"}}
		m.Fallback = &fallback.Settings{Relay: provider(t, last), On: []string{"reputation"}}
	})
	events := make(chan appliance.Event, 10)
	e := queued(t, m, func(ev appliance.Event) { events <- ev })
	for _, want := range [][]string{
		{"127.0.0.9 MAIL FROM, 127.0.0.9 RCPT TO, 127.0.0.10 MAIL FROM, 127.0.0.10 RCPT TO", "::1 MAIL FROM, ::1 RCPT TO"},
		{"127.0.0.9 MAIL FROM, 127.0.0.9 RCPT TO", "::1 MAIL FROM, ::1 RCPT TO"},
	} {
		queueMessage(t, e, "u@a.test")
		if ev := final(t, events); ev.Kind != appliance.EventDelivered || ev.Attempt != 1 {
			t.Fatalf("%+v", ev)
		}
		if diff := gocmp.Diff(want, []string{four.heard(), six.heard()}); diff != "" {
			t.Error(diff)
		}
		if got := last.heard(); got != "127.0.0.1 MAIL FROM, 127.0.0.1 RCPT TO, 127.0.0.1 DATA, 127.0.0.1 ." {
			t.Errorf("the smarthost heard %s", got)
		}
	}
}

// final waits for how the only message ends.
func final(t *testing.T, events <-chan appliance.Event) appliance.Event {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case ev := <-events:
			if ev.Kind.Final() {
				return ev
			}
		case <-timeout:
			t.Fatal("the message does not end")
		}
	}
}
