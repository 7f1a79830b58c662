package cmd

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/config"
	"github.com/waxwing-mail/waxwing/appliance/queue"
)

//go:embed demo.hcl
var demoConfig string

// What stands in demoConfig.
const (
	demoSubmission = "127.0.0.1:2587"
	demoNextHop    = "127.0.0.1:2525"
	demoPassword   = "WAXWING_DEMO_PASSWORD"
	demoUser       = "app"
	demoFrom       = "app@waxwing.example"
	demoTo         = "someone@elsewhere.example"
)

const (
	demoStartTime = time.Minute      // making an RSA key on a small machine included
	demoTimeout   = 30 * time.Second // from the 250 to the next hop
	demoStopTime  = 10 * time.Second
)

func demoCommand() *cobra.Command {
	var once, printConfig bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "send a message through a whole server on this machine and show what comes out",
		Long: `demo starts the server on loopback ports with a built-in configuration, a self-signed certificate, one user and
a freshly made DKIM key. It submits a message over SMTP with STARTTLS and AUTH, shows the message as the next hop got
it, verifies its DKIM signature, and prints the DNS records one would publish. Then it keeps running, so that you can
send more, until Ctrl-C. Nothing leaves the machine and nothing is left on it.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if printConfig {
				_, err := io.WriteString(c.OutOrStdout(), demoConfig)
				return err
			}
			return runDemo(c.Context(), c.OutOrStdout(), once)
		},
	}
	c.Flags().BoolVar(&once, "once", false, "end after the first message; exit 0 only if its signature verified")
	c.Flags().BoolVar(&printConfig, "print-config", false, "print the built-in configuration and exit")
	return c
}

// demo is the server of the demo and what it has to show.
type demo struct {
	out       io.Writer
	appliance *appliance.Appliance
	address   string // of the submission listener
	password  string
	arrived   chan appliance.QueueID // ids at the next hop
}

func runDemo(ctx context.Context, out io.Writer, once bool) (err error) {
	d := &demo{out: out, arrived: make(chan appliance.QueueID, 100), password: demoSecret()}
	if err := d.start(ctx); err != nil {
		return err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), demoStopTime)
		defer cancel()
		err = errors.Join(err, d.appliance.Stop(stop))
	}()
	if err := d.send(); err != nil {
		return err
	}
	id, err := d.next(ctx)
	if err != nil {
		return err
	}
	if err := d.show(ctx, id); err != nil {
		return err
	}
	d.records()
	if once {
		return nil
	}
	d.invite()
	return d.follow(ctx)
}

// demoSecret is a password for one run.
func demoSecret() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// start starts the server with the built-in configuration. Where a port is
// taken, another one is used.
func (d *demo) start(ctx context.Context) error {
	text := demoConfig
	submission, err := freePort(ctx, demoSubmission)
	if err != nil {
		return err
	}
	nextHop, err := freePort(ctx, demoNextHop)
	if err != nil {
		return err
	}
	text = strings.ReplaceAll(text, demoSubmission, submission)
	text = strings.ReplaceAll(text, demoNextHop, nextHop)
	file, err := config.Load("demo.hcl", []byte(text), config.Options{
		Registry: appliance.Builtin,
		Getenv:   func(name string) (string, bool) { return d.password, name == demoPassword },
	}, nil)
	if err != nil {
		return err
	}
	d.address = submission
	d.appliance = appliance.New(file.Graph, appliance.Options{
		Log:       zap.NewNop(),
		NewEngine: queue.New,
		Events:    []appliance.EventSink{appliance.EventFunc(d.event)},
	})
	ctx, cancel := context.WithTimeout(ctx, demoStartTime)
	defer cancel()
	d.say("Starting %s on %s, with a certificate and a DKIM key made for this run …", file.Graph.Settings.Hostname, submission)
	return d.appliance.Start(ctx)
}

// freePort returns address, or one with another port if that is taken.
func freePort(ctx context.Context, address string) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		l, err = lc.Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// event waits for what reaches the next hop's relay.
func (d *demo) event(e appliance.Event) {
	if e.Kind != appliance.EventDelivered || e.Relay != "inbox" {
		return
	}
	select {
	case d.arrived <- e.ID:
	default: // nobody looks any more
	}
}

// next waits for the next message at the next hop.
func (d *demo) next(ctx context.Context) (appliance.QueueID, error) {
	select {
	case id := <-d.arrived:
		return id, nil
	case <-time.After(demoTimeout):
		return "", fmt.Errorf("the message did not reach the next hop within %v", demoTimeout)
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// show prints a message as the next hop got it and verifies its signature.
func (d *demo) show(ctx context.Context, id appliance.QueueID) error {
	message, err := d.read(ctx, id)
	if err != nil {
		return err
	}
	d.say("\nThe message as the next hop got it:\n")
	for line := range bytes.Lines(message) {
		d.say("  %s", printable(string(bytes.TrimRight(line, "\r\n"))))
	}
	return d.verify(message)
}

// read takes a message out of the next hop's inbox.
func (d *demo) read(ctx context.Context, id appliance.QueueID) ([]byte, error) {
	inbox := d.appliance.Graph().Node(appliance.Addr{Kind: appliance.KindRelay, Name: "inbox"}).Module.(appliance.Capturer)
	r, err := inbox.Open(ctx, string(id))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// verify checks every signature of a message against the keys of the running
// signers, as a receiver would with the DNS.
func (d *demo) verify(message []byte) error {
	keys := make(map[string][]string)
	for _, r := range d.appliance.Posture().Records {
		keys[r.Name] = append(keys[r.Name], r.Value)
	}
	signatures, err := dkim.VerifyWithOptions(bytes.NewReader(message), &dkim.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) {
			if values, ok := keys[strings.TrimSuffix(name, ".")]; ok {
				return values, nil
			}
			return nil, &net.DNSError{Err: "no such record", Name: name, IsNotFound: true}
		},
	})
	if err != nil {
		return fmt.Errorf("DKIM: %w", err)
	}
	if len(signatures) == 0 {
		return errors.New("DKIM: the message is not signed")
	}
	d.say("")
	for _, s := range signatures {
		if s.Err != nil {
			return fmt.Errorf("DKIM: the signature of %s does not verify: %w", s.Domain, s.Err)
		}
		d.say("DKIM: the signature of %s verifies; it covers %s.", s.Domain, strings.Join(distinct(s.HeaderKeys), ", "))
	}
	return nil
}

// distinct drops what is listed again: a field is listed once more than it
// stands in the header, so that nobody can add another.
func distinct(names []string) []string {
	var all []string
	seen := make(map[string]bool)
	for _, n := range names {
		if key := strings.ToLower(n); !seen[key] {
			seen[key] = true
			all = append(all, n)
		}
	}
	return all
}

func (d *demo) records() {
	d.say("\nThe DNS records one would publish for this configuration:\n")
	for _, r := range d.appliance.Posture().Records {
		d.say("  %s", r.Zone())
	}
}

// invite prints how to send more.
func (d *demo) invite() {
	host, port, _ := net.SplitHostPort(d.address)
	d.say(`
Send more, with swaks:

  swaks --server %[1]s --tls --auth PLAIN --auth-user %[2]s --auth-password %[3]s --from %[4]s --to %[5]s

or with curl (the certificate is self-signed, hence --insecure):

  printf 'From: <%[4]s>\r\nTo: <%[5]s>\r\nSubject: hello from curl\r\n\r\nHello.\r\n' |
    curl --silent --show-error --insecure --ssl-reqd --url smtp://%[6]s:%[7]s --user %[2]s:%[3]s --mail-from %[4]s --mail-rcpt %[5]s --upload-file -

Ctrl-C ends the demo.`, d.address, demoUser, d.password, demoFrom, demoTo, host, port)
}

// follow shows what arrives until the demo is ended.
func (d *demo) follow(ctx context.Context) error {
	for {
		select {
		case id := <-d.arrived:
			if err := d.show(ctx, id); err != nil {
				d.say("%v", err)
			}
		case <-ctx.Done():
			d.say("\nBye.")
			return nil
		}
	}
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }
