package backup

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A Writer writes a backup as a tar archive.
//
//	w := backup.NewWriter(out)
//	report, err := keeper.Backup(ctx, w.Add)
//	err = w.Finish(report, err)
type Writer struct {
	tar   *tar.Writer
	made  time.Time
	sums  sums
	begun bool
}

// NewWriter returns a Writer to w. Nothing is written before the first file.
func NewWriter(w io.Writer) *Writer {
	return &Writer{tar: tar.NewWriter(w), made: time.Now().Truncate(time.Second)}
}

// Begun says whether something has been written.
func (w *Writer) Begun() bool { return w.begun }

// Add writes a file of size octets; it is an [appliance.BackupFile].
func (w *Writer) Add(name string, size int64, content io.Reader) error {
	f, err := w.sums.begin(name)
	if err == nil {
		err = w.file(name, size, io.TeeReader(content, f.hash))
	}
	if err != nil {
		return err
	}
	f.end()
	return nil
}

// file writes an entry. Content that is shorter than it should be is an error
// of the archive, which cannot go on then.
func (w *Writer) file(name string, size int64, content io.Reader) error {
	w.begun = true
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: w.made, Format: tar.FormatPAX}
	if err := w.tar.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.Copy(w.tar, io.LimitReader(content, size))
	if err == nil && n != size {
		err = fmt.Errorf("%s: %d octets, and there should be %d", name, n, size)
	}
	return err
}

// Finish ends the archive: with report and SHA256SUMS, or, if cause is not nil,
// with the cause, so that its reader knows it too. It returns the cause, or why
// it could not be finished.
func (w *Writer) Finish(report appliance.StorageReport, cause error) error {
	if cause != nil {
		reason := []byte(cause.Error())
		reason = reason[:min(len(reason), maxReason)]
		return errors.Join(cause, w.tar.Flush(), w.file(failedName, int64(len(reason)), bytes.NewReader(reason)))
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if err := w.Add(ReportName, int64(len(text)), bytes.NewReader(text)); err != nil {
		return err
	}
	if err := w.file(SumsName, int64(w.sums.text.Len()), &w.sums.text); err != nil {
		return err
	}
	return w.tar.Close()
}

// Read reads an archive to its end and hands every file to each, SHA256SUMS
// last. An error that is no error of each says that this is no whole backup.
func Read(r io.Reader, each appliance.BackupFile) error {
	archive := tar.NewReader(r)
	var seen sums
	for {
		h, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return ErrIncomplete
		case err != nil:
			return fmt.Errorf("this is no archive of a backup: %w", err)
		case h.Typeflag != tar.TypeReg:
			return fmt.Errorf("this is no archive of a backup: %.80q is no file", h.Name)
		case h.Name == failedName:
			return failure(archive)
		case h.Name == SumsName:
			return seen.compare(archive, each)
		}
		if err := seen.read(h, archive, each); err != nil {
			return unexpected(err)
		}
	}
}

// unexpected says of an archive that ends within a file what it is.
func unexpected(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrIncomplete
	}
	return err
}

func failure(r io.Reader) error {
	reason, err := io.ReadAll(io.LimitReader(r, maxReason))
	return errors.Join(fmt.Errorf("the backup could not be finished: %.4096q", reason), err)
}

// read takes a file of an archive.
func (s *sums) read(h *tar.Header, content io.Reader, each appliance.BackupFile) error {
	f, err := s.begin(h.Name)
	if err != nil {
		return err
	}
	whole := io.TeeReader(content, f.hash)
	if err := each(h.Name, h.Size, whole); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, whole); err != nil { // what each has left
		return err
	}
	f.end()
	return nil
}

// compare compares the checksums that were made with those that were sent.
func (s *sums) compare(sent io.Reader, each appliance.BackupFile) error {
	text, err := io.ReadAll(io.LimitReader(sent, maxSums))
	if err != nil {
		return unexpected(err)
	}
	if !bytes.Equal(text, s.text.Bytes()) {
		return errors.New("the backup is damaged: its files are not those of " + SumsName)
	}
	return each(SumsName, int64(len(text)), bytes.NewReader(text))
}
