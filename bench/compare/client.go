package compare

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/bench/peers"
)

// clientTime is how long a client waits for anything.
const clientTime = time.Minute

// A client submits messages over one connection. It uses PIPELINING where
// it is offered (RFC 2920), as good clients do.
type client struct {
	conn       net.Conn
	r          *bufio.Reader
	pipelining bool
	limit      time.Duration // for each answer
}

// dial connects and says EHLO; with a TLS configuration it also says STARTTLS
// and logs in.
func dial(address string, login *tls.Config) (*client, error) {
	return dialWithin(address, login, clientTime)
}

func dialWithin(address string, login *tls.Config, limit time.Duration) (*client, error) {
	conn, err := net.DialTimeout("tcp", address, limit)
	if err != nil {
		return nil, err
	}
	c := &client{limit: limit}
	c.use(conn)
	if err := c.greet(login); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *client) use(conn net.Conn) { c.conn, c.r = conn, bufio.NewReaderSize(conn, 2048) }

func (c *client) greet(login *tls.Config) error {
	if err := c.conn.SetDeadline(time.Now().Add(c.limit)); err != nil {
		return err
	}
	if err := c.expect("220"); err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if err := c.ehlo(); err != nil || login == nil {
		return err
	}
	if err := c.say("220", "STARTTLS"); err != nil {
		return err
	}
	c.use(tls.Client(c.conn, login))
	if err := c.ehlo(); err != nil {
		return err
	}
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + peers.User + "\x00" + peers.Password))
	return c.say("235", "AUTH PLAIN "+plain)
}

func (c *client) ehlo() error {
	c.pipelining = false
	if err := c.write([]byte("EHLO client.test\r\n")); err != nil {
		return err
	}
	return c.reply("250", func(line []byte) {
		c.pipelining = c.pipelining || strings.EqualFold(string(line), "PIPELINING")
	})
}

// say sends a line and expects an answer. A verb is all that an error tells of
// the line: behind AUTH there is a password.
func (c *client) say(code, line string) error {
	if err := c.write([]byte(line + "\r\n")); err != nil {
		return err
	}
	if err := c.expect(code); err != nil {
		verb, _, _ := strings.Cut(line, " ")
		return fmt.Errorf("%s: %w", verb, err)
	}
	return nil
}

func (c *client) write(b []byte) error {
	if err := c.conn.SetDeadline(time.Now().Add(c.limit)); err != nil {
		return err
	}
	_, err := c.conn.Write(b)
	return err
}

func (c *client) expect(code string) error { return c.reply(code, func([]byte) {}) }

// reply reads an answer and hands the text of each line to a function.
func (c *client) reply(code string, each func(text []byte)) error {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) < 3 || string(line[:3]) != code {
			return fmt.Errorf("the answer is %q, not %s", line, code)
		}
		if len(line) == 3 || line[3] == ' ' {
			each(line[min(4, len(line)):])
			return nil
		}
		each(line[4:])
	}
}

const (
	mailFrom = "MAIL FROM:<" + peers.Sender + ">"
	rcptTo   = "RCPT TO:<" + peers.Recipient + ">"
	envelope = mailFrom + "\r\n" + rcptTo + "\r\nDATA\r\n"
)

// submit sends a message and returns when it has been answered 250.
func (c *client) submit(m *message) error {
	if err := c.envelope(); err != nil {
		return err
	}
	if err := c.write(m.wire); err != nil {
		return err
	}
	if err := c.expect("250"); err != nil {
		return fmt.Errorf("final dot: %w", err)
	}
	return nil
}

func (c *client) envelope() error {
	if !c.pipelining {
		for _, step := range [][2]string{{"250", mailFrom}, {"250", rcptTo}, {"354", "DATA"}} {
			if err := c.say(step[0], step[1]); err != nil {
				return err
			}
		}
		return nil
	}
	if err := c.write([]byte(envelope)); err != nil {
		return err
	}
	for _, step := range [][2]string{{"250", "MAIL"}, {"250", "RCPT"}, {"354", "DATA"}} {
		if err := c.expect(step[0]); err != nil {
			return fmt.Errorf("%s: %w", step[1], err)
		}
	}
	return nil
}

// quit ends the connection politely: the server closes it first.
func (c *client) quit() error {
	err := c.say("221", "QUIT")
	c.conn.Close()
	return err
}
