package appliancetest

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"time"
)

// A Submitter is a mail client for tests and benchmarks: one connection, and
// as many messages over it as one likes. It is not for concurrent use.
type Submitter struct {
	// Params are the parameters of MAIL, such as "REQUIRETLS".
	Params string

	conn net.Conn
	text *textproto.Conn
}

// A SubmitConfig says how to log in.
type SubmitConfig struct {
	Address  string
	TLS      *tls.Config   // STARTTLS if not nil
	Implicit bool          // TLS from the first octet
	User     string        // AUTH PLAIN if not ""
	Password string        // its password
	Timeout  time.Duration // for the whole connection; 0 is one minute
}

// DialSubmitter connects, says EHLO and logs in.
func DialSubmitter(c SubmitConfig) (*Submitter, error) {
	conn, err := net.DialTimeout("tcp", c.Address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	if c.Timeout == 0 {
		c.Timeout = time.Minute
	}
	if err := conn.SetDeadline(time.Now().Add(c.Timeout)); err != nil {
		return nil, err
	}
	s := new(Submitter)
	s.use(conn)
	if c.Implicit {
		s.use(tls.Client(conn, c.TLS))
	}
	if err := s.login(c); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Submitter) use(conn net.Conn) { s.conn, s.text = conn, textproto.NewConn(conn) }

func (s *Submitter) login(c SubmitConfig) error {
	if _, _, err := s.text.ReadResponse(220); err != nil {
		return err
	}
	if err := s.command(250, "EHLO client.test"); err != nil {
		return err
	}
	if c.TLS != nil && !c.Implicit {
		if err := s.command(220, "STARTTLS"); err != nil {
			return err
		}
		s.use(tls.Client(s.conn, c.TLS))
		if err := s.command(250, "EHLO client.test"); err != nil {
			return err
		}
	}
	if c.User == "" {
		return nil
	}
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + c.User + "\x00" + c.Password))
	return s.command(235, "AUTH PLAIN "+plain)
}

func (s *Submitter) command(code int, line string) error {
	if _, err := s.text.Cmd("%s", line); err != nil {
		return err
	}
	_, _, err := s.text.ReadResponse(code)
	return err
}

// Submit sends one message, its envelope pipelined, and returns the text of
// the 250 after the final dot. data has CRLF line ends. An error of type
// *textproto.Error is the server's answer; after any other the outcome is
// not known.
func (s *Submitter) Submit(from string, to []string, data []byte) (string, error) {
	var b bytes.Buffer
	b.WriteString(strings.TrimSpace(fmt.Sprintf("MAIL FROM:<%s> %s", from, s.Params)) + "\r\n")
	for _, r := range to {
		fmt.Fprintf(&b, "RCPT TO:<%s>\r\n", r)
	}
	b.WriteString("DATA\r\n")
	if _, err := s.conn.Write(b.Bytes()); err != nil {
		return "", err
	}
	for range 1 + len(to) {
		if _, _, err := s.text.ReadResponse(250); err != nil {
			return "", err
		}
	}
	if _, _, err := s.text.ReadResponse(354); err != nil {
		return "", err
	}
	w := s.text.DotWriter()
	if _, err := w.Write(data); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	_, msg, err := s.text.ReadResponse(250)
	return msg, err
}

// Close says QUIT and closes the connection.
func (s *Submitter) Close() {
	_, _ = s.text.Cmd("QUIT")
	s.conn.Close()
}

// Message makes a message of about size octets, with CRLF line ends.
func Message(from, to, subject string, size int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\n", from, to, subject)
	fmt.Fprintf(&b, "Date: %s\r\nMessage-ID: <%s@client.test>\r\n", time.Now().Format(time.RFC1123Z), strings.ReplaceAll(subject, " ", "."))
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n")
	const line = "The waxwing is a bird of the north that eats berries in winter.\r\n"
	for b.Len() < size {
		b.WriteString(line)
	}
	return []byte(b.String())
}
