package disk

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/waxwing-mail/waxwing/appliance"
)

// draftBody reads a draft that is in a file.
type draftBody struct{ d *draft }

func (b draftBody) Open() (io.ReadCloser, error) { return b.d.s.files.Open(b.d.path) }
func (b draftBody) Size() int64                  { return b.d.size }

// queuedBody reads the body of a queued message. Nothing of it is in memory
// until it is opened; readers that are open when the message is finished read
// on to the end.
type queuedBody struct {
	s   *Store
	id  appliance.QueueID
	ref bodyRef

	// The body of a record, at most maxInline octets, is kept once it has been
	// read: an attempt opens it at least twice, to look at it and to send it.
	kept atomic.Pointer[[]byte]
}

func (b *queuedBody) Size() int64 { return b.ref.size }

func (b *queuedBody) Open() (io.ReadCloser, error) {
	if b.ref.inFile {
		return b.openFile()
	}
	if body := b.kept.Load(); body != nil {
		return io.NopCloser(bytes.NewReader(*body)), nil
	}
	return b.openRecord()
}

func (b *queuedBody) openRecord() (io.ReadCloser, error) {
	key := bodyKey(b.id)
	if err := b.s.enterReader(); err != nil {
		return nil, err
	}
	record, err := b.s.get(key)
	b.s.leave()
	if err != nil {
		return nil, err
	}
	if record == nil {
		return nil, b.missing("its body is missing")
	}
	body, err := unseal(key, record)
	if err == nil && int64(len(body)) != b.ref.size {
		err = damaged("body of %d octets, not %d", len(body), b.ref.size)
	}
	if err != nil {
		return nil, b.s.setAside(b.id, "body: "+err.Error())
	}
	b.kept.Store(&body)
	return io.NopCloser(bytes.NewReader(body)), nil
}

func (b *queuedBody) openFile() (io.ReadCloser, error) {
	f, err := b.s.files.Open(b.s.bodyPath(b.id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, b.missing("its body file is missing")
	}
	if err != nil {
		return nil, err
	}
	return &bodyReader{File: f, b: b}, nil
}

// missing tells a body that has been lost from one of a message that is
// finished.
func (b *queuedBody) missing(why string) error {
	if err := b.s.enterReader(); err != nil {
		return err
	}
	queued, err := b.s.has(messageKey(b.id))
	b.s.leave()
	switch {
	case err != nil:
		return err
	case queued:
		return b.s.setAside(b.id, why)
	}
	return &fs.PathError{Op: "open", Path: "message " + string(b.id), Err: fs.ErrNotExist}
}

// bodyReader compares what it has read with the checksum when it comes to the
// end. A damaged body ends in an error, so that nobody takes it for complete
// and sends it.
type bodyReader struct {
	vfs.File
	b    *queuedBody
	read int64
	sum  uint32
}

// Read implements io.Reader.
func (r *bodyReader) Read(p []byte) (int, error) {
	n, err := r.File.Read(p)
	r.read += int64(n)
	r.sum = crc32.Update(r.sum, castagnoli, p[:n])
	if r.read > r.b.ref.size || errors.Is(err, io.EOF) && (r.read != r.b.ref.size || r.sum != r.b.ref.sum) {
		return 0, r.b.s.setAside(r.b.id, "body file: "+damaged("checksum or size does not match").Error())
	}
	return n, err
}
