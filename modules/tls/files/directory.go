package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/certs"
	"github.com/waxwing-mail/waxwing/modules/internal/localfile"
)

// Limits of a directory: who names the wrong one is told so, and does not wait.
const (
	maxEntries = 10_000   // looked at, sub-directories included
	maxFiles   = 1000     // read
	maxTotal   = 32 << 20 // octets read
)

// endings are those of files that are read.
var endings = []string{".cer", ".crt", ".key", ".pem"}

// A problem is why a file is not used.
type problem struct{ file, why string }

func (p problem) String() string { return p.file + " " + p.why }

// A listing is what is to be read in a directory.
type listing struct {
	dirs, files []string // sorted
	unused      []problem
	entries     int
}

// list lists the files of the directory and of its direct sub-directories.
func list(root string) (*listing, error) {
	l := new(listing)
	if err := l.add(root, true); err != nil {
		return nil, err
	}
	slices.Sort(l.dirs)
	slices.Sort(l.files)
	if len(l.files) > maxFiles {
		return nil, fmt.Errorf("%s has %d files of certificates and keys, at most %d are read", root, len(l.files), maxFiles)
	}
	return l, nil
}

func (l *listing) add(dir string, descend bool) error {
	entries, err := readDir(dir, maxEntries-l.entries)
	if err != nil {
		return err
	}
	l.entries += len(entries)
	l.dirs = append(l.dirs, dir)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		fi, err := os.Stat(path) // of what a symbolic link leads to
		switch candidate := slices.Contains(endings, strings.ToLower(filepath.Ext(path))); {
		case err != nil && candidate && errors.Is(err, fs.ErrPermission):
			l.unused = append(l.unused, problem{path, fmt.Sprintf("leads to where user %d, as which waxwing runs, may not look", os.Geteuid())})
		case err != nil && candidate:
			l.unused = append(l.unused, problem{path, "leads nowhere"})
		case err != nil:
		case fi.IsDir() && descend:
			if err := l.add(path, false); errors.Is(err, fs.ErrPermission) {
				l.unused = append(l.unused, problem{path, "cannot be looked into: permission denied"})
			} else if err != nil {
				return err
			}
		case candidate && fi.Mode().IsRegular() && fi.Size() > certs.MaxFile:
			l.unused = append(l.unused, problem{path, fmt.Sprintf("is larger than %d octets", certs.MaxFile)})
		case candidate && fi.Mode().IsRegular():
			l.files = append(l.files, path)
		}
	}
	return nil
}

// readDir reads at most max entries; more are an error.
func readDir(dir string, max int) ([]fs.DirEntry, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(max + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(entries) > max {
		return nil, fmt.Errorf("%s has more than %d entries; name a directory that holds certificates alone", dir, maxEntries)
	}
	return entries, nil
}

// watchedPaths is for localfile: the files, and the directories whose times
// say that files come and go.
func (f *Files) watchedPaths() ([]string, error) {
	l, err := list(f.Directory)
	if err != nil {
		return nil, f.blameDirectory("cannot be read", err)
	}
	return slices.Concat(l.dirs, l.files), nil
}

func (f *Files) blameDirectory(msg string, err error) error {
	return &appliance.AttrError{Attr: "directory", Msg: msg, Err: err}
}

// loadDirectory finds what is to be served. What cannot be read at all stops
// it; what is no pair is told of, once.
func (f *Files) loadDirectory() (set, error) {
	l, err := list(f.Directory)
	if err != nil {
		return set{}, f.blameDirectory("cannot be read", localfile.Advise(err))
	}
	s := &shelf{unused: l.unused}
	if err := s.read(f.log, l.files); err != nil {
		return set{}, f.blameDirectory("cannot be read", err)
	}
	pairs := s.pair()
	if len(pairs) == 0 {
		return set{}, f.blameDirectory("has no certificate together with its key", nothing(f.Directory, s.unused))
	}
	pairs = choose(pairs, f.hostname)
	if err := f.lost(l.files, pairs, s.unused); err != nil {
		return set{}, f.blameDirectory("has changed for the worse", err)
	}
	now := set{unused: s.unused}
	for _, p := range pairs {
		now.certificates = append(now.certificates, certs.Certificate(p.certs, p.key))
		now.files = append(now.files, p.file)
	}
	f.tell(now.unused)
	return now, nil
}

// tell logs what is not used, unless it was logged the last time.
func (f *Files) tell(unused []problem) {
	for _, p := range unused {
		if !slices.Contains(f.last.unused, p) {
			f.log.Warn("a file in the directory of certificates is not used: it "+p.why, zap.String("file", p.file))
		}
	}
}

// lost says which certificate that was served is still there but cannot be
// used any more: it is being exchanged, or was exchanged badly. One whose file
// is gone was removed on purpose.
func (f *Files) lost(files []string, pairs []pair, unused []problem) error {
	for i, c := range f.last.certificates {
		file, was := f.last.files[i], identity(c.Leaf)
		if !slices.Contains(files, file) ||
			slices.ContainsFunc(pairs, func(p pair) bool { return p.file == file || identity(p.certs[0]) == was }) {
			continue
		}
		for _, p := range unused {
			if p.file == file {
				return errors.New(p.String())
			}
		}
		return fmt.Errorf("%s holds no certificate any more", file)
	}
	return nil
}

// nothing is what there is to say of a directory without a pair.
func nothing(dir string, unused []problem) error {
	const shown = 10
	if len(unused) == 0 {
		return fmt.Errorf("there is no certificate in the *.crt, *.cer, *.pem and *.key files of %s and of the directories in it (certbot keeps them in /etc/letsencrypt/live)", dir)
	}
	var all []string
	for i, p := range unused {
		if i == shown {
			all = append(all, fmt.Sprintf("and %d more", len(unused)-shown))
			break
		}
		all = append(all, p.String())
	}
	return errors.New(strings.Join(all, "; "))
}
