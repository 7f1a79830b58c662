// Package password makes and verifies password hashes.
//
// # Forms
//
//	$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA   PHC string (RFC 9106); what [Hash] makes
//	$2y$10$…                                       bcrypt ($2a$, $2b$, $2y$), what "htpasswd -B" makes
//
// Every other form is refused with the advice to use one of these: MD5, SHA-1
// and crypt(3) hashes are guessed at billions a second.
//
// # Limits
//
// A hash is expensive by design, and a stranger chooses how often it is
// computed. So the cost that a hash may ask for is bounded when it is parsed,
// and all verifications of the process share one [gate]: together they use
// no more than half of the processors and 256 MiB. Who waits longer than ten
// seconds
// is told [ErrBusy], which is not "wrong password".
//
// No error of this package contains a hash or a password.
package password

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"strings"
)

// MaxLength is the longest password that can be right, in octets. Longer ones
// are not hashed.
const MaxLength = 1024

// A Verifier knows whether a password is the right one. Its methods may be
// called from many goroutines at once.
type Verifier struct {
	scheme scheme
	memory memory
}

// scheme is one way to store a password.
type scheme interface {
	matches(password string) bool
	memory() int64 // KiB that matches needs; 0 if it is cheap
}

// Parse reads a stored hash. The error says which forms there are.
func Parse(hash string) (*Verifier, error) {
	var s scheme
	var err error
	switch {
	case strings.HasPrefix(hash, argon2idPrefix):
		s, err = parseArgon2id(hash)
	case isBcrypt(hash):
		s, err = parseBcrypt(hash)
	default:
		err = unsupported(hash)
	}
	if err != nil {
		return nil, err
	}
	return &Verifier{scheme: s}, nil
}

// Plain returns a Verifier for a password that is known in clear text.
func Plain(password string) *Verifier {
	return &Verifier{scheme: plain(sha256.Sum256([]byte(password)))}
}

// Verify says whether password is the right one. It takes as long for a wrong
// password as for the right one. An error means that it could not find out:
// ErrBusy, or that of ctx.
func (v *Verifier) Verify(ctx context.Context, password string) (bool, error) {
	return v.verify(ctx, password, new(memory))
}

// VerifyAgain is Verify, but does not hash a password that was right less than
// five minutes ago. It is for users who exist: a stranger who was compared with
// this hash for the sake of the time that it takes would learn, by the clock,
// that the password is somebody's.
func (v *Verifier) VerifyAgain(ctx context.Context, password string) (bool, error) {
	return v.verify(ctx, password, &v.memory)
}

// Forget has VerifyAgain hash the next password, whatever was right before.
func (v *Verifier) Forget() { v.memory.forget() }

func (v *Verifier) verify(ctx context.Context, password string, m *memory) (bool, error) {
	if len(password) > MaxLength {
		return false, nil
	}
	kib := v.scheme.memory()
	if kib == 0 {
		return v.scheme.matches(password), nil
	}
	if m.recalls(password) {
		return true, nil
	}
	leave, err := hashing.enter(ctx, kib)
	if err != nil {
		return false, err
	}
	defer leave()
	// A program that opens fifty connections at once is fifty times here. The
	// first has the password hashed, and those who waited behind it know.
	if m.recalls(password) {
		return true, nil
	}
	if !v.scheme.matches(password) {
		return false, nil
	}
	m.remember(password)
	return true, nil
}

// plain is the digest of a password, so that a comparison of two passwords
// does not tell their lengths.
type plain [sha256.Size]byte

func (plain) memory() int64 { return 0 }

func (p plain) matches(password string) bool {
	given := sha256.Sum256([]byte(password))
	return subtle.ConstantTimeCompare(p[:], given[:]) == 1
}

// unsupported says what kind of thing hash is, without showing it.
func unsupported(hash string) error {
	const use = `; use argon2id ("waxwing hash-password") or bcrypt ("htpasswd -B")`
	for _, known := range []struct{ prefix, name string }{
		{"$argon2", "an argon2i or argon2d hash"},
		{"$apr1$", "Apache's MD5 hash"},
		{"$1$", "an MD5 crypt hash"},
		{"$5$", "a SHA-256 crypt hash"},
		{"$6$", "a SHA-512 crypt hash"},
		{"$7$", "an scrypt hash"},
		{"$y$", "a yescrypt hash"},
		{"$2x$", "a hash of the broken bcrypt variant 2x"},
		{"{SHA}", "an unsalted SHA-1 hash"},
		{"{", "a hash in LDAP form"},
		{"$", "a hash of an unknown kind"},
	} {
		if strings.HasPrefix(hash, known.prefix) {
			return errors.New("is " + known.name + ", which is not supported" + use)
		}
	}
	return errors.New("is not a password hash: plain text or crypt(3)" + use)
}
