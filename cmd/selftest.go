package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance/admin"
	"github.com/waxwing-mail/waxwing/appliance/selftest"
)

// selftestJob is one call of "waxwing selftest".
type selftestJob struct {
	*program
	from, to, user, file, pipeline string
	bulk                           bool
}

// selftestTo is whom a message is for that nobody will get.
const selftestTo = "selftest@receiver.example"

func (p *program) selftestCommand() *cobra.Command {
	j := selftestJob{program: p}
	c := &cobra.Command{
		Use:   "selftest --from MAILBOX",
		Short: "look at a message as a large receiver would, and say what is wrong with it",
		Long: `selftest hands a message to the running server, which takes it the whole way of a user's message, through checks,
rewrites and signers, and then, in place of the queue, to a receiver of its own. That one does what large receivers
do: it looks at the addresses of the server, verifies the signatures with the keys that the DNS has now, evaluates
SPF and DMARC, and reads header and body. It prints what it found, what each thing costs of 100 points, and what to
do about it. Nobody gets the message, and it counts for no quota.

The message is a short one of its own, or with --message one of yours; --message - reads standard input. It is
handed in as the administrator would with "waxwing send", or with --user as that user. Bulk mail is known by its
header, such as List-Unsubscribe or Precedence: bulk, or by --bulk, and has to offer one click to leave.

With --to it is then sent for true to that mailbox, which may be one at a service that looks at such messages.

It exits with 0 if nothing would make a large receiver refuse the message or hide it, and with 1 otherwise.`,
		Example: `  waxwing selftest --from app@example.com
  waxwing selftest --from news@example.com --message newsletter.eml --bulk --user newsletter`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return j.run(c.Context()) },
	}
	f := c.Flags()
	f.StringVarP(&j.from, "from", "f", "", "`mailbox` of the sender; with --message, default is that of its From field")
	f.StringVar(&j.to, "to", "", "`mailbox` that gets the message for true")
	f.StringVar(&j.user, "user", "", "`name` of the user who hands it in; default the administrator")
	f.StringVar(&j.file, "message", "", "`file` with the message; - is standard input")
	f.BoolVar(&j.bulk, "bulk", false, "it is one of many that are alike")
	f.StringVar(&j.pipeline, "pipeline", "", "`name` of the pipeline to take")
	p.adminFlags(c)
	p.wideFlag(c)
	p.jsonFlag(c)
	return c
}

// selftestResult is the report, and what became of the message that was sent
// for true.
type selftestResult struct {
	selftest.Report
	Sent *admin.Sent `json:"sent,omitempty"`
}

func (j *selftestJob) run(ctx context.Context) error {
	s, message, err := j.message()
	if err != nil {
		return err
	}
	client, err := j.client()
	if err != nil {
		return err
	}
	var result selftestResult
	t := admin.Selftest{Submission: s, User: j.user, Bulk: j.bulk}
	if result.Report, err = client.Selftest(ctx, t, bytes.NewReader(message)); err != nil {
		return err
	}
	if j.to != "" && result.Taken {
		sent, err := client.Send(ctx, s, bytes.NewReader(message))
		if err != nil {
			return refusal(err)
		}
		result.Sent = &sent
	}
	if err := j.show(&result); err != nil {
		return err
	}
	if !result.Good {
		return &exitError{status: exitFailed}
	}
	return nil
}

// message is what to test, and its envelope.
func (j *selftestJob) message() (s admin.Submission, message []byte, err error) {
	to := j.to
	if to == "" {
		to = selftestTo
	}
	m := sendJob{program: j.program, from: j.from, to: []string{to}}
	switch j.file {
	case "":
		if j.from == "" {
			return s, nil, usagef("who sends this? Name a mailbox with --from, or a message with --message")
		}
		m.composed, m.hasBody = true, true
		m.subject = "A test of what receivers think of this mail"
		m.body = "This message was made by waxwing selftest. It looks at what a large receiver\r\nlooks at: SPF, DKIM, DMARC, the header, and the servers it comes from.\r\n"
	case "-":
	default:
		f, err := os.Open(j.file)
		if err != nil {
			return s, nil, err
		}
		defer f.Close()
		j.in = f
	}
	r, err := m.message()
	if err != nil {
		return s, nil, err
	}
	if message, err = io.ReadAll(r); err != nil {
		return s, nil, err
	}
	if len(message) == 0 {
		return s, nil, errors.New("the message is empty")
	}
	return admin.Submission{From: m.from, To: m.to, Pipeline: j.pipeline}, message, nil
}

func (j *selftestJob) show(r *selftestResult) error {
	if j.json {
		return writeJSON(j.out, r)
	}
	v := checkupView{width: j.width(), colour: inColour(j.out)}
	if _, err := fmt.Fprint(j.out, v.report(&r.Report)); err != nil {
		return err
	}
	if r.Sent == nil {
		return nil
	}
	_, err := fmt.Fprintf(j.out, "\nsent to %s as %s; what becomes of it: waxwing queue show %s, waxwing events --id %s\n", printable(j.to), r.Sent.ID, r.Sent.ID, r.Sent.ID)
	return err
}
