package smtpserver

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/waxwing-mail/waxwing/appliance"
)

// framings are S1 to S16: what some server somewhere takes for the end of a
// message. fault is the reply expected; "" means that the message is fine.
var framings = []struct{ id, wire, fault string }{
	{"S1", "text\n.\n", "bare LF"},
	{"S2", "text\n.\r\n", "bare LF"},
	{"S3", "text\n.\r", "bare LF"},
	{"S4", "text\r.\r", "bare CR"},
	{"S5", "text\r.\r\n", "bare CR"},
	{"S6", "text\r.\n", "bare CR"},
	{"S7", "text\r\n.\n", "bare LF"},
	{"S8", "text\r\n.\r", "bare CR"},
	{"S9", "text\r\n\x00.\r\n", "NUL"},
	{"S10", "text\r\n.\x00\r\n", "NUL"},
	{"S11", "text\r", "bare CR"},
	{"S12", "text\r\n.\r", "bare CR"},
	{"S13", "text\r\n..\r\n.x", ""},
}

// smuggled is what an attacker wants the next server to see.
const smuggled = "MAIL FROM:<smuggled@sender.example>\r\nRCPT TO:<victim@local.test>\r\nDATA\r\nevil"

func escape(s string) string {
	return strings.NewReplacer("\\", `\\`, "\r", `\r`, "\n", `\n`, "\x00", `\0`).Replace(s)
}

// TestS_Framing: there is one message or none, whatever the segments are, and
// the session goes on in step.
func TestS_Framing(t *testing.T) {
	for _, w := range wires {
		for i := range 2 * len(framings) {
			f, split := framings[i/2], i%2 == 1
			t.Run(fmt.Sprintf("%s/octets=%v%s", f.id, split, w.name), func(t *testing.T) {
				r := start(t, w.opt)
				d := r.dialogue()
				d.Split = split
				want, accepted := "550 5.6.0 The message contains a "+f.fault+"; <<.*", 0
				if f.fault == "" {
					want, accepted = "250 2.0.0 queued as <<.*", 1
				}
				// S11 and S12 are about what ends the message right after them.
				between := smuggled
				if f.id == "S11" || f.id == "S12" {
					between = ""
				}
				err := d.Run(fmt.Sprintf(`S: 220 <<.*
C: EHLO client.example
S: 250 <<.*
C: MAIL FROM:<a@sender.example>
S: 250 <<.*
C: RCPT TO:<b@local.test>
S: 250 <<.*
C: DATA
S: 354 <<.*
C> %s\r\n.\r\n
C: QUIT
S: %s
S: 221 <<.*
close
accepted: %d
`, escape(f.wire+between), want, accepted))
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestS14_Chunks: BDAT refuses what DATA refuses, wherever the chunks are cut.
func TestS14_Chunks(t *testing.T) {
	tried := 0
	for _, w := range wires {
		for _, f := range framings {
			if f.fault == "" {
				continue
			}
			for cut := range len(f.wire) + 1 {
				tried++
				refusesChunks(t, f.id+w.name, f.wire+smuggled, cut, false, w.opt)
			}
			refusesChunks(t, f.id+w.name+" in octets", f.wire+smuggled, len(f.wire), true, w.opt)
		}
	}
	t.Attr("tried", strconv.Itoa(tried))
}

// refusesChunks sends content in two chunks.
func refusesChunks(t *testing.T, name, content string, cut int, split bool, opt func(*options)) {
	t.Helper()
	r := start(t, opt)
	d := r.dialogue()
	d.Split = split
	err := d.Run(fmt.Sprintf(`S: 220 <<.*
C: EHLO client.example
S: 250 <<.*
C: MAIL FROM:<a@sender.example>
C: RCPT TO:<b@local.test>
C> BDAT %d\r\n%s
S: 250 <<.*
S: 250 <<.*
S: <<(250 2.0.0 Chunk OK|550 5.6.0 .*)
C> BDAT %d LAST\r\n%s
S: <<(550 5.6.0|503 5.5.1) .*
C: QUIT
S: 221 <<.*
close
accepted: 0
`, cut, escape(content[:cut]), len(content)-cut, escape(content[cut:])))
	if err != nil {
		t.Errorf("%s cut at %d: %v", name, cut, err)
	}
	r.stop(t)
}

// readContent runs a dataReader over wire and says what it made of it: the
// content, the fault, and what is left unread.
func readContent(wire io.Reader, size int) (content []byte, rest []byte, err error) {
	br := bufio.NewReaderSize(wire, max(size, 16))
	d := newDataReader(br)
	content, err = io.ReadAll(d)
	if err != nil {
		if lost := d.discard(); lost != nil {
			return nil, nil, lost
		}
	}
	rest, _ = io.ReadAll(br)
	return content, rest, err
}

// trueEnd is the oracle: the first CRLF.CRLF, with the CRLF of the command
// before it.
func trueEnd(wire []byte) int {
	i := bytes.Index(append([]byte("\r\n"), wire...), []byte("\r\n.\r\n"))
	if i < 0 {
		return -1
	}
	return i + 3 // less the CRLF put before, and past the five octets
}

// TestS13_Unstuffing: dots are removed where they were added, and lines of any
// length pass a buffer of any size.
func TestS13_Unstuffing(t *testing.T) {
	long := strings.Repeat("x", maxText)
	for _, c := range []struct{ wire, want string }{
		{".\r\n", ""},
		{"\r\n.\r\n", "\r\n"},
		{"..\r\n.\r\n", ".\r\n"},
		{".x\r\n.\r\n", "x\r\n"},
		{"...\r\n.\r\n", "..\r\n"},
		{"a.\r\n.\r\n", "a.\r\n"},
		{"X: y\r\n\r\n..\r\n.\r\n", "X: y\r\n\r\n.\r\n"},
		{long + "\r\n.\r\n", long + "\r\n"},
		{"." + long + "\r\n.\r\n", long + "\r\n"},               // the added dot does not count
		{"0123456789abcdef.\r\n.\r\n", "0123456789abcdef.\r\n"}, // a buffer of 16 begins with the dot
	} {
		for _, size := range []int{16, 17, 64, 999, 1000, 1001, readBuffer} {
			for name, wire := range map[string]io.Reader{
				"whole":  strings.NewReader(c.wire + "QUIT\r\n"),
				"octets": iotest.OneByteReader(strings.NewReader(c.wire + "QUIT\r\n")),
			} {
				got, rest, err := readContent(wire, size)
				if string(got) != c.want || string(rest) != "QUIT\r\n" || err != nil {
					t.Errorf("%.20q, buffer %d, %s: content %.20q, rest %q, %v", c.wire, size, name, got, rest, err)
				}
			}
		}
	}
}

// TestLongLines: 998 octets pass, 999 do not unless they are going to be mended,
// in either way of sending.
func TestLongLines(t *testing.T) {
	wire := strings.Repeat("x", maxText+1) + "\r\n.\r\nQUIT\r\n"
	for _, size := range []int{16, 998, 1000, readBuffer} {
		_, rest, err := readContent(strings.NewReader(wire), size)
		if !errors.Is(err, errContentLine) || string(rest) != "QUIT\r\n" {
			t.Errorf("buffer %d: rest %q, %v", size, rest, err)
		}
	}
	var c checker
	c.scan([]byte(strings.Repeat("x", maxText) + "\r"))
	c.scan([]byte("\n"))
	if c.fault != nil {
		t.Errorf("998 octets: %v", c.fault)
	}
	c.scan([]byte(strings.Repeat("x", maxText+1)))
	if c.fault != errContentLine {
		t.Errorf("999 octets: %v", c.fault)
	}
	c = checker{mends: true}
	c.scan([]byte("x\r\n" + strings.Repeat("x", maxText)))
	if c.long {
		t.Error("998 octets are to be mended")
	}
	c.scan([]byte("x\r\nx\r\n"))
	if c.fault != nil || !c.long || c.length != 0 {
		t.Errorf("999 octets, to be mended: %v, %+v", c.fault, c)
	}
}

// TestBrokenOff: content that ends without CRLF.CRLF is an error and never an
// end.
func TestBrokenOff(t *testing.T) {
	for _, wire := range []string{"", ".", ".\r", "text", "text\r\n", "text\r\n.", "text\r\n.\r"} {
		_, _, err := readContent(strings.NewReader(wire), 64)
		if !errors.Is(err, io.ErrUnexpectedEOF) || !appliance.ReplyTo(err).Temporary() {
			t.Errorf("%q: %v", wire, err)
		}
	}
}

// FuzzData holds the reader against the oracle: it ends where the oracle says
// and only there, in every segmentation, and what it lets through is clean.
func FuzzData(f *testing.F) {
	for _, fr := range framings {
		f.Add([]byte(fr.wire+"\r\n.\r\n"), uint8(16))
		f.Add([]byte(fr.wire+smuggled+"\r\n.\r\nQUIT\r\n"), uint8(64))
	}
	f.Add([]byte(".\r\n"), uint8(0))
	f.Add([]byte("..\r\n.\r\n.\r\n"), uint8(1))
	f.Add([]byte(strings.Repeat("x", 1200)+"\r\n.\r\n"), uint8(200))
	f.Fuzz(func(t *testing.T, wire []byte, size uint8) {
		got, rest, err := readContent(bytes.NewReader(wire), int(size))
		again, restAgain, errAgain := readContent(iotest.OneByteReader(bytes.NewReader(wire)), 16)
		end := trueEnd(wire)
		if end < 0 {
			if !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(errAgain, io.ErrUnexpectedEOF) {
				t.Fatalf("no end, and yet: %v, %v", err, errAgain)
			}
			return
		}
		if !bytes.Equal(rest, wire[end:]) || !bytes.Equal(restAgain, wire[end:]) {
			t.Fatalf("ends at %d and %d, not at %d", len(wire)-len(rest), len(wire)-len(restAgain), end)
		}
		if (err == nil) != (errAgain == nil) { // of two faults in a line either may be named
			t.Fatalf("segments matter: %v, %v", err, errAgain)
		}
		if err != nil {
			return
		}
		if !bytes.Equal(got, again) {
			t.Fatalf("segments matter: %q, %q", got, again)
		}
		clean := bytes.ReplaceAll(got, []byte("\r\n"), nil)
		if bytes.ContainsAny(clean, "\r\n\x00") {
			t.Fatalf("not clean: %q", got)
		}
		if len(got) > 0 && !bytes.HasSuffix(got, []byte("\r\n")) {
			t.Fatalf("last line has no end: %q", got)
		}
	})
}

// FuzzChecker: the verdict does not depend on how the content is cut.
func FuzzChecker(f *testing.F) {
	for _, fr := range framings {
		f.Add([]byte(fr.wire), uint8(3))
	}
	f.Fuzz(func(t *testing.T, content []byte, cut uint8) {
		var whole, parts checker
		whole.scan(content)
		i := min(int(cut), len(content))
		parts.scan(content[:i])
		parts.scan(content[i:])
		whole.end()
		parts.end()
		if (whole.fault == nil) != (parts.fault == nil) {
			t.Fatalf("%v whole, %v in two parts", whole.fault, parts.fault)
		}
		clean := bytes.ReplaceAll(content, []byte("\r\n"), nil)
		if whole.fault == nil && bytes.ContainsAny(clean, "\r\n\x00") {
			t.Fatalf("%q passed", content)
		}
	})
}
