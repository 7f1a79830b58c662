package appliance

import (
	"strings"
	"testing"
)

// X4: a key that passes is a file name below a directory and nothing else.
func TestCheckValueKeyX4(t *testing.T) {
	for _, key := range []string{
		"a", "signer/example/keys/2026-11._domainkey.example.com", "x@y+z=", "con", "a/b/c.", strings.Repeat("k", 200),
	} {
		if err := CheckValueKey(key); err != nil {
			t.Errorf("%q: %v", key, err)
		}
	}
	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../../etc/passwd", "a/../b", "a/.hidden", `a\b`, "%2e%2e", "*", "a b",
		"a\x00b", "a\nb", "ü", strings.Repeat("k", 201), strings.Repeat("k/", 500) + "kk",
	} {
		if CheckValueKey(key) == nil {
			t.Errorf("%.40q was let pass", key)
		}
	}
}

func TestQueueIDIsValidX4(t *testing.T) {
	for _, id := range []QueueID{"0", "01jd3m8zk6q0v9xwr5tn", QueueID(strings.Repeat("a", 64))} {
		if !id.IsValid() {
			t.Errorf("%q is refused", id)
		}
	}
	for _, id := range []QueueID{"", ".", "..", "a/b", "A", "a\x00", "a.b", "é", QueueID(strings.Repeat("a", 65))} {
		if id.IsValid() {
			t.Errorf("%q was let pass", id)
		}
	}
}
