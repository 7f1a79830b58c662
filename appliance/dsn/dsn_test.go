package dsn

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	received = time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)
	attempt  = received.Add(3 * time.Minute)
)

func mailbox(t testing.TB, s string) appliance.Mailbox {
	t.Helper()
	m, err := appliance.ParseMailbox(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const originalHeader = "Received: from app (app.example.com [192.0.2.7]) by mail.example.com;\r\n" +
	"\tFri, 20 Nov 2026 09:30:00 +0000\r\n" +
	"From: Ann <ann@example.com>\r\nTo: bob@example.org\r\n" +
	"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from Ann\r\n" +
	"Message-ID: <original.1@example.com>\r\n"

func original(t testing.TB, header, body string) *appliance.Message {
	t.Helper()
	h, err := appliance.ParseHeader([]byte(header))
	if err != nil {
		t.Fatal(err)
	}
	return &appliance.Message{ID: "01jd3f8a9q5rk2x7wz0m", Header: h, Body: appliance.BytesBody("\r\n" + body)}
}

// report is a failure with one recipient that a case changes.
func report(t testing.TB) Report {
	return Report{
		Action:    Failed,
		Hostname:  "mail.example.com",
		MessageID: "01jd3fzzzzzzzzzzzzzz",
		Time:      received.Add(5 * time.Minute),
		Envelope:  appliance.Envelope{From: mailbox(t, "ann@example.com")},
		Message:   original(t, originalHeader, "Hello Bob\r\n"),
		Received:  received,
		Recipients: []Recipient{{
			Recipient: appliance.Recipient{Mailbox: mailbox(t, "bob@example.org")},
			Result: appliance.Result{
				Reply:  *appliance.NewReply(550, 1, 1, "No such user here"),
				Remote: true, Host: "mx.example.org", Peer: "192.0.2.25:25",
			},
			LastAttempt: attempt,
		}},
	}
}

// TestGolden compares whole reports with testdata/*.eml; -update rewrites them.
func TestGolden(t *testing.T) {
	for _, c := range []struct {
		name, why string
		change    func(r *Report)
	}{
		{"failed", "the common case: header returned, advice on the address", func(r *Report) {}},
		{"failed_full", "RET=FULL brings the message back; ENVID and ORCPT come back decoded", func(r *Report) {
			r.Envelope.Return, r.Envelope.EnvelopeID = "FULL", "order 4711"
			r.Recipients[0].Original = "rfc822;Bob+list@example.org"
		}},
		{"failed_local", "our own finding is no smtp diagnostic and has no remote MTA", func(r *Report) {
			r.Recipients[0].Result = appliance.Result{
				Reply: *appliance.NewReply(550, 1, 2, "example.org has no mail exchanger and no address"),
			}
		}},
		{"expired", "4.4.7, and the last reply as the diagnostic", func(r *Report) {
			r.Time = received.Add(5*24*time.Hour + 40*time.Minute)
			r.Recipients[0].Status = "4.4.7"
			r.Recipients[0].Result.Reply = *appliance.NewReply(451, 7, 1, "Greylisted, please come back later")
		}},
		{"delayed", "a delay notice says until when it is tried", func(r *Report) {
			r.Action = Delayed
			r.Recipients[0].RetryUntil = received.Add(5 * 24 * time.Hour)
			r.Recipients[0].Result = appliance.Result{
				Reply: *appliance.NewReply(451, 4, 1, "mx.example.org does not answer"), Host: "mx.example.org",
			}
		}},
		{"relayed", "RFC 3461, section 5.2.2: a next hop without DSN; RET=FULL is not for this", func(r *Report) {
			r.Action, r.Envelope.Return, r.Envelope.EnvelopeID = Relayed, "FULL", "order 4711"
			r.Recipients[0].Original = "rfc822;Bob+list@example.org"
			r.Recipients[0].Result.Reply = *appliance.NewReply(250, 1, 5, "Accepted")
		}},
		{"delivered", "RFC 3464, section 2.3.3: the next hop has the mailbox, and no server after it reports", func(r *Report) {
			r.Action = Delivered
			r.Recipients[0].Result.Reply = *appliance.NewReply(250, 0, 0, "Saved")
		}},
		{"failed_full_utf8", "RFC 6533, section 5: RET=FULL of an international message to one who reads UTF-8", func(r *Report) {
			r.Envelope.From, r.Envelope.SMTPUTF8, r.Envelope.Return = mailbox(t, "анна@example.com"), true, "FULL"
			r.Recipients[0].Original = "utf-8;борис@example.org"
			r.Message = original(t, "From: <анна@example.com>\r\nSubject: привет\r\n", "Здравствуй\r\n")
		}},
		{"failed_large", "RET=FULL of a large message brings its header back", func(r *Report) {
			r.Envelope.Return = "FULL"
			r.Message = original(t, originalHeader, strings.Repeat("0123456789\r\n", maxFull/12))
		}},
		{"delayed_hostile", "H1: the replies of a next hop that is deferred are as hostile as those of one that refuses", func(r *Report) {
			r.Action, r.Recipients[0].RetryUntil = Delayed, received.Add(5*24*time.Hour)
			r.Recipients[0].Result.Host = "mx\x00\u202e.example.org\r\n.\r\nQUIT"
			r.Recipients[0].Result.Reply = appliance.Reply{Code: 450, Text: "4.2.1 later\r\n.\r\nMAIL FROM:<x>\n" + strings.Repeat("ü<script>", 300)}
		}},
		{"seven_bit", "what a program did wrong is said so that its author can mend it", func(r *Report) {
			r.Recipients[0].Result.Remote = false
			r.Recipients[0].Result.Reply = *appliance.NewReply(554, 6, 3, "The message has 8-bit content and mx.example.org does not support 8BITMIME")
		}},
		{"several", "one report for all recipients of a message that failed", func(r *Report) {
			r.Domain = "example.net"
			r.Recipients = append(r.Recipients, Recipient{
				Recipient: appliance.Recipient{Mailbox: mailbox(t, `"a b"@example.org`)},
				Result: appliance.Result{
					Reply:  appliance.Reply{Code: 552, Text: "mailbox full\nsee https://example.org/quota"},
					Remote: true, Host: "mx2.example.org",
				},
			})
		}},
		{"utf8_sender", "RFC 6533: the sender reads UTF-8, so the report is UTF-8", func(r *Report) {
			r.Envelope.From, r.Envelope.SMTPUTF8 = mailbox(t, "анна@example.com"), true
			r.Recipients[0].Mailbox = mailbox(t, "борис@example.org")
			r.Message = original(t, "From: <анна@example.com>\r\nSubject: привет\r\n", "Hello\r\n")
		}},
		{"utf8_recipient", "an ASCII sender gets a 7-bit report with the encoded address", func(r *Report) {
			r.Recipients[0].Mailbox = mailbox(t, "борис+a@example.org")
			r.Message = original(t, "From: <ann@example.com>\r\nTo: борис@example.org\r\n", "Hello\r\n")
		}},
		{"hostile", "H1: nothing that strangers wrote adds a field or a line", func(r *Report) {
			r.Envelope.EnvelopeID = "x\r\nInjected: 1\x00"
			r.Recipients[0].Original = "rfc822;a\r\nInjected: 2"
			r.Recipients[0].Result.Host = "mx\r\nInjected: 3"
			r.Recipients[0].Result.Reply.Text = "no\r\n\r\n--=_01jd3fzzzzzzzzzzzzzz\r\nInjected: 4\x1b[2J\xff"
			r.Message = original(t, "Subject: a\x00b =?utf-8?q?=0D=0AInjected:_5=E2=80=AE?=\r\n"+
				"Message-ID: <x y>\r\nX-Long: "+strings.Repeat("x", 2000)+"\r\n", "")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := report(t)
			c.change(&r)
			env, h, body := Build(r)
			got := append(h.Bytes(), body...)
			checkWire(t, env, &h, body)
			path := filepath.Join("testdata", c.name+".eml")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.why, diff)
			}
		})
	}
}

// checkWire holds what is true of every report.
func checkWire(t *testing.T, env appliance.Envelope, h *appliance.Header, body []byte) {
	t.Helper()
	if !env.From.IsNull() || len(env.Recipients) != 1 || env.Recipients[0].Notify != appliance.NotifyNever {
		t.Errorf("envelope %+v: want the null reverse-path and NOTIFY=NEVER", env)
	}
	if !hasLegalLines(body) || !hasLegalLines(h.Bytes()) {
		t.Error("a line is longer than 998 octets, or there is a bare CR, LF or NUL")
	}
	if !env.EightBit && !isPlain(body) {
		t.Error("8-bit body without BODY=8BITMIME")
	}
	if !env.SMTPUTF8 && !isPlain(h.Bytes()) {
		t.Error("8-bit header without SMTPUTF8")
	}
	for _, part := range parts(t, h, body) {
		for name := range part.Header {
			if !strings.HasPrefix(name, "Content-") {
				t.Errorf("a part has a field %q", name)
			}
		}
	}
	fields, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(h.Bytes(), "\r\n"...)))).ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range fields {
		if len(values) != 1 || strings.HasPrefix(name, "Injected") {
			t.Errorf("field %s: %q", name, values)
		}
	}
}

type parsedPart struct {
	Header  textproto.MIMEHeader
	Content string
}

// parts reads a report back with the standard library.
func parts(t *testing.T, h *appliance.Header, body []byte) []parsedPart {
	t.Helper()
	mediaType, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || mediaType != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("Content-Type %q, %v", h.Get("Content-Type"), err)
	}
	var all []parsedPart
	mr := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for {
		p, err := mr.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, parsedPart{p.Header, string(content)})
	}
	if len(all) != 3 {
		t.Fatalf("%d parts, want 3", len(all))
	}
	return all
}

// TestFields reads the delivery-status part as a program does, group by group.
func TestFields(t *testing.T) {
	r := report(t)
	r.Envelope.EnvelopeID = "order 4711"
	r.Recipients = append(r.Recipients, r.Recipients[0])
	_, h, body := Build(r)
	in := textproto.NewReader(bufio.NewReader(strings.NewReader(parts(t, &h, body)[1].Content + "\r\n")))
	message, err := in.ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(textproto.MIMEHeader{
		"Original-Envelope-Id": {"order 4711"},
		"Reporting-Mta":        {"dns; mail.example.com"},
		"Arrival-Date":         {"Fri, 20 Nov 2026 09:30:00 +0000"},
	}, message); diff != "" {
		t.Errorf("fields of the message (-want +got):\n%s", diff)
	}
	for range 2 {
		to, err := in.ReadMIMEHeader()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(textproto.MIMEHeader{
			"Final-Recipient":   {"rfc822; bob@example.org"},
			"Action":            {"failed"},
			"Status":            {"5.1.1"},
			"Remote-Mta":        {"dns; mx.example.org"},
			"Diagnostic-Code":   {"smtp; 550 5.1.1 No such user here"},
			"Last-Attempt-Date": {"Fri, 20 Nov 2026 09:33:00 +0000"},
		}, to); diff != "" {
			t.Errorf("fields of a recipient (-want +got):\n%s", diff)
		}
	}
}

// TestNotify is the matrix of RFC 3461, section 4.1 (P7).
func TestNotify(t *testing.T) {
	const success, failure, delay = appliance.NotifySuccess, appliance.NotifyFailure, appliance.NotifyDelay
	for _, c := range []struct {
		notify appliance.Notify
		wanted appliance.Notify
	}{
		{0, failure | delay},
		{appliance.NotifyNever, 0},
		{success, success},
		{failure, failure},
		{delay, delay},
		{success | failure, success | failure},
		{success | failure | delay, success | failure | delay},
	} {
		for _, event := range []appliance.Notify{success, failure, delay} {
			env := appliance.Envelope{From: mailbox(t, "ann@example.com")}
			to := appliance.Recipient{Notify: c.notify}
			if got, want := Wanted(&env, &to, event), c.wanted&event != 0; got != want {
				t.Errorf("NOTIFY %04b, event %04b: %v, want %v", c.notify, event, got, want)
			}
			if Wanted(&appliance.Envelope{}, &to, event) {
				t.Errorf("NOTIFY %04b, event %04b: a report for the null reverse-path", c.notify, event)
			}
		}
	}
}

func TestBuildRefusesNullReversePath(t *testing.T) {
	r := report(t)
	r.Envelope.From = appliance.Mailbox{}
	defer func() {
		if recover() == nil {
			t.Error("a report to the null reverse-path was made")
		}
	}()
	Build(r)
}

type brokenBody struct{}

func (brokenBody) Open() (io.ReadCloser, error) { return nil, errors.New("gone") }
func (brokenBody) Size() int64                  { return 10 }

// TestReturn says when the whole message comes back, and how.
func TestReturn(t *testing.T) {
	big := strings.Repeat(strings.Repeat("x", 70)+"\r\n", 2000)
	for _, c := range []struct {
		name      string
		change    func(r *Report)
		mediaType string
		eightBit  bool
	}{
		{"nothing said", func(r *Report) {}, "text/rfc822-headers", false},
		{"HDRS", func(r *Report) { r.Envelope.Return = "HDRS" }, "text/rfc822-headers", false},
		{"FULL", func(r *Report) { r.Envelope.Return = "FULL" }, "message/rfc822", false},
		{"FULL but large", func(r *Report) {
			r.Envelope.Return, r.Message = "FULL", original(t, originalHeader, big)
		}, "text/rfc822-headers", false},
		{"FULL but the body cannot be read", func(r *Report) {
			r.Envelope.Return, r.Message.Body = "FULL", brokenBody{}
		}, "text/rfc822-headers", false},
		{"FULL but 8-bit and not declared", func(r *Report) {
			r.Envelope.Return, r.Message = "FULL", original(t, originalHeader, "gr\xfc\xdfe\r\n")
		}, "text/rfc822-headers", false},
		{"FULL and declared 8-bit", func(r *Report) {
			r.Envelope.Return, r.Message = "FULL", original(t, originalHeader, "gr\xfc\xdfe\r\n")
			r.Envelope.EightBit = true
		}, "message/rfc822", true},
		{"FULL with a line of 999", func(r *Report) {
			r.Envelope.Return, r.Message = "FULL", original(t, originalHeader, strings.Repeat("x", 999)+"\r\n")
			r.Envelope.EightBit = true
		}, "text/rfc822-headers", false},
		{"FULL but REQUIRETLS (RFC 8689)", func(r *Report) {
			r.Envelope.Return, r.Envelope.RequireTLS = "FULL", true
		}, "text/rfc822-headers", false},
		{"FULL but not a failure (RFC 3461, section 4.3)", func(r *Report) {
			r.Envelope.Return, r.Action = "FULL", Delayed
		}, "text/rfc822-headers", false},
		{"a huge header", func(r *Report) {
			r.Message = original(t, originalHeader+strings.Repeat("X-Filler: "+strings.Repeat("y", 60)+"\r\n", 5000), "")
		}, "text/rfc822-headers", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := report(t)
			c.change(&r)
			env, h, body := Build(r)
			checkWire(t, env, &h, body)
			got := parts(t, &h, body)[2]
			if ct := got.Header.Get("Content-Type"); ct != c.mediaType || env.EightBit != c.eightBit {
				t.Errorf("%s, 8-bit %v; want %s, %v", ct, env.EightBit, c.mediaType, c.eightBit)
			}
			if !strings.Contains(got.Content, "Ann <ann@example.com>") {
				t.Errorf("the header did not come back: %.200q", got.Content)
			}
			if len(body) > maxFull+4096 {
				t.Errorf("report of %d octets", len(body))
			}
		})
	}
}

// FuzzBuild gives every place that a stranger can write to anything.
func FuzzBuild(f *testing.F) {
	f.Add("ann@example.com", "id", "rfc822;x@y", "mx", "text", []byte("Subject: x\r\n"))
	f.Add("анна@example.com", "\r\n", "utf-8;\xff", "\x00", "a\nb\r\n--=_id\r\n", []byte("Subject: =?utf-8?q?=0D=0A?=\r\n"))
	f.Fuzz(func(t *testing.T, from, envid, orcpt, host, text string, header []byte) {
		m, err := appliance.ParseMailbox(from)
		if err != nil || m.IsNull() {
			t.Skip()
		}
		h, err := appliance.ParseHeader(header)
		if err != nil {
			t.Skip()
		}
		r := report(t)
		r.Envelope = appliance.Envelope{From: m, EnvelopeID: envid, Return: "FULL"}
		r.Message.Header = h
		r.Recipients[0].Original = orcpt
		r.Recipients[0].Result.Host, r.Recipients[0].Result.Reply.Text = host, text
		env, dh, body := Build(r)
		checkWire(t, env, &dh, body)
	})
}
