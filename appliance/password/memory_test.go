package password

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slow is a scheme that counts how often it is asked, and takes a while.
type slow struct {
	right string
	calls atomic.Int64
}

func (*slow) memory() int64 { return 1 }

func (s *slow) matches(password string) bool {
	s.calls.Add(1)
	time.Sleep(time.Second)
	return password == s.right
}

// again has the password verified by VerifyAgain and says how often it was hashed.
func again(t *testing.T, v *Verifier, password string, want bool) int64 {
	t.Helper()
	before := v.scheme.(*slow).calls.Load()
	if ok, err := v.VerifyAgain(t.Context(), password); ok != want || err != nil {
		t.Errorf("VerifyAgain(%.20q) = %v, %v", password, ok, err)
	}
	return v.scheme.(*slow).calls.Load() - before
}

func TestVerifyAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &Verifier{scheme: &slow{right: "right"}}
		for _, c := range []struct {
			password string
			hashed   int64
		}{
			{"wrong", 1}, {"wrong", 1}, // what is wrong is never remembered
			{"right", 1}, {"right", 0},
			{"wrong", 1}, {"right", 0}, // nor does it make what is right forgotten
			{"right\x00", 1}, {"righ", 1}, {"Right", 1}, {"", 1},
		} {
			if n := again(t, v, c.password, c.password == "right"); n != c.hashed {
				t.Errorf("%q was hashed %d times, want %d", c.password, n, c.hashed)
			}
		}
		if n := again(t, v, strings.Repeat("x", MaxLength+1), false); n != 0 {
			t.Errorf("a password that is too long was hashed %d times", n)
		}
		if n := again(t, &Verifier{scheme: &slow{right: "right"}}, "right", true); n != 1 {
			t.Error("another verifier of the same hash remembers")
		}
	})
}

// TestA7VerifyRemembersNothing: neither does Verify look at what is remembered,
// nor does what it finds out become known.
func TestA7VerifyRemembersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{right: "right"}
		v := &Verifier{scheme: s}
		verify := func() {
			t.Helper()
			before := s.calls.Load()
			if ok, err := v.Verify(t.Context(), "right"); !ok || err != nil || s.calls.Load() != before+1 {
				t.Errorf("Verify = %v, %v, hashed %d times", ok, err, s.calls.Load()-before)
			}
		}
		verify()
		if n := again(t, v, "right", true); n != 1 {
			t.Error("Verify has made a password known")
		}
		verify()
	})
}

// TestForgets: five minutes after it was hashed, however often it is used.
func TestForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &Verifier{scheme: &slow{right: "right"}}
		again(t, v, "right", true)
		for range 4 {
			time.Sleep(time.Minute)
			if n := again(t, v, "right", true); n != 0 {
				t.Errorf("hashed %d times within five minutes", n)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if v.memory.last.Load() != nil {
			t.Error("the HMAC is still in memory")
		}
		if n := again(t, v, "right", true); n != 1 {
			t.Errorf("hashed %d times after five minutes", n)
		}
	})
}

// TestForget: at once, when asked to; and what is learnt later is remembered for
// its five minutes.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &Verifier{scheme: &slow{right: "right"}}
		v.Forget()
		for i, hashed := range []int64{1, 0} {
			if n := again(t, v, "right", true); n != hashed {
				t.Errorf("log-in %d: hashed %d times, want %d", i, n, hashed)
			}
		}
		time.Sleep(time.Minute)
		v.Forget()
		if n := again(t, v, "right", true); n != 1 {
			t.Errorf("hashed %d times after it was to be forgotten", n)
		}
		time.Sleep(rememberFor - 10*time.Second)
		if n := again(t, v, "right", true); n != 0 {
			t.Errorf("hashed %d times: the end of what was forgotten was the end of this", n)
		}
	})
}

// TestReplaced: the end of what was remembered first is not the end of what
// took its place. A bcrypt hash, which ignores all octets after the 72nd, has
// more than one password.
func TestReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		m.remember("first")
		time.Sleep(time.Minute)
		m.remember("second")
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if m.recalls("first") || !m.recalls("second") {
			t.Error("not the last one is remembered")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if m.recalls("second") {
			t.Error("it is remembered for longer than five minutes")
		}
	})
}

// TestHerd: fifty connections of one program at once have its password hashed
// once, or as often as the gate lets in together, and nobody is told to wait.
func TestHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{right: "right"}
		v := &Verifier{scheme: s}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if ok, err := v.VerifyAgain(t.Context(), "right"); !ok || err != nil {
					t.Errorf("VerifyAgain = %v, %v", ok, err)
				}
			})
		}
		wg.Wait()
		if n, most := s.calls.Load(), maxMemory/hashing.share; n > most {
			t.Errorf("hashed %d times, at most %d run at a time", n, most)
		}
	})
}

// TestVerifyAgainBusy: what is remembered needs no turn.
func TestVerifyAgainBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &Verifier{scheme: &slow{right: "right"}}
		again(t, v, "right", true)
		leave, err := hashing.enter(t.Context(), maxMemory)
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
		if n := again(t, v, "right", true); n != 0 {
			t.Errorf("hashed %d times", n)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if ok, err := v.VerifyAgain(gone, "wrong"); ok || !errors.Is(err, context.Canceled) {
			t.Errorf("wrong: %v, %v", ok, err)
		}
	})
}

// BenchmarkLogin is what the password of a user costs: the first time, as every
// wrong one, and again.
func BenchmarkLogin(b *testing.B) {
	const right = "correct horse battery staple"
	const hash = "$argon2id$v=19$m=19456,t=2,p=1$frZS0OpuamlvpaugVgcFfg$zTCKN5d+saxPJ7jlq7tBCT9rbkoddycMw/hfXgaEIys"
	v, err := Parse(hash)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		verify func(context.Context, string) (bool, error)
	}{{"first", v.Verify}, {"again", v.VerifyAgain}} {
		b.Run(c.name, func(b *testing.B) {
			_, _ = c.verify(b.Context(), right)
			b.ReportAllocs()
			for b.Loop() {
				if ok, err := c.verify(b.Context(), right); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
