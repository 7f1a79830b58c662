package cmd

import (
	"crypto/tls"
	"fmt"
	"net/smtp"
	"time"
)

// send submits a message as an application does, with the SMTP client of the
// standard library.
func (d *demo) send() error {
	c, err := smtp.Dial(d.address)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer c.Close()
	// The certificate was made by this process a moment ago, and the
	// connection does not leave it.
	if err := c.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil { //nolint:gosec // see above
		return fmt.Errorf("STARTTLS: %w", err)
	}
	state, _ := c.TLSConnectionState()
	if err := c.Auth(smtp.PlainAuth("", demoUser, d.password, "127.0.0.1")); err != nil {
		return fmt.Errorf("AUTH: %w", err)
	}
	if err := d.message(c); err != nil {
		return err
	}
	d.say("Submitted a message as %s, over STARTTLS (%s) with AUTH PLAIN; it was answered 250 once it was in the queue.",
		demoFrom, tls.VersionName(state.Version))
	return c.Quit()
}

// message sends envelope and content. It leaves out Date and Message-ID, which
// a submission server adds (RFC 6409, section 8).
func (d *demo) message(c *smtp.Client) error {
	if err := c.Mail(demoFrom); err != nil {
		return fmt.Errorf("MAIL: %w", err)
	}
	if err := c.Rcpt(demoTo); err != nil {
		return fmt.Errorf("RCPT: %w", err)
	}
	w, err := c.Data()
	if err != nil {
		return fmt.Errorf("DATA: %w", err)
	}
	_, err = fmt.Fprintf(w, "From: Demo <%s>\r\nTo: <%s>\r\nSubject: Your first message\r\n\r\n"+
		"This message was submitted at %s,\r\nsigned, queued, and handed to the next hop.\r\n",
		demoFrom, demoTo, time.Now().Format(time.TimeOnly))
	if err != nil {
		return fmt.Errorf("send message: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("final dot: %w", err)
	}
	return nil
}
