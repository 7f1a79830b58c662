package dkim

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Modify implements appliance.Modifier: it signs what is ours.
func (d *DKIM) Modify(ctx context.Context, tx *appliance.Transaction) error {
	domain := d.responsible(&tx.Message.Header)
	if domain == "" {
		return nil
	}
	signatures, err := d.sign(ctx, d.ring.Load().keys[domain], &tx.Message)
	if err != nil {
		d.signed.WithLabelValues(domain, "error").Inc()
		return fmt.Errorf("sign for %s: %w", domain, err)
	}
	for _, s := range signatures {
		tx.Message.Header.Prepend(s)
	}
	tx.SignedBy = append(tx.SignedBy, domain)
	d.signed.WithLabelValues(domain, "ok").Inc()
	return nil
}

// responsible returns the configured domain that signs for the author of a
// message: of several authors, for the first that has one. It returns "" if
// the message is not ours, or nobody can tell whose it is.
func (d *DKIM) responsible(h *appliance.Header) string {
	authors, err := h.From()
	if err != nil {
		return ""
	}
	for _, m := range authors {
		for domain, found := m.Domain, true; found; _, domain, found = strings.Cut(domain, ".") {
			if _, ours := d.plan.keys[domain]; ours {
				return domain
			}
			if !d.Subdomains {
				break
			}
		}
	}
	return ""
}

// sign makes one signature with each key, from one reading of the body.
func (d *DKIM) sign(ctx context.Context, keys []signingKey, msg *appliance.Message) ([]appliance.Field, error) {
	if len(keys) == 0 {
		return nil, errors.New("no key has been loaded")
	}
	list, err := d.fieldsToSign(&msg.Header)
	if err != nil {
		return nil, err
	}
	body, err := hashBody(ctx, msg.Body)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	signatures := make([]appliance.Field, 0, len(keys))
	for _, k := range keys {
		s, err := d.signature(k, list, body, now)
		if err != nil {
			return nil, err
		}
		signatures = append(signatures, s)
	}
	return signatures, nil
}

// hashBody is the hash for the tag bh=.
func hashBody(ctx context.Context, body appliance.Body) ([]byte, error) {
	r, err := body.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := skipEmptyLine(r); err != nil {
		return nil, err
	}
	relaxed := &relaxedBody{hash: sha256.New()}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if whole, ok := r.(io.WriterTo); ok && body.Size() <= maxWhole {
		_, err = whole.WriteTo(relaxed)
	} else {
		_, err = io.CopyBuffer(relaxed, &contextReader{ctx, r}, make([]byte, maxBuffer))
	}
	if err != nil {
		return nil, err
	}
	return relaxed.sum(), nil
}

const (
	// maxWhole is up to what size, in octets, a body that is in memory is hashed
	// in one go, without a look at the context: half a millisecond.
	maxWhole = 256 << 10
	// maxBuffer is how much of any other body is in memory at a time, in octets.
	maxBuffer = 32 << 10
)

// skipEmptyLine reads the line that ends the header: it is there unless the
// body is empty. Anything else would be no body.
func skipEmptyLine(r io.Reader) error {
	var line [2]byte
	_, err := io.ReadFull(r, line[:])
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil && string(line[:]) != "\r\n" || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the body does not begin with the empty line that ends the header")
	}
	return err
}

// A contextReader reads until its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
