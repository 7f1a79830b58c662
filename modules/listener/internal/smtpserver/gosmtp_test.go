package smtpserver

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// librarySession is the smallest careful backend of go-smtp: it keeps what it
// is given.
type librarySession struct {
	mu       *sync.Mutex
	from, to *[]string
	messages *[]string
}

func (s librarySession) Reset()        {}
func (s librarySession) Logout() error { return nil }

func (s librarySession) Mail(from string, _ *smtp.MailOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.from = append(*s.from, from)
	return nil
}

func (s librarySession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.to = append(*s.to, to)
	return nil
}

func (s librarySession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.messages = append(*s.messages, string(b))
	return nil
}

// startLibrary runs go-smtp's own server as its documentation says.
func startLibrary(t *testing.T) (*appliancetest.Dialogue, *librarySession) {
	t.Helper()
	s := &librarySession{mu: new(sync.Mutex), from: new([]string), to: new([]string), messages: new([]string)}
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return s, nil }))
	srv.Domain, srv.ErrorLog = "library.test", log.New(io.Discard, "", 0)
	srv.ReadTimeout, srv.WriteTimeout = 300*time.Millisecond, time.Second
	srv.EnableSMTPUTF8 = true
	srv.TLSConfig = appliancetest.NewCertificates(t).ServerConfig(appliance.TLSUse{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		_ = srv.Close()
		<-served
	})
	d := &appliancetest.Dialogue{Dial: func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }, Timeout: 3 * time.Second}
	d.Directive = func(word, arg string) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		got := map[string][]string{"from": *s.from, "to": *s.to, "messages": *s.messages}[word]
		if q := fmt.Sprintf("%q", got); q != arg {
			return errors.New(q)
		}
		return nil
	}
	return d, s
}

// TestLibraryServer is the evidence of docs/go-smtp.md: what the server of
// go-smtp v0.25.1 does with these dialogues. When one of them fails after an
// update, the library has become better, and the document is due for another
// look.
func TestLibraryServer(t *testing.T) {
	const toRcpt = "S: 220 <<.*\nC: EHLO c\nS: 250 <<.*\nC: MAIL FROM:<a@x.example>\nS: 250 <<.*\nC: RCPT TO:<b@y.example>\nS: 250 <<.*\n"
	for name, script := range map[string]string{
		"G1 never sees the end": toRcpt + "C: DATA\nS: 354 <<.*\n" +
			`C> hello\r\r\n.\r\n` + "\nS: 554 <<.*\nmessages: []",
		"G3 bare LF reaches the message": toRcpt + "C: DATA\nS: 354 <<.*\n" +
			`C> hello\n.\n\r\n.\r\n` + "\nS: 250 <<.*\n" + `messages: ["hello\n.\n\r\n"]`,
		"G4 nested MAIL": toRcpt + "C: MAIL FROM:<c@z.example>\nS: 250 <<.*\nC: DATA\nS: 354 <<.*\n" +
			`C> x\r\n.\r\n` + "\nS: 250 <<.*\n" + `messages: ["x\r\n"]` + "\n" + `from: ["a@x.example" "c@z.example"]` + "\n" + `to: ["b@y.example"]`,
		"G5 a stall is permanent, and tells an address": toRcpt + "C: DATA\nS: 354 <<.*\nC: x\nS: 554 <<.*127\\.0\\.0\\.1.*",
		"G7 a chunk becomes commands": toRcpt + "C: BDAT 15 LST\nC: NOOP injected\n" +
			"S: 501 <<.*\nS: 250 <<.*",
		"G8 quotes are lost": "S: 220 <<.*\nC: EHLO c\nS: 250 <<.*\nC: MAIL FROM:<>\nS: 250 <<.*\n" +
			`C: RCPT TO:<"u@d"@us.example>` + "\nS: 250 <<.*\n" + `to: ["u@d@us.example"]`,
		"G9 postmaster":                "S: 220 <<.*\nC: EHLO c\nS: 250 <<.*\nC: MAIL FROM:<>\nS: 250 <<.*\nC: RCPT TO:<Postmaster>\nS: 501 <<.*",
		"G11 the name is echoed":       "S: 220 <<.*\nC: " + `EHLO <script>` + "\nS: 250 <<.*\nhas: <script>",
		"G12 no check of who may talk": "S: 220 <<.*\nC: EHLO c\nC: MAIL FROM:<a@x.example>\nS: 250 <<.*\nS: 250 <<.*",
		"G13 errors without end": "S: 220 <<.*\nC: EHLO c\nS: 250 <<.*\n" +
			strings.Repeat("C: RCPT TO:<b@y.example>\nS: 502 <<.*\n", 60),
		"G14 goes on in clear": "S: 220 <<.*\nC: EHLO c\nS: 250 <<.*\nC: STARTTLS\nS: 220 <<.*\nC> NOOP\\r\nS: 550 <<.*\n" +
			"C: NOOP\nS: 250 <<.*",
		"G17 SIZE of 32 bits": "S: 220 <<.*\nC: EHLO c\nS: 250 <<.*\nC: MAIL FROM:<> SIZE=5000000000\nS: 501 <<.*",
		"a chunk that breaks off is a message": toRcpt + `C> BDAT 1000 LAST\r\nthirty octets of a thousand` + "\nhangup\nS: 250 <<.*\n" +
			`messages: ["thirty octets of a thousand"]`,
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := startLibrary(t)
			if err := d.Run(script); err != nil {
				t.Errorf("go-smtp behaves otherwise now: line %v", err)
			}
		})
	}
}

// TestLibraryClient: another implementation's client hands in mail to ours, by
// STARTTLS and AUTH, with what needs care on the way.
func TestLibraryClient(t *testing.T) {
	r := start(t, submission)
	c, err := smtp.DialStartTLS(r.srv.Addrs()[0].String(), &tls.Config{RootCAs: r.tls.Roots, ServerName: "mail.test", MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Auth(sasl.NewPlainClient("", "app", "secret")); err != nil {
		t.Fatal(err)
	}
	message := "From: a@local.test\r\nSubject: dots\r\n\r\n.\r\n..\r\ntext\r\n" + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 50_000)
	for _, rcpt := range []string{"one@elsewhere.example", "two@elsewhere.example"} {
		if err := c.SendMail("a@local.test", []string{rcpt}, strings.NewReader(message)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
	got := r.Spool.Messages()
	if len(got) != 2 {
		t.Fatalf("%d messages", len(got))
	}
	for _, m := range got {
		if _, body, _ := strings.Cut(message, "\r\n\r\n"); !bytes.Equal(m.Body, []byte("\r\n"+body)) {
			t.Errorf("the body of %s is another one (%d octets)", m.ID, len(m.Body))
		}
	}
}
