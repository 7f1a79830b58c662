package password

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

const argon2idPrefix = "$argon2id$"

// The parameters of new hashes: the second of the equal choices that OWASP's
// password storage cheat sheet gives for argon2id.
const (
	newMemory  = 19 << 10 // KiB
	newPasses  = 2
	newLanes   = 1
	saltOctets = 16 // RFC 9106, section 3.1: 16 is recommended
	hashOctets = 32
)

// The largest parameters that Parse takes: a stored hash must not make a
// log-in cost more than a quarter of a GiB or some seconds.
const (
	maxMemory = 256 << 10 // KiB
	maxPasses = 16
	maxLanes  = 16
)

// Hash makes a new argon2id hash of the password, with a random salt, as a
// PHC string.
func Hash(password string) (string, error) {
	switch {
	case password == "":
		return "", errors.New("the password is empty")
	case len(password) > MaxLength:
		return "", fmt.Errorf("the password has %d octets; at most %d are allowed", len(password), MaxLength)
	}
	a := argon2id{m: newMemory, t: newPasses, p: newLanes, salt: make([]byte, saltOctets)}
	_, _ = rand.Read(a.salt) // never fails
	a.hash = a.key(password, hashOctets)
	return a.String(), nil
}

type argon2id struct {
	m, t       uint32 // KiB, passes
	p          uint8  // lanes
	salt, hash []byte
}

func (a argon2id) memory() int64 { return int64(a.m) }

func (a argon2id) matches(password string) bool {
	return subtle.ConstantTimeCompare(a.key(password, uint32(len(a.hash))), a.hash) == 1
}

func (a argon2id) key(password string, octets uint32) []byte {
	return argon2.IDKey([]byte(password), a.salt, a.t, a.m, a.p, octets)
}

// String is the PHC string.
func (a argon2id) String() string {
	enc := base64.RawStdEncoding
	return fmt.Sprintf("%sv=%d$m=%d,t=%d,p=%d$%s$%s", argon2idPrefix, argon2.Version,
		a.m, a.t, a.p, enc.EncodeToString(a.salt), enc.EncodeToString(a.hash))
}

// parseArgon2id reads a PHC string as [argon2id.String] writes it, with the
// parameters in this order and none left out, which is how every
// implementation of the reference writes it.
func parseArgon2id(s string) (argon2id, error) {
	var a argon2id
	parts := strings.Split(strings.TrimPrefix(s, argon2idPrefix), "$")
	if len(parts) != 4 {
		return a, errors.New("is not a complete argon2id hash: $argon2id$v=19$m=…,t=…,p=…$salt$hash is expected" +
			" (was it cut by a shell that expanded the dollar signs?)")
	}
	if parts[0] != "v="+strconv.Itoa(argon2.Version) {
		return a, fmt.Errorf("is an argon2id hash of another version; only v=%d is supported", argon2.Version)
	}
	if err := a.setParameters(parts[1]); err != nil {
		return a, err
	}
	var err error
	if a.salt, err = decodePart("salt", parts[2], 8, 64); err != nil {
		return a, err
	}
	a.hash, err = decodePart("hash", parts[3], 16, 64)
	return a, err
}

func (a *argon2id) setParameters(s string) error {
	fields := strings.Split(s, ",")
	if len(fields) != 3 {
		return errors.New("argon2id parameters: m=…,t=…,p=… is expected")
	}
	var values [3]uint64
	for i, f := range []struct {
		name string
		max  uint64
	}{{"m", maxMemory}, {"t", maxPasses}, {"p", maxLanes}} {
		n, err := number(strings.CutPrefix(fields[i], f.name+"="))
		if err != nil || n < 1 || n > f.max {
			return fmt.Errorf("argon2id parameter %d must be %s=, a number from 1 to %d", i+1, f.name, f.max)
		}
		values[i] = n
	}
	a.m, a.t, a.p = uint32(values[0]), uint32(values[1]), uint8(values[2])
	// RFC 9106, section 3.1: memory size is from 8*p to 2^32-1 kibibytes.
	if a.m < 8*uint32(a.p) {
		return errors.New("argon2id parameter m must be at least 8 times p")
	}
	return nil
}

// number parses a decimal number in its one canonical form.
func number(s string, found bool) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err == nil && (!found || strconv.FormatUint(n, 10) != s) {
		err = errors.New("not a plain number")
	}
	return n, err
}

func decodePart(what, s string, least, most int) ([]byte, error) {
	b, err := base64.RawStdEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, fmt.Errorf("argon2id %s is not base64 without padding", what)
	}
	if len(b) < least || len(b) > most {
		return nil, fmt.Errorf("argon2id %s has %d octets; from %d to %d are supported", what, len(b), least, most)
	}
	return b, nil
}
