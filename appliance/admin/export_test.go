package admin

import (
	"io"
	"net/http"
	"time"
)

// SetReadTimeout makes the server less patient than a test is.
func (s *Server) SetReadTimeout(d time.Duration) { s.http.ReadTimeout = d }

// NewLineReader is newLineReader.
func NewLineReader(r io.Reader) io.Reader { return newLineReader(r) }

// Handler answers as the server does, without a connection.
func (s *Server) Handler() http.Handler { return s.http.Handler }
