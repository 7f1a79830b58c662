package appliancetest

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A Dialogue talks to an SMTP server as a file says. Lines of the file:
//
//	# comment            (an empty line means nothing either)
//	C: EHLO client       sends the line and CRLF
//	C> text\r\n.\r\n     sends exactly this; \r \n \t \0 \\ \x7f are octets
//	S: 250 2.0.0 OK      reads a whole reply; its last line must be this
//	S: 250 <<queued.*    … or begin with what stands before << and go on as the
//	                     regular expression after it
//	has: regexp          a line of the last reply matches
//	lacks: regexp        no line of the last reply matches
//	close                the server closes the connection
//	starttls             makes a TLS handshake
//	hangup               closes the client's side for writing
//	connect              hangs up and connects anew
//	whole                the file makes sense only with whole segments
//
// C lines that follow each other without an S in between leave in one segment,
// so that a group can be pipelined. Other first words are given to Directive.
type Dialogue struct {
	Dial func() (net.Conn, error)
	// Split sends each octet in a segment of its own.
	Split bool
	// Directive carries out lines that begin with a word not listed above.
	Directive func(word, arg string) error
	// TLS is the configuration of the client for starttls; nil verifies nothing.
	TLS *tls.Config
	// Timeout bounds each read and write. 0 is 10 seconds.
	Timeout time.Duration

	conn  net.Conn
	r     *bufio.Reader
	out   []byte // not sent yet
	reply []string
}

// RunDialogues runs every file that matches pattern as a subtest, once with
// whole segments and once octet by octet. start makes a fresh server for each.
func RunDialogues(t *testing.T, pattern string, start func(t *testing.T) *Dialogue) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogues match %s (%v)", pattern, err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".dlg")
		for _, split := range []bool{false, true} {
			if split && onlyWhole(string(src)) {
				continue
			}
			t.Run(name+map[bool]string{false: "/whole", true: "/S16_octets"}[split], func(t *testing.T) {
				t.Attr("tried", strconv.Itoa(inputs(string(src))))
				d := start(t)
				d.Split = split
				if err := d.Run(string(src)); err != nil {
					t.Errorf("%s:%v", file, err)
				}
			})
		}
	}
}

// inputs counts what the client sends, for those who count what is tried.
func inputs(src string) int { return len(regexp.MustCompile(`(?m)^C[:>]`).FindAllString(src, -1)) }

func onlyWhole(src string) bool {
	return regexp.MustCompile(`(?m)^whole$`).MatchString(src)
}

// Run runs one script. The error names the line.
func (d *Dialogue) Run(script string) (err error) {
	if d.Timeout == 0 {
		d.Timeout = 10 * time.Second
	}
	if err := d.connect(); err != nil {
		return fmt.Errorf("1: %w", err)
	}
	defer func() { err = errors.Join(err, d.hangUp()) }()
	n := 0
	for line := range strings.SplitSeq(script, "\n") {
		n++
		if err := d.step(line); err != nil {
			return fmt.Errorf("%d: %s: %w", n, line, err)
		}
	}
	d.flush()
	return nil
}

func (d *Dialogue) connect() (err error) {
	if d.conn, err = d.Dial(); err != nil {
		return err
	}
	d.r = bufio.NewReader(d.conn)
	return nil
}

func (d *Dialogue) hangUp() error {
	err := d.conn.Close()
	if _, secure := d.conn.(*tls.Conn); secure || errors.Is(err, net.ErrClosed) {
		return nil // a server that has hung up cannot be told that TLS ends
	}
	return err
}

func (d *Dialogue) step(line string) error {
	word, arg, _ := strings.Cut(line, " ")
	switch word {
	case "", "whole":
		return nil
	case "C:", "C>":
		octets, err := unescape(arg)
		d.out = append(d.out, octets...)
		if word == "C:" {
			d.out = append(d.out, "\r\n"...)
		}
		return err
	}
	if strings.HasPrefix(word, "#") {
		return nil
	}
	d.flush()
	switch word {
	case "S:":
		return d.expect(arg)
	case "has:", "lacks:":
		return d.examine(arg, word == "has:")
	case "close":
		return d.expectClose()
	case "starttls":
		return d.startTLS()
	case "hangup":
		return d.closeWrite()
	case "connect":
		return errors.Join(d.hangUp(), d.connect())
	}
	if d.Directive == nil {
		return errors.New("unknown directive")
	}
	return d.Directive(strings.TrimSuffix(word, ":"), arg)
}

// flush sends what has gathered, in one segment or octet by octet. That the
// server does not want it any more is for the next line of the file to judge.
func (d *Dialogue) flush() {
	out := d.out
	d.out = nil
	_ = d.conn.SetDeadline(time.Now().Add(d.Timeout))
	if len(out) == 0 {
		return
	}
	if !d.Split {
		_, _ = d.conn.Write(out)
		return
	}
	for i := range out {
		if _, err := d.conn.Write(out[i : i+1]); err != nil {
			return
		}
	}
}

// expect reads a reply, all its lines (RFC 5321, section 4.2.1).
func (d *Dialogue) expect(want string) error {
	d.reply = nil
	for {
		line, err := d.r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("no reply, read %q: %w", d.reply, err)
		}
		line, ok := strings.CutSuffix(line, "\r\n")
		if !ok || len(line) < 4 || len(line) > 510 {
			return fmt.Errorf("%q is not a reply line", line)
		}
		d.reply = append(d.reply, line)
		if line[3] == ' ' {
			return matchLine(line, want)
		}
	}
}

func matchLine(line, want string) error {
	prefix, pattern, isPattern := strings.Cut(want, "<<")
	if !isPattern {
		if line != want {
			return fmt.Errorf("got %q", line)
		}
		return nil
	}
	re, err := regexp.Compile("^" + regexp.QuoteMeta(prefix) + "(?:" + pattern + ")$")
	if err != nil {
		return err
	}
	if !re.MatchString(line) {
		return fmt.Errorf("got %q", line)
	}
	return nil
}

func (d *Dialogue) examine(pattern string, want bool) error {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	for _, line := range d.reply {
		if re.MatchString(line) {
			if want {
				return nil
			}
			return fmt.Errorf("reply has %q", line)
		}
	}
	if want {
		return fmt.Errorf("not in the reply %q", d.reply)
	}
	return nil
}

func (d *Dialogue) expectClose() error {
	rest, err := io.ReadAll(d.r)
	if len(rest) > 0 {
		return fmt.Errorf("more replies: %q", rest)
	}
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("not closed: %w", err)
	}
	return nil // closed, in order or not
}

func (d *Dialogue) startTLS() error {
	config := d.TLS
	if config == nil {
		config = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // a test client
	}
	c := tls.Client(d.conn, config)
	if err := c.Handshake(); err != nil {
		return err
	}
	d.conn, d.r = c, bufio.NewReader(c)
	return nil
}

func (d *Dialogue) closeWrite() error {
	half, ok := d.conn.(interface{ CloseWrite() error })
	if !ok {
		return fmt.Errorf("a %T cannot be closed for writing alone", d.conn)
	}
	return half.CloseWrite()
}

// unescape reads the escapes of a C line.
func unescape(s string) ([]byte, error) {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		i++
		if i == len(s) {
			return nil, errors.New("backslash at the end")
		}
		switch s[i] {
		case 'r':
			out = append(out, '\r')
		case 'n':
			out = append(out, '\n')
		case 't':
			out = append(out, '\t')
		case '0':
			out = append(out, 0)
		case '\\':
			out = append(out, '\\')
		case 'x':
			if i+2 >= len(s) {
				return nil, errors.New(`\x needs two digits`)
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return nil, err
			}
			out = append(out, byte(n))
			i += 2
		default:
			return nil, fmt.Errorf(`unknown escape \%c`, s[i])
		}
	}
	return out, nil
}
