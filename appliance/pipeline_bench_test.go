package appliance

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"
)

// null is a Spool that takes everything and keeps nothing, so that what is
// measured is the pipeline.
type null struct{ n int64 }

func (n *null) Draft(context.Context) (Draft, error)      { return n, nil }
func (n *null) Commit(context.Context, ...Accepted) error { return nil }
func (n *null) Write(b []byte) (int, error)               { n.n += int64(len(b)); return len(b), nil }
func (n *null) Body() (Body, error)                       { return BytesBody(nil), nil }
func (n *null) Abort() error                              { return nil }

// BenchmarkPipeline takes a submitted message of 4 KiB from MAIL to 250,
// without signing and storing it.
func BenchmarkPipeline(b *testing.B) {
	p := &Pipeline{Relay: relay("out")}
	p.Open(Addr{KindPipeline, "bench"}, House{
		Hostname: "mail.example.org", Limits: DefaultSettings().Limits, Spool: new(null), Now: time.Now,
	})
	s := user()
	s.Submission = true
	content := []byte("From: Some One <a@example.org>\r\nTo: u@x.example\r\nSubject: A subject\r\nDate: Thu, 20 Aug 2026 10:00:00 +0000\r\n" +
		"Message-ID: <1@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n")
	content = append(content, strings.Repeat(strings.Repeat("x", 78)+"\r\n", (4<<10-len(content))/80)...)
	env, to := Envelope{From: box(b, "a@example.org")}, Recipient{Mailbox: box(b, "u@x.example")}
	ctx := context.Background()
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		tx, err := p.Mail(ctx, s, env)
		if err != nil {
			b.Fatal(err)
		}
		if err := p.Rcpt(ctx, tx, to); err != nil {
			b.Fatal(err)
		}
		if _, err := p.Data(ctx, tx, io.Reader(bytes.NewReader(content))); err != nil {
			b.Fatal(err)
		}
	}
}
