package main

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// Who wants another attempt of a message that is being attempted has it: "queue
// retry" says so and succeeds. Nothing to try again is a failure all the same.
func TestRetryUnderWay(t *testing.T) {
	begun, answer := make(chan struct{}), make(chan struct{})
	let := sync.OnceFunc(func() { close(answer) })
	sink := newSink(t, func(*appliancetest.SinkMessage) string {
		close(begun)
		<-answer
		return ""
	})
	defer let()
	p := newProcess(t, smarthost(sink.Addr()))
	p.start()
	c, err := appliancetest.DialSubmitter(p.login())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Submit("app@example.com", []string{"you@example.net"},
		appliancetest.Message("app@example.com", "you@example.net", "hello", 100)); err != nil {
		t.Fatal(err)
	}
	<-begun
	out, err := p.try("queue", "retry", "--recipient", "you@example.net")
	if err != nil || !strings.Contains(out, "1 delivery is being attempted at this moment") {
		t.Errorf("under way: %v\n%s", err, out)
	}
	if out, err := p.try("queue", "retry", "--recipient", "nobody@example.net"); err == nil || !strings.Contains(out, "nothing in the queue matches") {
		t.Errorf("of nobody: %v\n%s", err, out)
	}
	let()
	until(t, 10*time.Second, "it is delivered", func() bool { return strings.Contains(p.log.String(), `"msg":"delivered"`) })
}
