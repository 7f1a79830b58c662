package userbook

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/modules/internal/valuestest"
)

type record struct{ N int }

func open(t *testing.T, v *valuestest.Values) *Book[record] {
	t.Helper()
	b := &Book[record]{Values: v, Log: zap.NewNop(), Every: time.Hour, Idle: func(r *record) bool { return r.N == 0 }}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *Book[T]) look(user string) (r T) {
	b.Look(user, func(x *T) { r = *x })
	return r
}

// TestBook: what is known outlives a stop, whatever the names are; what is idle
// goes.
func TestBook(t *testing.T) {
	v := new(valuestest.Values)
	b := open(t, v)
	names := []string{"app", "../../x", "a b", "Jörg@example.com", strings.Repeat("x", 320)}
	for i, name := range names {
		b.Update(name, func(r *record) { r.N = i + 1 })
	}
	b.look("nobody")
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, _ := v.List(t.Context(), ""); len(list) != len(names) {
		t.Errorf("%d values: %v", len(list), list)
	}
	b = open(t, v)
	for i, name := range names {
		if got := b.look(name); got.N != i+1 {
			t.Errorf("%.20q: %+v", name, got)
		}
	}
	b.Update("app", func(r *record) { r.N = 0 })
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, _ := v.List(t.Context(), ""); len(list) != len(names)-1 {
		t.Errorf("%d values: %v", len(list), list)
	}
}

// TestEvery: it is written once in a while, only what has changed; a write that
// fails is made up for.
func TestEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, puts, full := new(valuestest.Values), atomic.Int64{}, atomic.Bool{}
		v.Fail = func(op, _ string) error {
			if op == "put" {
				if puts.Add(1); full.Load() {
					return errors.New("full")
				}
			}
			return nil
		}
		b := open(t, v)
		for i := range 1000 {
			b.Update("app", func(r *record) { r.N = i + 1 })
		}
		time.Sleep(10*time.Hour + time.Minute)
		if puts.Load() != 1 {
			t.Errorf("%d writes", puts.Load())
		}
		full.Store(true)
		b.Update("app", func(r *record) { r.N = 7 })
		time.Sleep(time.Hour)
		full.Store(false)
		if err := b.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if b = open(t, v); b.look("app").N != 7 {
			t.Error("a write that failed is lost")
		}
		_ = b.Stop(t.Context())
	})
}

// TestUnreadable: a record that is damaged is left out, a store that fails
// stops the start.
func TestUnreadable(t *testing.T) {
	v := new(valuestest.Values)
	for _, c := range []struct{ key, text string }{
		{keyOf("torn"), `{"user":"torn","rec`}, {keyOf("moved"), `{"user":"app","record":{"N":9}}`},
		{keyOf("app"), `{"user":"app","record":{"N":3}}`},
	} {
		if err := v.Put(t.Context(), c.key, []byte(c.text)); err != nil {
			t.Fatal(err)
		}
	}
	b := open(t, v)
	if b.look("app").N != 3 || b.look("torn").N != 0 || b.look("moved").N != 0 {
		t.Error("not what was stored")
	}
	_ = b.Stop(t.Context())
	for _, op := range []string{"list", "get"} {
		v.Fail = func(got, _ string) error {
			if got == op {
				return errors.New("broken")
			}
			return nil
		}
		if err := (&Book[record]{Values: v, Log: zap.NewNop(), Every: time.Hour}).Start(t.Context()); err == nil {
			t.Errorf("starts although %s fails", op)
		}
	}
}

// TestBounded: users beyond the limit share a record, and keep nobody out.
func TestBounded(t *testing.T) {
	b := open(t, new(valuestest.Values))
	for i := range MaxUsers + 10 {
		b.Update(fmt.Sprint("user", i), func(r *record) { r.N++ })
	}
	if len(b.pages) != MaxUsers+1 || b.look(Others).N != 10 || b.look("user3").N != 1 {
		t.Errorf("%d records, %d share", len(b.pages), b.look(Others).N)
	}
	_ = b.Stop(t.Context())
}
