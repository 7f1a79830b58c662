package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

func (p *program) sendCommand() *cobra.Command {
	j := sendJob{program: p}
	c := &cobra.Command{
		Use:   "send [RECIPIENT…]",
		Short: "send a message through the running server",
		Long: `send hands a message to the running server, which treats it like one of its users': it is completed, checked,
signed, queued and delivered.

Without --subject, --header and --body, standard input is the message if it begins with a header; otherwise it is
the body of a new one. With -t, the recipients are those of To, Cc and Bcc as well, and the sender is that of From
unless --from says more. -i is accepted for the sake of sendmail: a dot on a line of its own never ends a message.

With --wait, which is the default on a terminal, send shows what becomes of each recipient. It exits with 1 if the
message is refused or a recipient bounces; a delivery that is put off for later is no failure.`,
		Example: `  waxwing send --from app@example.com --to you@example.net --subject test --body hello
  printf 'From: app@example.com\nTo: you@example.net\n\nhello\n' | waxwing send -t`,
		RunE: func(c *cobra.Command, args []string) error {
			if !c.Flags().Changed("wait") {
				j.wait = isTerminal(p.out)
			}
			j.composed = c.Flags().Changed("subject") || c.Flags().Changed("body") || len(j.headers) > 0
			j.hasBody = c.Flags().Changed("body")
			j.to = append(j.to, args...)
			return j.run(c.Context())
		},
	}
	f := c.Flags()
	f.StringVarP(&j.from, "from", "f", "", "`mailbox` of the sender; <> is the null reverse-path, and a From field is needed with it")
	f.StringArrayVar(&j.to, "to", nil, "`mailbox` of a recipient; may be repeated")
	f.StringVar(&j.subject, "subject", "", "subject of a new message")
	f.StringArrayVar(&j.headers, "header", nil, "another field of a new message, as `\"Name: value\"`; may be repeated")
	f.StringVar(&j.body, "body", "", "text of a new message; without it, standard input")
	f.BoolVarP(&j.extract, "extract-recipients", "t", false, "take recipients from To, Cc and Bcc")
	f.BoolP("ignore-dots", "i", true, "accepted for the sake of sendmail")
	f.StringVar(&j.pipeline, "pipeline", "", "`name` of the pipeline to send by")
	f.BoolVar(&j.wait, "wait", false, "show what becomes of each recipient")
	f.DurationVar(&j.timeout, "timeout", time.Minute, "how long to wait for that")
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

// sendJob is one call of "waxwing send".
type sendJob struct {
	*program
	from, subject, body, pipeline string
	to, headers                   []string
	extract, wait                 bool
	composed, hasBody             bool // the flags describe a new message
	timeout                       time.Duration
}

func (j *sendJob) run(ctx context.Context) error {
	message, err := j.message()
	if err != nil {
		return err
	}
	if j.from == "" {
		return usagef("who sends this? Name a mailbox with --from, or write a From field and use -t")
	}
	if len(j.to) == 0 {
		return usagef("who gets this? Name a mailbox with --to, or use -t")
	}
	client, err := j.client()
	if err != nil {
		return err
	}
	s := admin.Submission{From: j.from, To: j.to, Pipeline: j.pipeline}
	if j.wait {
		return j.follow(ctx, client, s, message)
	}
	sent, err := client.Send(ctx, s, message)
	if err != nil {
		return refusal(err)
	}
	return j.showSent(sent)
}

// refusal says what the server answered, as a mail program would see it.
func refusal(err error) error {
	if e, ok := errors.AsType[*admin.Error](err); ok && e.Reply != nil {
		return fmt.Errorf("refused: %w", err)
	}
	return err
}

func (j *sendJob) showSent(sent admin.Sent) error {
	if j.json {
		return json.NewEncoder(j.out).Encode(sent)
	}
	_, err := fmt.Fprintf(j.out, "queued as %s for %s\n", sent.ID, number(sent.Recipients, "recipient", "recipients"))
	return err
}

// follow sends and shows the first outcome of each recipient.
func (j *sendJob) follow(ctx context.Context, client *admin.Client, s admin.Submission, message io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sent, events, err := client.Follow(ctx, s, message)
	if err != nil {
		return refusal(err)
	}
	if err := j.showSent(sent); err != nil {
		return err
	}
	late := time.AfterFunc(j.timeout, cancel)
	defer late.Stop()
	return j.outcomes(sent, events)
}

func (j *sendJob) outcomes(sent admin.Sent, events iter.Seq2[admin.Event, error]) error {
	seen := make(map[appliance.Mailbox]bool)
	bounced := 0
	for e, err := range events {
		if err != nil {
			break // no answer in time, or the server stops: the message is in the queue
		}
		if e.To == nil || e.ID != sent.ID || e.Kind == appliance.EventAccepted || e.Kind == appliance.EventReported {
			continue
		}
		if err := j.showEvent(e); err != nil {
			return err
		}
		seen[*e.To] = true
		if e.Kind == appliance.EventBounced {
			bounced++
		}
		if len(seen) == sent.Recipients {
			break
		}
	}
	if left := sent.Recipients - len(seen); left > 0 && !j.json {
		fmt.Fprintf(j.out, "%s without an outcome so far: waxwing queue show %s\n", number(left, "recipient", "recipients"), sent.ID)
	}
	if bounced > 0 {
		return errors.New(number(bounced, "recipient", "recipients") + " bounced")
	}
	return nil
}
