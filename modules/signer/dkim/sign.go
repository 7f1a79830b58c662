package dkim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	msgdkim "github.com/emersion/go-msgauth/dkim"

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
	signers, err := d.signers(keys, list.names)
	if err != nil {
		return nil, err
	}
	err = feed(ctx, signers, list.fields, msg.Body)
	signatures := make([]appliance.Field, 0, len(signers))
	for _, s := range signers {
		// Close joins the signer's goroutine, whatever happened before.
		if closeErr := s.Close(); closeErr != nil || err != nil {
			err = errors.Join(err, closeErr)
			continue
		}
		signatures = append(signatures, appliance.Field{Name: "DKIM-Signature", Raw: []byte(s.Signature())})
	}
	if err != nil {
		return nil, err
	}
	return signatures, nil
}

func (d *DKIM) signers(keys []signingKey, names []string) ([]*msgdkim.Signer, error) {
	var expires time.Time
	if d.Expire > 0 {
		expires = time.Now().Add(d.Expire)
	}
	all := make([]*msgdkim.Signer, 0, len(keys))
	for _, k := range keys {
		s, err := msgdkim.NewSigner(&msgdkim.SignOptions{
			Domain:                 k.domain,
			Selector:               k.selector,
			Signer:                 k.key.signer,
			HeaderCanonicalization: msgdkim.CanonicalizationRelaxed,
			BodyCanonicalization:   msgdkim.CanonicalizationRelaxed,
			HeaderKeys:             names,
			Expiration:             expires,
		})
		if err != nil {
			for _, started := range all {
				err = errors.Join(err, started.Close())
			}
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// feed gives the signers the fields that they sign, and no others: a signer
// looks for each name among all fields that it is given. Then the body.
func feed(ctx context.Context, signers []*msgdkim.Signer, fields []appliance.Field, body appliance.Body) error {
	writers := make([]io.Writer, len(signers))
	for i, s := range signers {
		writers[i] = s
	}
	w := io.MultiWriter(writers...)
	var header []byte
	for _, f := range fields {
		header = append(header, f.Raw...)
	}
	if _, err := w.Write(append(header, "\r\n"...)); err != nil {
		return err
	}
	r, err := body.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if err := skipEmptyLine(r); err != nil {
		return err
	}
	_, err = io.CopyBuffer(w, &contextReader{ctx, r}, make([]byte, max(1, min(body.Size(), maxBuffer))))
	return err
}

// maxBuffer is how much of a body is in memory at a time, in octets.
const maxBuffer = 32 << 10

// skipEmptyLine reads the line that ends the header: it is there unless the
// body is empty. Anything else would be taken for more header fields.
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
