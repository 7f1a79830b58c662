package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

// values is an appliance.Values in memory that can fail.
type values struct {
	appliance.Values // what a relay does not need
	mu               sync.Mutex
	m                map[string][]byte
	when             map[string]time.Time
	puts             int
	failAt           int // the put that fails; 0 is none
}

func newValues() *values { return &values{m: map[string][]byte{}, when: map[string]time.Time{}} }

func (v *values) Get(_ context.Context, key string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	b, ok := v.m[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return b, nil
}

func (v *values) Put(_ context.Context, key string, b []byte) error {
	if err := appliance.CheckValueKey(key); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.puts++; v.puts == v.failAt {
		return errors.New("disk on fire")
	}
	v.m[key], v.when[key] = bytes.Clone(b), time.Unix(int64(v.puts), 0)
	return nil
}

func (v *values) Delete(_ context.Context, key string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.m[key]; !ok {
		return fs.ErrNotExist
	}
	delete(v.m, key)
	return nil
}

func (v *values) List(_ context.Context, prefix string) ([]appliance.ValueInfo, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []appliance.ValueInfo
	for key, b := range v.m {
		if strings.HasPrefix(key, prefix) {
			all = append(all, appliance.ValueInfo{Key: key, Size: int64(len(b)), Modified: v.when[key]})
		}
	}
	slices.SortFunc(all, func(a, b appliance.ValueInfo) int { return strings.Compare(a.Key, b.Key) })
	return all, nil
}

func (v *values) keys() (keys []string) {
	list, _ := v.List(context.Background(), "")
	for _, i := range list {
		keys = append(keys, i.Key)
	}
	return keys
}

func provision(t *testing.T, v *values, change func(*Capture)) *Capture {
	t.Helper()
	c := New()
	if change != nil {
		change(c)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := c.Provision(&appliance.Context{Values: v}); err != nil {
		t.Fatal(err)
	}
	var clock time.Time
	c.now = func() time.Time { clock = clock.Add(time.Second); return clock }
	return c
}

func message(id, body string) *appliance.Message {
	h, err := appliance.ParseHeader([]byte("Subject: about " + id + "\r\n"))
	if err != nil {
		panic(err)
	}
	return &appliance.Message{ID: appliance.QueueID(id), Header: h, Body: appliance.BytesBody("\r\n" + body)}
}

func envelope(to ...string) appliance.Envelope {
	env := appliance.Envelope{From: appliance.Mailbox{Local: "from", Domain: "a.test"}}
	for _, s := range to {
		env.Recipients = append(env.Recipients, appliance.Recipient{Mailbox: appliance.Mailbox{Local: s, Domain: "b.test"}})
	}
	return env
}

func deliver(t *testing.T, c *Capture, env appliance.Envelope, m *appliance.Message, want int) {
	t.Helper()
	rs := c.Deliver(t.Context(), env, m)
	if len(rs) != len(env.Recipients) {
		t.Fatalf("%d results for %d recipients", len(rs), len(env.Recipients))
	}
	for i := range rs {
		if rs[i].Reply.Code != want {
			t.Errorf("recipient %d: %v, want %d", i, rs[i].Reply.Error(), want)
		}
	}
}

func TestCapture(t *testing.T) {
	c := provision(t, newValues(), nil)
	deliver(t, c, envelope("one", "two"), message("1a", "hello\r\n"), 250)
	deliver(t, c, envelope("one"), message("1b", ".\r\n"), 250)

	got, err := c.Captured(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	from := appliance.Mailbox{Local: "from", Domain: "a.test"}
	one, two := appliance.Mailbox{Local: "one", Domain: "b.test"}, appliance.Mailbox{Local: "two", Domain: "b.test"}
	want := []appliance.Captured{
		{ID: "1b", Time: time.Time{}.Add(2 * time.Second), From: from, To: []appliance.Mailbox{one}, Subject: "about 1b", Size: 24},
		{ID: "1a", Time: time.Time{}.Add(1 * time.Second), From: from, To: []appliance.Mailbox{one, two}, Subject: "about 1a", Size: 28},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	r, err := c.Open(t.Context(), "1b")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != "Subject: about 1b\r\n\r\n.\r\n" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestAgain: the same delivery again is the same capture; the message for
// other recipients is another one.
func TestAgain(t *testing.T) {
	v := newValues()
	c := provision(t, v, nil)
	deliver(t, c, envelope("one"), message("1a", ""), 250)
	deliver(t, c, envelope("one"), message("1a", ""), 250)
	deliver(t, c, envelope("two"), message("1a", ""), 250)
	deliver(t, c, envelope("two"), message("1a", ""), 250)
	if diff := cmp.Diff([]string{"1a-2.eml", "1a-2.json", "1a.eml", "1a.json"}, v.keys()); diff != "" {
		t.Error(diff)
	}
}

// TestFailure: a message that could not be written whole is tried again, and
// is not listed before that.
func TestFailure(t *testing.T) {
	for _, at := range []int{1, 2} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			v := newValues()
			v.failAt = at
			c := provision(t, v, nil)
			deliver(t, c, envelope("one"), message("1a", ""), 451)
			if got, err := c.Captured(t.Context()); len(got) != 0 || err != nil {
				t.Errorf("%v, %v", got, err)
			}
			deliver(t, c, envelope("one"), message("1a", ""), 250)
			if diff := cmp.Diff([]string{"1a.eml", "1a.json"}, v.keys()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestKeep(t *testing.T) {
	v := newValues()
	c := provision(t, v, func(c *Capture) { c.Keep = 3 })
	for i := range 10 {
		deliver(t, c, envelope("one"), message(fmt.Sprintf("1%d", i), ""), 250)
	}
	if diff := cmp.Diff([]string{"17.eml", "17.json", "18.eml", "18.json", "19.eml", "19.json"}, v.keys()); diff != "" {
		t.Error(diff)
	}
}

func TestKeepSize(t *testing.T) {
	v := newValues()
	c := provision(t, v, func(c *Capture) { c.KeepSize = 1 << 20 })
	for i := range 5 {
		deliver(t, c, envelope("one"), message(fmt.Sprintf("1%d", i), strings.Repeat("x", 400<<10)), 250)
	}
	if diff := cmp.Diff([]string{"13.eml", "13.json", "14.eml", "14.json"}, v.keys()); diff != "" {
		t.Error(diff)
	}
	// One that is larger than the limit is kept until the next one comes.
	deliver(t, c, envelope("one"), message("20", strings.Repeat("x", 2<<20)), 250)
	if diff := cmp.Diff([]string{"20.eml", "20.json"}, v.keys()); diff != "" {
		t.Error(diff)
	}
}

// TestKeepAfterRestart: what an earlier run left counts.
func TestKeepAfterRestart(t *testing.T) {
	v := newValues()
	c := provision(t, v, nil)
	for i := range 10 {
		deliver(t, c, envelope("one"), message(fmt.Sprintf("1%d", i), ""), 250)
	}
	deliver(t, provision(t, v, func(c *Capture) { c.Keep = 2 }), envelope("one"), message("20", ""), 250)
	if diff := cmp.Diff([]string{"19.eml", "19.json", "20.eml", "20.json"}, v.keys()); diff != "" {
		t.Error(diff)
	}
}

func TestDamagedEntry(t *testing.T) {
	v := newValues()
	c := provision(t, v, nil)
	deliver(t, c, envelope("one"), message("1a", ""), 250)
	v.m["1b.json"] = []byte("{")
	if got, err := c.Captured(t.Context()); len(got) != 1 || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

func TestX4Open(t *testing.T) {
	c := provision(t, newValues(), nil)
	for _, id := range []string{"", "none", "../1a", "a/b", ".", "1a\x00", strings.Repeat("a", 300)} {
		if _, err := c.Open(t.Context(), id); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestValidate(t *testing.T) {
	for attr, change := range map[string]func(*Capture){
		"keep":      func(c *Capture) { c.Keep = 0 },
		"keep_size": func(c *Capture) { c.KeepSize = 1 },
	} {
		c := New()
		change(c)
		if e, ok := errors.AsType[*appliance.AttrError](c.Validate()); !ok || e.Attr != attr {
			t.Errorf("%s: %v", attr, c.Validate())
		}
	}
}
