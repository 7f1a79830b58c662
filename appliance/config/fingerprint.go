package config

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/waxwing-mail/waxwing/appliance"
)

// fingerprintKey keeps a fingerprint, which people get to see, from being a
// way to guess the secrets that went into it. Fingerprints are comparable
// within one process.
var fingerprintKey = func() (key [32]byte) {
	_, _ = rand.Read(key[:]) // never fails
	return key
}()

// fingerprint says what an instance depends on: its block without comments
// and spaces, what env() and file() returned in it, the settings that its kind
// depends on, and the instances it refers to.
func (l *loader) fingerprint(n *instance, results []string) string {
	h := hmac.New(sha256.New, fingerprintKey[:])
	mix(h, "block", string(n.addr.Kind), n.typ, n.addr.Name, n.preset)
	if n.block != nil {
		l.mixTokens(h, n.block.Range())
	}
	mix(h, append([]string{"results"}, results...)...)
	switch n.addr.Kind {
	case appliance.KindStore:
		mix(h, "settings", l.set.DataDir, l.set.Limits.MinFreeDisk.String())
	case appliance.KindPipeline:
		mix(h, "settings", l.set.Hostname, fmt.Sprint(l.set.Limits), l.set.Mode)
	default:
		// Not the resolver: the one that every instance has takes its settings
		// while it is in use.
		mix(h, "settings", l.set.Hostname, fmt.Sprint(l.set.Limits))
	}
	for _, dep := range n.deps {
		mix(h, "dependency", dep.addr.String(), dep.node.Fingerprint)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// mix adds a list of strings in a way that no other list gives.
func mix(h hash.Hash, parts ...string) {
	for _, p := range append([]string{fmt.Sprint(len(parts))}, parts...) {
		_, _ = fmt.Fprintf(h, "%d:", len(p)) // a hash returns no error
		_, _ = io.WriteString(h, p)
	}
}

func (l *loader) mixTokens(h hash.Hash, r hcl.Range) {
	// A part of what could be lexed as a whole: there is nothing to report.
	tokens, _ := hclsyntax.LexConfig(l.src.text[r.Start.Byte:r.End.Byte], "", hcl.InitialPos)
	for _, t := range tokens {
		if t.Type != hclsyntax.TokenComment && t.Type != hclsyntax.TokenNewline {
			mix(h, t.Type.String(), string(t.Bytes))
		}
	}
}
