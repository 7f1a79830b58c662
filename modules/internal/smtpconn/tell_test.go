package smtpconn

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/waxwing-mail/waxwing/appliance"
)

// watched is a context that collects what is told in it.
func watched(t *testing.T) (context.Context, *[]appliance.Try) {
	var all []appliance.Try
	return appliance.WithAttemptTrace(t.Context(), &appliance.AttemptTrace{
		Tried: func(x appliance.Try) { all = append(all, x) },
	}), &all
}

// TestTold: each server that is tried is told of, in turn: why it was of no
// use, or that it answered; with the dialogue if somebody was not served.
func TestTold(t *testing.T) {
	const dialogue = "S: 220 mx.test\nC: EHLO client.test\nS: 250 mx.test / SIZE / 8BITMIME / SMTPUTF8 / DSN / PIPELINING\n"
	away := serve(t, "S: 554 5.7.1 not you\nCLOSE")
	grey := serve(t, quick+"C: MAIL\nC: RCPT\nC: RCPT\nC: DATA\nS: 250 ok\nS: 550 5.1.1 who\nS: 450 4.2.0 later\nS: 503 no\n"+quit)
	takes := serve(t, quick+"C: MAIL\nC: RCPT\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nCONTENT\nS: 250 2.0.0 ok\n"+quit)
	unknown := NewFailure("gone.test", appliance.NewReply(451, 4, 3, "cannot be looked up"))
	ctx, told := watched(t)
	rs := pool(t).Deliver(ctx, envelope("one@b.test", "two@b.test"), simple, func(yield func(Target, *Failure) bool) {
		_ = yield(Target{}, unknown) && yield(away.target(), nil) && yield(grey.target(), nil) && yield(takes.target(), nil)
	})
	check(t, rs, "550 5.1.1 remote, 250 2.0.0 remote")
	for i := range *told {
		if x := &(*told)[i]; strings.HasPrefix(x.Dialogue, dialogue) {
			x.Dialogue = x.Dialogue[len(dialogue):]
		}
	}
	want := []appliance.Try{
		{Host: "gone.test", Reply: *appliance.NewReply(451, 4, 3, "cannot be looked up")},
		{Host: "mx.test", Peer: away.addr.String(), Reply: *appliance.NewReply(451, 7, 1, "mx.test greeted with: 554 not you"), Dialogue: "S: 554 5.7.1 not you\n"},
		{Host: "mx.test", Peer: grey.addr.String(), Dialogue: "C: MAIL FROM:<from@a.test> SIZE=21\n" +
			"C: RCPT TO:<one@b.test>\nC: RCPT TO:<two@b.test>\nC: DATA\nS: 250 ok\nS: 550 5.1.1 who\nS: 450 4.2.0 later\nS: 503 no\n"},
		{Host: "mx.test", Peer: takes.addr.String()},
	}
	if diff := cmp.Diff(want, *told, cmpopts.IgnoreFields(appliance.Try{}, "Took"), cmpopts.IgnoreFields(appliance.Reply{}, "Err")); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// TestToldWithoutSecrets: the dialogue of a login shows neither the password
// nor what it is encoded as.
func TestToldWithoutSecrets(t *testing.T) {
	s := serve(t, hello+"S: 250-mx.test\nS: 250 AUTH PLAIN\nC: AUTH PLAIN\nS: 535 5.7.8 wrong\nHANG")
	ctx, told := watched(t)
	pool(t, func(c *Config) {
		c.Login = &Login{Username: "app", Password: appliance.NewSecret("hunter2-marker"), InClear: true}
	}).Deliver(ctx, envelope("one@b.test"), simple, targets(s.target()))
	if len(*told) != 1 {
		t.Fatalf("told %v", *told)
	}
	x := (*told)[0]
	if !strings.Contains(x.Dialogue, "C: AUTH PLAIN (secret)\nS: 535 5.7.8 wrong\n") ||
		strings.Contains(x.Dialogue, "hunter2") || strings.Contains(x.Dialogue, encode("\x00app\x00hunter2-marker")) {
		t.Errorf("dialogue:\n%s", x.Dialogue)
	}
}
