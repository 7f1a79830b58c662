package dkim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap/zapcore"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/valuestest"
)

// names are the keys as "DOMAIN SELECTOR ALGORITHM SOURCE".
func names(d *DKIM) string {
	var all []string
	for _, k := range d.SigningKeys() {
		all = append(all, k.Domain+" "+k.Selector+" "+k.Algorithm+" "+filepath.Base(k.Source))
	}
	return strings.Join(all, "\n")
}

func lines(s ...string) string { return strings.Join(s, "\n") }

// TestMade: keys are made once, whatever the number of nodes, in the order of
// the configuration, and the log does not show them.
func TestMade(t *testing.T) {
	v := new(valuestest.Values)
	var nodes [4]*DKIM
	var g sync.WaitGroup
	for i := range nodes {
		g.Go(func() {
			nodes[i] = configured(func(d *DKIM) { d.Algorithms = []string{RSA2048, Ed25519} })
			logs, err := provision(nodes[i], v)
			if err == nil {
				err = nodes[i].Start(context.Background())
				t.Cleanup(func() { check(t, nodes[i].Stop(context.Background())) })
			}
			if err != nil {
				t.Error(err)
			}
			for _, e := range logs.All() {
				if strings.Contains(fmt.Sprint(e.ContextMap()), "PRIVATE") {
					t.Error("P19: a private key in the log")
				}
			}
		})
	}
	g.Wait()
	want := lines("example.com waxwing rsa2048 store", "example.com waxwing-ed25519 ed25519 store")
	for _, n := range nodes {
		if names(n) != want {
			t.Errorf("keys:\n%s", names(n))
		}
		if n.DNSRecords()[0] != nodes[0].DNSRecords()[0] {
			t.Error("two nodes have two keys")
		}
	}
	var stored []string
	list, err := v.List(t.Context(), "")
	for _, i := range list {
		stored = append(stored, i.Key)
	}
	if want := []string{"example.com/keys.json", "example.com/waxwing-ed25519.private", "example.com/waxwing.private"}; err != nil || !slices.Equal(stored, want) {
		t.Errorf("stored: %v, %v", stored, err)
	}
}

// TestMadeConcurrently: a key that another node made after its lock ran out
// is the one to use.
func TestMadeConcurrently(t *testing.T) {
	v := new(valuestest.Values)
	v.Fail = func(op, key string) error {
		if op == "swap" {
			v.Fail = nil
			return v.Put(t.Context(), key, edKey.PEM())
		}
		return nil
	}
	d := configured(func(d *DKIM) { d.Algorithms = []string{Ed25519} })
	start(t, d, v)
	if d.SigningKeys()[0].Record.Value != edKey.Record("example.com", "waxwing-ed25519").Value {
		t.Error("the key of the other node was not taken")
	}
}

// TestBrought: where keys come from, with the layouts of OpenDKIM and of the
// containers that use it.
func TestBrought(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{"a.example/mail.private", "a.example.private", "b.example.private", "mail.private"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, path), rsaKey.PEM())
	}
	ed := filepath.Join(dir, "ed.pem")
	put(t, ed, edKey.PEM())
	for _, c := range []struct {
		name   string
		change func(*DKIM)
		want   string
	}{
		{"key_dir", func(d *DKIM) {
			d.Domains, d.KeyDir, d.Selector = []string{"a.example", "b.example", "c.example"}, dir, "mail"
		}, lines("a.example mail rsa2048 mail.private", "b.example mail rsa2048 b.example.private", "c.example mail rsa2048 mail.private")},
		{"key for all", func(d *DKIM) {
			d.Domains, d.KeyFiles = []string{"a.example", "b.example"}, []KeyFile{{Selector: "mail", File: filepath.Join(dir, "mail.private")}}
		}, lines("a.example mail rsa2048 mail.private", "b.example mail rsa2048 mail.private")},
		{"two keys for one, the store for the other", func(d *DKIM) {
			d.Domains = []string{"example.com"}
			d.KeyFiles = []KeyFile{{"mail", "A.example", filepath.Join(dir, "mail.private")}, {"ed", "a.example", ed}}
		}, lines("example.com waxwing rsa2048 store", "a.example mail rsa2048 mail.private", "a.example ed ed25519 ed.pem")},
		{"key before key_dir", func(d *DKIM) {
			d.Domains, d.KeyDir = []string{"b.example"}, dir
			d.KeyFiles = []KeyFile{{"ed", "a.example", ed}}
		}, lines("b.example waxwing rsa2048 b.example.private", "a.example ed ed25519 ed.pem")},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := stocked(t, "example.com")
			v.Fail = func(op, key string) error {
				if op == "swap" && strings.HasSuffix(key, ".private") {
					t.Error("a key was made")
				}
				return nil
			}
			d := configured(c.change)
			start(t, d, v)
			if got := names(d); got != c.want {
				t.Errorf("keys:\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestBroughtFromStore: a file with the name "store" is a file.
func TestBroughtFromStore(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("store", edKey.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	d := configured(func(d *DKIM) { d.KeyFiles = []KeyFile{{Selector: "mail", File: "store"}} })
	v := new(valuestest.Values)
	if _, err := provision(d, v); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := names(d), "example.com mail ed25519 store"; got != want {
		t.Errorf("keys %q, want %q", got, want)
	}
	if made, err := v.List(t.Context(), ""); err != nil || len(made) > 0 {
		t.Errorf("made beside it: %v, %v", made, err)
	}
}

// TestP13Provision: a key that is missing or cannot be read stops the start,
// and the attribute is named.
func TestP13Provision(t *testing.T) {
	dir := t.TempDir()
	bad, good := filepath.Join(dir, "bad"), filepath.Join(dir, "good")
	put(t, bad, []byte("marker-secret"))
	put(t, good, rsaKey.PEM())
	for _, c := range []struct {
		name   string
		change func(*DKIM)
		attr   string
		want   string
	}{
		{"absent", func(d *DKIM) { d.KeyFiles = []KeyFile{{Selector: "x", File: filepath.Join(dir, "absent")}} }, "key", "no such file"},
		{"directory", func(d *DKIM) { d.KeyFiles = []KeyFile{{Selector: "x", File: dir}} }, "key", "not a regular file"},
		{"garbage", func(d *DKIM) { d.KeyFiles = []KeyFile{{Selector: "x", File: bad}} }, "key", "no PEM block"},
		{"not in key_dir", func(d *DKIM) { d.KeyDir = dir }, "key_dir", "holds no key for example.com"},
		{"no key_dir", func(d *DKIM) { d.KeyDir = filepath.Join(dir, "absent") }, "key_dir", "holds no key"},
		{"key_dir is a file", func(d *DKIM) { d.KeyDir = good }, "key_dir", "not a directory"},
		{"ed25519 not covered", func(d *DKIM) {
			d.Algorithms = []string{RSA2048, Ed25519}
			d.KeyFiles = []KeyFile{{Selector: "x", File: good}}
		}, "algorithms", "asks for ed25519"},
	} {
		_, err := provision(configured(c.change), new(valuestest.Values))
		var attr *appliance.AttrError
		if !errors.As(err, &attr) || attr.Attr != c.attr || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s: %q", c.name, err, c.attr, c.want)
		} else if strings.Contains(err.Error(), "marker") {
			t.Errorf("P19: %v", err)
		}
	}
}

// TestP13Start: a store that fails, or holds a bad key, stops the start; what
// it holds is not replaced.
func TestP13Start(t *testing.T) {
	down := errors.New("down")
	for _, op := range []string{"get", "lock", "list", "swap"} {
		v := &valuestest.Values{Fail: func(o, _ string) error {
			if o == op {
				return down
			}
			return nil
		}}
		d := configured(func(d *DKIM) { d.Algorithms = []string{Ed25519} })
		if _, err := provision(d, v); err != nil {
			t.Fatal(err)
		}
		if err := d.Start(t.Context()); !errors.Is(err, down) {
			t.Errorf("%s fails: %v", op, err)
		}
	}
	v := new(valuestest.Values)
	const key, garbage = "example.com/waxwing.private", "marker-secret"
	if err := v.Put(t.Context(), key, []byte(garbage)); err != nil {
		t.Fatal(err)
	}
	d := configured()
	if _, err := provision(d, v); err != nil {
		t.Fatal(err)
	}
	err := d.Start(t.Context())
	if err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "backup") || strings.Contains(err.Error(), garbage) {
		t.Errorf("garbage: %v", err)
	}
	if b, _ := v.Get(t.Context(), key); !bytes.Equal(b, []byte(garbage)) {
		t.Error("the stored key was replaced")
	}
	// A message that comes all the same is deferred.
	tx := parse(t, plainMail)
	if r := appliance.ReplyTo(d.Modify(t.Context(), tx)); r == nil || r.Code != 451 {
		t.Errorf("Modify: %v", r)
	}
}

// TestWarnings about keys that work, but not as well as they could.
func TestWarnings(t *testing.T) {
	short := shortRSA(t, 1024)
	v := new(valuestest.Values)
	if err := v.Put(t.Context(), "example.com/waxwing.private", short); err != nil {
		t.Fatal(err)
	}
	warned := func(logs []string, want string) bool {
		return len(logs) == 1 && strings.Contains(logs[0], want)
	}
	messagesOf := func(d *DKIM) []string {
		var all []string
		for _, e := range start(t, d, v).FilterLevelExact(zapcore.WarnLevel).All() {
			all = append(all, e.Message)
		}
		return all
	}
	file := filepath.Join(t.TempDir(), "mail.private")
	put(t, file, short)
	if got := messagesOf(configured(func(d *DKIM) { d.KeyFiles = []KeyFile{{Selector: "x", File: file}} })); !warned(got, "short") {
		t.Errorf("1024 bits: %v", got)
	}
	put(t, file, rsaKey.PEM())
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := messagesOf(configured(func(d *DKIM) { d.KeyFiles = []KeyFile{{Selector: "x", File: file}} })); !warned(got, "everybody") {
		t.Errorf("X3 mode 0644: %v", got)
	}
	if got := messagesOf(configured()); len(got) != 2 { // short, and not rsa2048
		t.Errorf("stored key of another size: %v", got)
	}
}
