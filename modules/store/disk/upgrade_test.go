package disk

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// goldenDirectory unpacks a data directory that an earlier version has written.
func goldenDirectory(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	top := filepath.Join(t.TempDir(), "data")
	for archive := tar.NewReader(z); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return top
		}
		must(t, err)
		to := filepath.Join(top, h.Name)
		if h.Typeflag == tar.TypeDir {
			must(t, os.MkdirAll(to, 0o700))
			continue
		}
		b, err := io.ReadAll(archive)
		must(t, err)
		must(t, os.WriteFile(to, b, 0o600))
	}
}

// TestGoldenDirectory_P20: a directory as version 1 has written it, with mail
// in a table, in the log and in a file, held and half delivered, is well, is
// read, and is of this version after its first start.
func TestGoldenDirectory_P20(t *testing.T) {
	s := newStore(t, nil, goldenDirectory(t, "1-directory.tar.gz"))
	r, err := s.Verify(t.Context())
	must(t, err)
	if r.Format != 1 || r.Messages != 4 || r.Held != 1 || r.Values != 1 || len(r.Damaged)+len(r.Foreign)+r.LeftOver > 0 {
		t.Errorf("%+v", r)
	}
	must(t, s.Start(t.Context()))
	defer func() { must(t, s.Stop(t.Context())) }()
	found := make(map[appliance.QueueID]appliance.Entry)
	for e, err := range s.Query(t.Context(), appliance.Filter{}) {
		must(t, err)
		found[e.ID] = e
	}
	if len(found) != 4 || !found["03held"].Deliveries[0].Delivery.Held {
		t.Fatalf("%+v", found)
	}
	tried := found["04tried"].Deliveries[0].Delivery
	if tried.Attempts != 1 || !tried.Due.Equal(testTime.Add(time.Hour)) ||
		tried.Recipients[0].Status != appliance.Delivered || tried.Recipients[1].Last.Reply.Text != "Later" {
		t.Errorf("%+v", tried)
	}
	bodies := map[appliance.QueueID]string{
		"01small": "\r\nHello.\r\n", "02large": strings.Repeat("0123456789abcdef\r\n", 20000),
	}
	leased, err := leaseAll(s, testTime.Add(time.Minute))
	if err != nil || len(leased) != len(bodies) {
		t.Fatalf("%d deliveries are due, %v", len(leased), err)
	}
	for _, one := range leased {
		if got := bodyOf(t, one); got != bodies[one.Key.ID] {
			t.Errorf("%s: a body of %d octets, and it had %d", one.Key.ID, len(got), len(bodies[one.Key.ID]))
		}
	}
	if key, err := s.Values().Get(t.Context(), "signer/x/key"); err != nil || string(key) != "a key of version 1" {
		t.Errorf("the value is %q, %v", key, err)
	}
	if b, err := os.ReadFile(s.sub(formatName)); err != nil || string(b) != formatText(layoutVersion) {
		t.Errorf("the format file says %q, %v", b, err)
	}
	if aside, err := os.ReadDir(s.sub(quarantineName)); err != nil || len(aside) > 0 {
		t.Errorf("set aside: %v, %v", aside, err)
	}
}
