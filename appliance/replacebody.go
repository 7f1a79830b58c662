package appliance

import (
	"context"
	"errors"
	"io"
)

// errLateBody is for a signer that would sign something else than it has read.
var errLateBody = errors.New("only a rewrite may replace the body")

// ReplaceBody gives the message another body: what write writes, beginning with
// the empty line that ends the header. Lines end with CRLF, as they came.
// write may read Message.Body, and has closed it when it returns. If it fails
// the message keeps its body, and the error is returned. Only rewrites and a
// [Mender] may call it: the body that the first signer sees is the one that is sent.
func (tx *Transaction) ReplaceBody(ctx context.Context, write func(w io.Writer) error) error {
	if tx.spool == nil {
		return errLateBody
	}
	draft, err := tx.spool.Draft(ctx)
	if err != nil {
		return err
	}
	if err := write(draft); err != nil {
		return errors.Join(err, draft.Abort())
	}
	body, err := draft.Body()
	if err != nil {
		return errors.Join(err, draft.Abort())
	}
	old := tx.draft
	tx.draft, tx.Message.Body = draft, body
	return old.Abort()
}
