package admin_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
	"github.com/waxwing-mail/waxwing/appliance/backup"
)

var _ appliance.StorageKeeper = (*fakeStore)(nil)

// errStorage ends the backup of a fakeStore.
var errStorage = errors.New("a disk that is gone")

// Verify finds one damaged message.
func (s *fakeStore) Verify(context.Context) (r appliance.StorageReport, err error) {
	r.Messages = 3
	r.Note(&r.Damaged, "message 01", "checksum")
	return r, nil
}

// Backup hands out a file and breaks off.
func (s *fakeStore) Backup(_ context.Context, each appliance.BackupFile) (r appliance.StorageReport, err error) {
	if err := each("format", 1, strings.NewReader("1")); err != nil {
		return r, err
	}
	return r, errStorage
}

// Restore is nothing that a running server does.
func (s *fakeStore) Restore(context.Context, func(appliance.BackupFile) error, appliance.RestoreOptions) (r appliance.StorageReport, err error) {
	return r, errors.ErrUnsupported
}

func TestVerifyStorage(t *testing.T) {
	h := open(t, "unix")
	r, err := h.client.VerifyStorage(t.Context())
	if err != nil || r.Messages != 3 || len(r.Damaged) != 1 || r.Damaged[0].What != "message 01" {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestBackupStorageFails: a backup that breaks off is none, and its reader is
// told why.
func TestBackupStorageFails(t *testing.T) {
	h := open(t, "unix")
	to := filepath.Join(t.TempDir(), "saved")
	_, err := backup.Save(to, func(w io.Writer) error { return h.client.BackupStorage(t.Context(), w) })
	if err == nil || !strings.Contains(err.Error(), errStorage.Error()) {
		t.Errorf("%v", err)
	}
}

// TestBackupStorageTCP_P19: private keys do not leave over the network, not
// even for who has the token.
func TestBackupStorageTCP_P19(t *testing.T) {
	h := open(t, "tcp")
	var out bytes.Buffer
	err := h.client.BackupStorage(t.Context(), &out)
	e, ok := errors.AsType[*admin.Error](err)
	if !ok || e.Status != http.StatusForbidden || out.Len() > 0 {
		t.Errorf("%v, %d octets", err, out.Len())
	}
}
