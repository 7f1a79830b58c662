package smtpserver

import (
	"bufio"
	"context"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// devNull takes every message and keeps none.
type devNull struct{}

func (devNull) Draft(context.Context) (appliance.Draft, error)      { return devNull{}, nil }
func (devNull) Commit(context.Context, ...appliance.Accepted) error { return nil }
func (devNull) Write(p []byte) (int, error)                         { return len(p), nil }
func (devNull) Body() (appliance.Body, error)                       { return appliance.BytesBody(nil), nil }
func (devNull) Abort() error                                        { return nil }

// BenchmarkMessage is one client on the loopback interface that pipelines
// messages of 10 KB: the time is that of a message. The client and what is around
// the server make no garbage.
func BenchmarkMessage(b *testing.B) {
	house := appliancetest.NewHouse(b, func(_ *appliancetest.House, h *appliance.House) {
		h.Spool, h.Events = devNull{}, appliance.EventFunc(func(appliance.Event) {})
	})
	srv := new(Server)
	if err := srv.Provision(&appliance.Context{Limits: appliance.DefaultSettings().Limits}, DefaultSettings("127.0.0.1:0"), Role{}); err != nil {
		b.Fatal(err)
	}
	srv.Attach(house.Pipeline)
	if err := srv.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	r := &rig{House: house, srv: srv}
	c, err := r.dial()
	if err != nil {
		b.Fatal(err)
	}
	br := bufio.NewReader(c)
	send := func(text []byte, replies int) {
		if _, err := c.Write(text); err != nil {
			b.Fatal(err)
		}
		for range replies {
			if line, err := br.ReadSlice('\n'); err != nil || line[0] == '5' || line[0] == '4' {
				b.Fatal(string(line), err)
			}
		}
	}
	send(nil, 1) // the greeting
	send([]byte("HELO client.example\r\n"), 1)
	envelope := []byte("MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@local.test>\r\nDATA\r\n")
	content := []byte("Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 130) + ".\r\n")
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		send(envelope, 3)
		send(content, 1)
	}
	_ = c.Close()
	_ = srv.Stop(context.Background())
}
