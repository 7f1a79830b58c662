// Package capture is the relay that keeps mail for people to look at and sends
// nothing: relay "capture". Test systems use it instead of relay "mx", and
// mode = "capture" puts one in the place of every relay.
//
// Each message is two values in the relay's own place in the store. With store
// "disk" they are plain files, in values/relay/NAME under the data directory:
//
//	ID.eml   the message as it would have gone out, byte for byte
//	ID.json  when it came, its envelope and its subject
//
// ID is the queue id; a message that comes again for other recipients gets
// "-2", "-3" and so on. ID.json is written last: a message that has none was
// not captured. Only the newest messages are kept: see keep and keep_size.
package capture

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindRelay,
		Name:    "capture",
		Summary: "keeps mail for people to look at, and sends nothing",
		Example: `relay "capture" "dev" {
  keep = 1000
}
`,
		New: func() appliance.Module { return New() },
	})
}

// Capture is the block relay "capture".
type Capture struct {
	// How many messages to keep. When there are more, the oldest are removed.
	// Default 1000, at most 100000.
	Keep int `hcl:"keep,optional"`
	// How much all kept messages together may take. Default 1GiB.
	KeepSize appliance.Size `hcl:"keep_size,optional"`

	values appliance.Values
	log    *zap.Logger
	now    func() time.Time

	mu    sync.Mutex // one message at a time looks for its name and tidies
	since int        // messages since the last tidying
	grown int64      // octets since then
}

// Interface guards.
var (
	_ appliance.Relay     = (*Capture)(nil)
	_ appliance.Capturer  = (*Capture)(nil)
	_ appliance.Validator = (*Capture)(nil)
)

// New returns a Capture with the defaults.
func New() *Capture { return &Capture{Keep: 1000, KeepSize: 1 << 30} }

// Validate implements appliance.Validator.
func (c *Capture) Validate() error {
	if c.Keep < 1 || c.Keep > 100_000 {
		return &appliance.AttrError{Attr: "keep", Msg: "must be between 1 and 100000"}
	}
	if c.KeepSize < 1<<20 {
		return &appliance.AttrError{Attr: "keep_size", Msg: "must be at least 1MiB"}
	}
	return nil
}

// Provision implements appliance.Module.
func (c *Capture) Provision(ctx *appliance.Context) error {
	c.values, c.log, c.now = ctx.Values, ctx.Log, time.Now
	if c.log == nil {
		c.log = zap.NewNop()
	}
	c.since = c.Keep // what an earlier run left is tidied with the first message
	return nil
}

// HonoursRequireTLS implements [appliance.TLSAssurer]: nothing leaves.
func (*Capture) HonoursRequireTLS() bool { return true }

// NextHop implements appliance.Relay: it is the same for everybody.
func (*Capture) NextHop(appliance.Mailbox) string { return "capture" }

// Deliver implements appliance.Relay.
func (c *Capture) Deliver(ctx context.Context, env appliance.Envelope, msg *appliance.Message) []appliance.Result {
	reply := appliance.NewReply(250, 0, 0, "captured")
	if err := c.keep(ctx, env, msg); err != nil {
		reply = appliance.NewReply(451, 3, 0, "The message could not be captured and will be tried again").With(err)
	}
	return appliance.Results(len(env.Recipients), appliance.Result{Reply: *reply})
}

func (c *Capture) keep(ctx context.Context, env appliance.Envelope, msg *appliance.Message) error {
	var content bytes.Buffer
	if _, err := msg.WriteTo(&content); err != nil {
		return err
	}
	entry := appliance.Captured{
		Time:    c.now(),
		From:    env.From,
		Subject: msg.Header.Get("Subject"),
		Size:    int64(content.Len()),
	}
	for _, r := range env.Recipients {
		entry.To = append(entry.To, r.Mailbox)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.put(ctx, string(msg.ID), entry, content.Bytes()); err != nil {
		return err
	}
	c.since++
	c.grown += entry.Size
	// Looking at everything for each message would be slow with many.
	if c.since > c.Keep/10 || c.grown > int64(c.KeepSize)/10 {
		c.tidy(ctx)
	}
	return nil
}

// maxCopies bounds the names that are tried for one message.
const maxCopies = 100

// put stores a message under the first name that is free, or that the same
// delivery was stored under before: an attempt whose outcome was lost is made
// again.
func (c *Capture) put(ctx context.Context, id string, e appliance.Captured, content []byte) error {
	for n := 1; n <= maxCopies; n++ {
		e.ID = id
		if n > 1 {
			e.ID = fmt.Sprintf("%s-%d", id, n)
		}
		old, err := c.entry(ctx, e.ID)
		switch {
		case err == nil && slices.Equal(old.To, e.To):
			return nil
		case err == nil:
			continue
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		if err := c.values.Put(ctx, e.ID+".eml", content); err != nil {
			return err
		}
		b, err := json.MarshalIndent(e, "", "  ")
		if err != nil {
			return err
		}
		return c.values.Put(ctx, e.ID+".json", append(b, '\n'))
	}
	return fmt.Errorf("%s was captured %d times already", id, maxCopies)
}

func (c *Capture) entry(ctx context.Context, id string) (e appliance.Captured, err error) {
	b, err := c.values.Get(ctx, id+".json")
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(b, &e); err != nil {
		return e, fmt.Errorf("%s.json: %w", id, err)
	}
	e.ID = id
	return e, nil
}

// tidy removes the oldest messages beyond the limits. What cannot be removed
// is left for the next time: it costs space and nothing else.
func (c *Capture) tidy(ctx context.Context) {
	c.since, c.grown = 0, 0
	list, err := c.values.List(ctx, "")
	if err != nil {
		c.log.Warn("captured messages cannot be listed", zap.Error(err))
		return
	}
	slices.SortFunc(list, func(a, b appliance.ValueInfo) int {
		return cmp.Or(b.Modified.Compare(a.Modified), strings.Compare(b.Key, a.Key))
	})
	n, size := 0, int64(0)
	for _, v := range list {
		id, ok := strings.CutSuffix(v.Key, ".eml")
		if !ok {
			continue
		}
		n++
		size += v.Size
		if n <= c.Keep && (size <= int64(c.KeepSize) || n == 1) {
			continue
		}
		for _, key := range []string{id + ".json", id + ".eml"} { // the entry first
			if err := c.values.Delete(ctx, key); err != nil && !errors.Is(err, fs.ErrNotExist) {
				c.log.Warn("captured message cannot be removed", zap.String("key", key), zap.Error(err))
			}
		}
	}
}

// Captured implements appliance.Capturer. An entry that cannot be read is
// left out, and logged.
func (c *Capture) Captured(ctx context.Context) ([]appliance.Captured, error) {
	list, err := c.values.List(ctx, "")
	if err != nil {
		return nil, err
	}
	var all []appliance.Captured
	for _, v := range list {
		id, ok := strings.CutSuffix(v.Key, ".json")
		if !ok {
			continue
		}
		e, err := c.entry(ctx, id)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) { // it may have been tidied away
				c.log.Warn("captured message cannot be read", zap.String("id", id), zap.Error(err))
			}
			continue
		}
		all = append(all, e)
	}
	slices.SortStableFunc(all, func(a, b appliance.Captured) int {
		return cmp.Or(b.Time.Compare(a.Time), strings.Compare(b.ID, a.ID))
	})
	return all, ctx.Err()
}

// Open implements appliance.Capturer.
func (c *Capture) Open(ctx context.Context, id string) (io.ReadCloser, error) {
	// An id comes from a person; one that is no key names nothing.
	if appliance.CheckValueKey(id+".eml") != nil || strings.Contains(id, "/") {
		return nil, fs.ErrNotExist
	}
	b, err := c.values.Get(ctx, id+".eml")
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}
