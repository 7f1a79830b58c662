package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"path/filepath"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// The names of the files that are not of the store.
const (
	ReportName = "report.json"
	SumsName   = "SHA256SUMS"
	failedName = "FAILED" // in an archive: why it goes no further
)

// Limits of what is read into memory, in octets: the sums of some ten million
// files, and a reason.
const (
	maxSums   = 1 << 30
	maxReason = 4 << 10
)

// ErrIncomplete means that the end is missing.
var ErrIncomplete = errors.New("the backup is not complete: its end, " + SumsName + ", is missing")

// checkName refuses a path that could lead somewhere else, or that sha256sum
// would read differently.
func checkName(name string) error {
	if name == "" || path.Clean(name) != name || !filepath.IsLocal(name) || strings.ContainsFunc(name, unwanted) {
		return fmt.Errorf("%.80q is no name of a file in a backup", name)
	}
	return nil
}

func unwanted(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }

// sums are the checksums of the files so far, in the order in which they came.
type sums struct {
	text  bytes.Buffer
	known map[string]struct{}
}

// summed is a file that is being added.
type summed struct {
	s    *sums
	name string
	hash hash.Hash
}

// begin checks the name of the next file.
func (s *sums) begin(name string) (summed, error) {
	if err := checkName(name); err != nil {
		return summed{}, err
	}
	if _, twice := s.known[name]; twice {
		return summed{}, fmt.Errorf("%s is there twice", name)
	}
	if s.known == nil {
		s.known = make(map[string]struct{})
	}
	s.known[name] = struct{}{}
	return summed{s, name, sha256.New()}, nil
}

// end writes the line of a file that has been read to its end.
func (f summed) end() { fmt.Fprintf(&f.s.text, "%x  %s\n", f.hash.Sum(nil), f.name) }

// A sum is a line of SHA256SUMS.
type sum struct {
	name string
	sum  string // as octets
}

func parseSums(r io.Reader) (all []sum, err error) {
	lines := bufio.NewScanner(io.LimitReader(r, maxSums))
	for lines.Scan() {
		digits, name, ok := strings.Cut(lines.Text(), "  ")
		b, err := hex.DecodeString(digits)
		if !ok || err != nil || len(b) != sha256.Size {
			return nil, fmt.Errorf("%s: line %d is none that sha256sum writes", SumsName, len(all)+1)
		}
		if err := checkName(name); err != nil {
			return nil, fmt.Errorf("%s: %w", SumsName, err)
		}
		all = append(all, sum{name, string(b)})
	}
	return all, lines.Err()
}

// isOurs says whether a file is of the backup and not of the store.
func isOurs(name string) bool { return name == ReportName || name == SumsName }

// ofStore hands the files of the store to each, and reads past the others.
func ofStore(each appliance.BackupFile) appliance.BackupFile {
	return func(name string, size int64, content io.Reader) error {
		if isOurs(name) {
			return nil
		}
		return each(name, size, content)
	}
}
