package files

import (
	"cmp"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/modules/internal/certs"
	"github.com/waxwing-mail/waxwing/modules/internal/localfile"
)

// A shelf is what was found in the files of a directory, in their order.
type shelf struct {
	chains []chain
	keys   []key
	unused []problem
}

type chain struct {
	file  string
	certs []*x509.Certificate // at least one, that of the server first
}

type key struct {
	file   string
	signer crypto.Signer
}

// A pair is a chain with its key.
type pair struct {
	chain
	key crypto.Signer
}

// read reads the files. The error is that of one that cannot be read.
func (s *shelf) read(log *zap.Logger, files []string) error {
	modes := make([]fs.FileMode, len(files)) // of those that hold a key
	total := 0
	for i, file := range files {
		content, mode, err := localfile.ReadMode(file, certs.MaxFile)
		if err != nil {
			return err
		}
		if total += len(content); total > maxTotal {
			return fmt.Errorf("the files are larger than %d octets together", maxTotal)
		}
		if s.sort(file, content) {
			modes[i] = mode
		}
	}
	for i, file := range files {
		localfile.WarnExposed(log, file, modes[i])
	}
	return nil
}

// sort puts what is in a file where it belongs, and says whether a private key
// is among it.
func (s *shelf) sort(file string, content []byte) (secret bool) {
	list, chainErr := certs.Chain(file, content)
	if chainErr == nil {
		s.chains = append(s.chains, chain{file, list})
	}
	keys, keyErr := certs.Keys(file, content)
	for _, k := range keys {
		s.keys = append(s.keys, key{file, k})
	}
	for _, err := range []error{chainErr, keyErr} {
		// What is neither a certificate nor a key is not ours to complain about.
		if err != nil && !errors.Is(err, certs.ErrNoPEM) && !errors.Is(err, certs.ErrAbsent) {
			s.complain(file, err.Error())
		}
	}
	return len(keys) > 0
}

// complain remembers the first thing that is wrong with a file.
func (s *shelf) complain(file, why string) {
	if !slices.ContainsFunc(s.unused, func(p problem) bool { return p.file == file }) {
		s.unused = append(s.unused, problem{file, why})
	}
}

// pair puts chains and keys together by the public key.
func (s *shelf) pair() []pair {
	var pairs []pair
	used := make([]bool, len(s.keys))
	for _, c := range s.chains {
		found, misplaced := false, 0
		for i, k := range s.keys {
			switch at := certs.Belongs(c.certs, k.signer); {
			case at > 0:
				misplaced, used[i] = at, true
			case at == 0:
				if !found {
					pairs = append(pairs, pair{c, k.signer})
				}
				found, used[i] = true, true
			}
		}
		switch {
		case found:
		case misplaced > 0:
			s.complain(c.file, certs.MisplacedError(misplaced).Error())
		case !c.certs[0].IsCA: // those of authorities have their keys elsewhere
			s.complain(c.file, fmt.Sprintf("has a certificate (%s) without its key: none in the directory fits", strings.Join(titles(c.certs[0]), ", ")))
		}
	}
	for i, k := range s.keys {
		if !used[i] {
			s.complain(k.file, "has a key without its certificate: none in the directory fits")
		}
	}
	return pairs
}

// choose leaves, of several certificates that stand for the same, the best,
// and puts the default first.
func choose(pairs []pair, hostname string) []pair {
	now := time.Now()
	best := make(map[string]pair)
	for _, p := range pairs {
		id := identity(p.certs[0])
		if old, ok := best[id]; !ok || better(p, old, now) {
			best[id] = p
		}
	}
	pairs = slices.DeleteFunc(pairs, func(p pair) bool { return best[identity(p.certs[0])].file != p.file })
	rank := func(p pair) int {
		switch leaf := p.certs[0]; {
		case !inTime(leaf, now):
			return 2
		case leaf.VerifyHostname(hostname) != nil:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Or(rank(a)-rank(b), cmp.Compare(a.file, b.file)) })
	return pairs
}

// identity is the same for certificates of which a client needs one: those for
// the same names with the same kind of key.
func identity(leaf *x509.Certificate) string {
	names := titles(leaf)
	for i, n := range names {
		names[i] = strings.ToLower(n)
	}
	slices.Sort(names)
	return leaf.PublicKeyAlgorithm.String() + " " + strings.Join(slices.Compact(names), " ")
}

// titles are the names of a certificate, or what else it calls itself.
func titles(leaf *x509.Certificate) []string {
	if names := certs.Names(leaf); len(names) > 0 {
		return names
	}
	return []string{cmp.Or(leaf.Subject.String(), "without a name")}
}

// better says whether a is rather to be served than b: it is in its time, it
// is so for longer, and its chain is longer (certbot has the certificate in
// cert.pem, and in fullchain.pem with its issuers).
func better(a, b pair, now time.Time) bool {
	x, y := a.certs[0], b.certs[0]
	if inTime(x, now) != inTime(y, now) {
		return inTime(x, now)
	}
	if !x.NotAfter.Equal(y.NotAfter) {
		return x.NotAfter.After(y.NotAfter)
	}
	return len(a.certs) > len(b.certs)
}

func inTime(leaf *x509.Certificate, now time.Time) bool {
	return !now.Before(leaf.NotBefore) && !now.After(leaf.NotAfter)
}
