package resolver

import (
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// lookAgain is how often a file is looked at for changes.
const lookAgain = 5 * time.Second

// A watched is what a file of the system says, read again when it has changed.
type watched[T any] struct {
	path  string
	limit int64 // octets that are read
	parse func(string) T

	mu     sync.Mutex
	looked time.Time
	seen   fs.FileInfo // nil if it was not there
	value  T
}

func watch[T any](path string, limit int64, parse func(string) T) *watched[T] {
	return &watched[T]{path: path, limit: limit, parse: parse}
}

// get returns what the file says. A file that cannot be read says nothing; one
// that could be read before still says what it said.
func (w *watched[T]) get() T {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := w.looked.IsZero()
	if !first && time.Since(w.looked) < lookAgain {
		return w.value
	}
	w.looked = time.Now()
	info, err := os.Stat(w.path)
	if err == nil && w.seen != nil && os.SameFile(info, w.seen) && info.ModTime().Equal(w.seen.ModTime()) && info.Size() == w.seen.Size() {
		return w.value
	}
	text, err := w.read()
	if err == nil {
		w.seen = info
	}
	if err == nil || first {
		w.value = w.parse(text)
	}
	return w.value
}

func (w *watched[T]) read() (string, error) {
	f, err := os.Open(w.path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, w.limit))
	return string(text), err
}
