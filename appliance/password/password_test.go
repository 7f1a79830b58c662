package password

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/bcrypt"
)

// One of the test vectors of the reference implementation:
// echo -n password | argon2 somesalt -id -t 2 -k 65536 -p 1 -l 32 -e
const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

func TestVerify(t *testing.T) {
	made, err := bcrypt.GenerateFromPassword([]byte("hello"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	asHtpasswd := strings.Replace(string(made), "$2a$", "$2y$", 1)
	fresh, err := Hash("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, hash, right string }{
		{"argon2id of the reference", reference, "password"},
		{"argon2id of our own", fresh, "correct horse"},
		{"bcrypt 2a", string(made), "hello"},
		{"bcrypt 2y", asHtpasswd, "hello"},
		{"bcrypt 2b", strings.Replace(string(made), "$2a$", "$2b$", 1), "hello"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := Parse(c.hash)
			if err != nil {
				t.Fatal(err)
			}
			for _, pw := range []string{c.right, c.right + "x", c.right[1:], "", "\x00", strings.Repeat("x", MaxLength+1)} {
				ok, err := v.Verify(t.Context(), pw)
				if err != nil || ok != (pw == c.right) {
					t.Errorf("Verify(%.20q) = %v, %v", pw, ok, err)
				}
			}
		})
	}
}

func TestPlain(t *testing.T) {
	v := Plain("s3cret")
	for pw, want := range map[string]bool{"s3cret": true, "s3cre": false, "s3cret ": false, "": false} {
		if ok, err := v.Verify(t.Context(), pw); ok != want || err != nil {
			t.Errorf("Verify(%q) = %v, %v", pw, ok, err)
		}
	}
}

func TestHash(t *testing.T) {
	a, _ := Hash("same")
	b, _ := Hash("same")
	if a == b {
		t.Error("two hashes of one password are equal: no salt")
	}
	if !strings.HasPrefix(a, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("parameters: %s", a)
	}
	for _, pw := range []string{"", strings.Repeat("x", MaxLength+1)} {
		if h, err := Hash(pw); err == nil {
			t.Errorf("Hash of %d octets = %q", len(pw), h)
		}
	}
}

// TestParseRefuses holds the parser to the one canonical spelling, its
// parameters to their limits, and its errors to advice without the hash.
func TestParseRefuses(t *testing.T) {
	const salt, hash = "c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	phc := func(version, params, salt, hash string) string {
		return "$argon2id$" + version + "$" + params + "$" + salt + "$" + hash
	}
	bc := "$2y$10$" + strings.Repeat("a", 53)
	for _, c := range []struct{ name, hash, want string }{
		{"empty", "", "not a password hash"},
		{"plain text", "marker-secret", "not a password hash"},
		{"crypt", "rl0uE0G9rDYNM", "crypt(3)"},
		{"apr1", "$apr1$abcdefgh$0123456789abcdef012345", "Apache's MD5"},
		{"sha1", "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "SHA-1"},
		{"ldap", "{SSHA}marker-secret", "LDAP"},
		{"sha512", "$6$salt$marker-secret", "SHA-512"},
		{"argon2i", "$argon2i$v=19$m=65536,t=2,p=1$" + salt + "$" + hash, "argon2i"},
		{"2x", "$2x$" + bc[4:], "broken"},
		{"unknown", "$9$marker-secret", "unknown kind"},
		{"dollars expanded", "$argon2id$v=19", "dollar"},
		{"other version", phc("v=16", "m=65536,t=2,p=1", salt, hash), "v=19"},
		{"no version", "$argon2id$m=65536,t=2,p=1$" + salt + "$" + hash, "complete"},
		{"other order", phc("v=19", "t=2,m=65536,p=1", salt, hash), "m="},
		{"missing p", phc("v=19", "m=65536,t=2", salt, hash), "m=…,t=…,p=…"},
		{"keyid", phc("v=19", "m=65536,t=2,p=1,keyid=x", salt, hash), "m=…,t=…,p=…"},
		{"m over the limit", phc("v=19", "m=262145,t=2,p=1", salt, hash), "262144"},
		{"m huge", phc("v=19", "m=99999999999999999999,t=2,p=1", salt, hash), "262144"},
		{"m too small for p", phc("v=19", "m=31,t=2,p=4", salt, hash), "8 times p"},
		{"t over the limit", phc("v=19", "m=65536,t=17,p=1", salt, hash), "16"},
		{"t zero", phc("v=19", "m=65536,t=0,p=1", salt, hash), "from 1"},
		{"p over the limit", phc("v=19", "m=65536,t=2,p=17", salt, hash), "16"},
		{"p zero", phc("v=19", "m=65536,t=2,p=0", salt, hash), "from 1"},
		{"leading zero", phc("v=19", "m=065536,t=2,p=1", salt, hash), "m="},
		{"plus", phc("v=19", "m=+65536,t=2,p=1", salt, hash), "m="},
		{"salt padded", phc("v=19", "m=65536,t=2,p=1", salt+"==", hash), "salt"},
		{"salt short", phc("v=19", "m=65536,t=2,p=1", "c29t", hash), "salt has 3"},
		{"salt not canonical", phc("v=19", "m=65536,t=2,p=1", "c29tZXNhbHR", hash), "salt"},
		{"salt with newline", phc("v=19", "m=65536,t=2,p=1", "c29t\nZXNhbHQ", hash), "salt"},
		{"hash short", phc("v=19", "m=65536,t=2,p=1", salt, "c29tc2FsdA"), "hash has 7"},
		{"hash long", phc("v=19", "m=65536,t=2,p=1", salt, strings.Repeat("A", 88)), "hash has 66"},
		{"trailing part", reference + "$x", "complete"},
		{"bcrypt short", bc[:59], "60 characters"},
		{"bcrypt long", bc + "a", "60 characters"},
		{"bcrypt bad character", bc[:59] + "!", "60 characters"},
		{"bcrypt cost 31", "$2y$31$" + bc[7:], "cost"},
		{"bcrypt cost 17", "$2y$17$" + bc[7:], "cost"},
		{"bcrypt cost 3", "$2y$03$" + bc[7:], "cost"},
		{"bcrypt cost no number", "$2y$1x$" + bc[7:], "cost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(c.hash)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q in it", err, c.want)
			}
			if strings.Contains(err.Error(), "marker") || len(c.hash) > 30 && strings.Contains(err.Error(), c.hash[20:]) {
				t.Errorf("P19: the error shows the hash: %v", err)
			}
		})
	}
}

// TestGate: never more at a time than processors, nor more memory than there
// is; and who waits too long, or is gone, is told so.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(100, 2)
		enter := func(kib int64) func() {
			leave, err := g.enter(t.Context(), kib)
			if err != nil {
				t.Fatalf("enter(%d): %v", kib, err)
			}
			return leave
		}
		busy := func(kib int64) {
			t.Helper()
			if _, err := g.enter(t.Context(), kib); !errors.Is(err, ErrBusy) {
				t.Fatalf("enter(%d): %v, want ErrBusy", kib, err)
			}
		}
		a, b := enter(1), enter(1) // as many as processors
		busy(1)
		a()
		busy(60) // more memory than is left
		enter(50)()
		b()
		all := enter(1000) // more than there is: alone
		busy(1)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := g.enter(gone, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		all()
		enter(100)()
	})
}

// TestVerifyBusy: the gate is on the way of every expensive hash.
func TestVerifyBusy(t *testing.T) {
	v, err := Parse(reference)
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	leave, err := hashing.enter(t.Context(), maxMemory)
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	if ok, err := v.Verify(gone, "password"); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("Verify = %v, %v", ok, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(reference)
	f.Add("$2y$04$" + strings.Repeat("a", 53))
	f.Add("{SHA}x")
	f.Add("$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := Parse(s)
		if err != nil {
			return
		}
		if a, ok := v.scheme.(argon2id); ok && a.String() != s {
			t.Errorf("%q reads as %q", s, a.String())
		}
	})
}

// TestHalfOfTheProcessors: however cheap the hashes are, half of the processors
// are left to others, and one hash at a time is always possible.
func TestHalfOfTheProcessors(t *testing.T) {
	want := max(1, runtime.GOMAXPROCS(0)/2)
	for range want {
		leave, err := hashing.enter(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
	}
	if hashing.free.TryAcquire(hashing.share) {
		hashing.free.Release(hashing.share)
		t.Errorf("more than %d at a time", want)
	}
}
