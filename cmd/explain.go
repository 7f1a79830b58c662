package cmd

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/config"
	"github.com/waxwing-mail/waxwing/appliance/resolver"
)

// An explainJob is what would become of one message.
type explainJob struct {
	from, to, user, client, listener string
	dns                              bool
}

func (p *program) explainCommand() *cobra.Command {
	var j explainJob
	c := &cobra.Command{
		Use:   "explain --from MAILBOX --to MAILBOX",
		Short: "say what would become of a message, and which line decides",
		Long: `explain says by the configuration file what would become of a message from one mailbox to another: who may
send it, what looks at it, who signs it, where it goes and how often it is tried; each with the line of the file that
decides, or "default". It sends nothing, and needs no running server.

With --dns it looks up the servers that the message would go to: for each what DANE and MTA-STS demand, the TLS that
comes of it, and the site, which is the servers that share limits. If the server of this configuration runs, it is
asked how many deliveries the site gets at the moment, and whether it is suspended or left alone. What DANE is worth
depends on the DNS server that is asked, and explain asks the one of the configuration, from where it is run.

It exits with 1 if the message would be refused.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return p.explain(c.Context(), j) },
	}
	c.Flags().StringVar(&j.from, "from", "", "the sender; <> is the null reverse-path")
	c.Flags().StringVar(&j.to, "to", "", "the recipient")
	c.Flags().StringVar(&j.user, "user", "", "who has logged in; default nobody")
	c.Flags().StringVar(&j.client, "client", "", "`address` of the client")
	c.Flags().StringVar(&j.listener, "listener", "", "`name` of the listener, if there are several pipelines")
	c.Flags().BoolVar(&j.dns, "dns", false, "look up the servers, their policies, and how things are")
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

// explainTime bounds the look-ups.
const explainTime = 30 * time.Second

func (p *program) explain(ctx context.Context, j explainJob) error {
	q, err := j.question()
	if err != nil {
		return err
	}
	file, err := p.loaded()
	if err != nil {
		return err
	}
	pipeline, err := j.pipeline(file.Graph)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, explainTime)
	defer cancel()
	var x appliance.Explanation
	house := appliance.New(file.Graph, appliance.Options{NewResolver: resolver.New})
	if err := house.Inspect(func() { x = pipeline.Pipeline.Explain(ctx, pipeline.Addr, q) }); err != nil {
		return file.Diagnose(err)
	}
	all := explainedBy(file, x.Answers)
	if x.Goes {
		all = append(all, explainedBy(file, file.Graph.Settings.ExplainQueue())...)
		if j.dns {
			all = append(all, p.explainNow(ctx, &x)...)
		}
	}
	if err := p.showAnswers(all); err != nil {
		return err
	}
	if !x.Goes {
		return &exitError{status: exitFailed}
	}
	return nil
}

func (j *explainJob) question() (q appliance.Question, err error) {
	if j.from == "" || j.to == "" {
		return q, usagef("explain wants --from and --to, a mailbox each")
	}
	if j.from != "<>" {
		if q.From, err = appliance.ParseMailbox(j.from); err != nil {
			return q, usagef("--from: %v", err)
		}
	}
	if q.To, err = appliance.ParseMailbox(j.to); err != nil {
		return q, usagef("--to: %v", err)
	}
	if j.client != "" {
		if q.Client, err = netip.ParseAddr(j.client); err != nil {
			return q, usagef("--client: %q is not an IP address", j.client)
		}
	}
	q.User, q.DNS = j.user, j.dns
	return q, nil
}

// loaded is the configuration.
func (p *program) loaded() (*config.File, error) {
	name, err := p.configFile()
	if err != nil {
		return nil, err
	}
	src, err := readConfig(name)
	if err != nil {
		return nil, err
	}
	return config.Load(name, src, p.configOptions(), nil)
}

// pipeline is the one that the message would come through.
func (j *explainJob) pipeline(g *appliance.Graph) (*appliance.Node, error) {
	all := g.Pipelines()
	var listeners []string
	for _, n := range all {
		for _, l := range n.Pipeline.Listeners {
			if l.Addr().Name == j.listener {
				return n, nil
			}
			listeners = append(listeners, l.Addr().Name)
		}
	}
	slices.Sort(listeners)
	switch {
	case j.listener != "":
		return nil, usagef("there is no listener %q in use; there is %s", j.listener, list(listeners))
	case len(all) == 1:
		return all[0], nil
	}
	return nil, usagef("there are %d pipelines: say where the message comes in with --listener: %s", len(all), list(listeners))
}

// explained is an answer as a program reads it.
type explained struct {
	Topic string `json:"topic"`
	Text  string `json:"text"`
	By    string `json:"by,omitempty"`   // the instance that decides
	Line  string `json:"line,omitempty"` // "mail.hcl:12"
	// The attribute is not written: line, if there is one, is that of its block.
	Default bool `json:"default,omitempty"`
	// The running server says so: it is how things are now.
	Server bool `json:"server,omitempty"`
}

func (e *explained) where() string {
	switch {
	case e.Server:
		return "running server"
	case e.Line == "":
		return "default"
	case e.Default:
		return "default of " + e.Line
	}
	return e.Line
}

// explainedBy finds the lines of answers.
func explainedBy(file *config.File, answers []appliance.Answer) []explained {
	all := make([]explained, len(answers))
	for i, a := range answers {
		line, written := file.Position(a.Addr, a.Attr)
		all[i] = explained{Topic: a.Topic, Text: a.Text, By: a.Addr.String(), Line: line, Default: !written}
	}
	return all
}

func (p *program) showAnswers(all []explained) error {
	if p.json {
		return writeJSON(p.out, all)
	}
	var s sheet
	for _, e := range all {
		s.add(0, e.Topic, fmt.Sprintf("%s [%s]", e.Text, e.where()))
	}
	return s.writeTo(p.out)
}
