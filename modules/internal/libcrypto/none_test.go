//go:build !libcrypto || !linux || !(amd64 || arm64)

package libcrypto

import (
	"errors"
	"testing"
)

// TestNotBuilt: a program without the tag says so, and has no signers.
func TestNotBuilt(t *testing.T) {
	if version, err := Version(); version != "" || !errors.Is(err, ErrNotBuilt) {
		t.Errorf("version %q, %v", version, err)
	}
	if s, err := New(nil, nil); s != nil || !errors.Is(err, ErrNotBuilt) {
		t.Errorf("signer %v, %v", s, err)
	}
}
