package selftest

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/textproto"
	"strings"
)

// What large receivers take.
const (
	maxSize      = 25_000_000 // octets: Gmail, Yahoo and Outlook.com take as much
	commonSize   = 10_240_000 // the default of Postfix, which many others have
	maxLine      = 998        // octets without CRLF: RFC 5322, section 2.1.1
	clippedAfter = 102 << 10  // octets of HTML that Gmail shows before "message clipped"
)

// contentItems are about size, lines and MIME.
func (j *judge) contentItems() []Item {
	items := []Item{j.size()}
	look, err := j.lines()
	if err != nil {
		return append(items, unknown("lines", "the message could not be read: %v", err))
	}
	return append(items, j.lineItem(look), j.mimeItem(look))
}

func (j *judge) size() Item {
	const name = "size"
	switch n := j.Message.Size(); {
	case n > maxSize:
		return bad(name, 20, fmt.Sprintf("the message has %s; large receivers take 25 MB, encoded as it is", octets(n)), "put large files where they can be fetched, and send the link")
	case n > commonSize:
		return poor(name, 5, fmt.Sprintf("the message has %s; large receivers take 25 MB, and many others 10 MB", octets(n)), "put large files where they can be fetched, and send the link")
	default:
		return good(name, "%s", octets(n))
	}
}

// A look is what the lines of a message are like.
type look struct {
	longest  int
	bareCR   bool
	nul      bool
	eightBit bool // in the body
}

// lines reads the message once.
func (j *judge) lines() (l look, err error) {
	for line := range strings.SplitSeq(string(j.Message.Header.Bytes()), "\r\n") {
		l.line(line)
	}
	l.eightBit = false
	body, err := j.Message.Body.Open()
	if err != nil {
		return l, err
	}
	defer body.Close()
	br := bufio.NewReaderSize(body, 64<<10)
	n, last := 0, byte(0)
	for {
		c, err := br.ReadByte()
		if errors.Is(err, io.EOF) {
			l.longest = max(l.longest, n)
			return l, nil
		}
		if err != nil {
			return l, err
		}
		switch {
		case c == '\n':
			l.longest, n = max(l.longest, n), 0
		case c != '\r':
			n++
		}
		l.bareCR = l.bareCR || last == '\r' && c != '\n'
		l.nul = l.nul || c == 0
		l.eightBit = l.eightBit || c >= 0x80
		last = c
	}
}

func (l *look) line(s string) {
	l.longest = max(l.longest, len(s))
	l.bareCR = l.bareCR || strings.ContainsAny(s, "\r\n")
	l.nul = l.nul || strings.Contains(s, "\x00")
}

func (j *judge) lineItem(l look) Item {
	const name = "lines"
	switch {
	case l.nul || l.bareCR:
		return bad(name, 15, "the message has a NUL or a carriage return without a line feed, which receivers refuse since such were used to smuggle mail", "let the program end lines with CRLF and encode what is no text")
	case l.longest > maxLine:
		return bad(name, 15, fmt.Sprintf("a line has %d octets; more than %d are not allowed (RFC 5321, section 4.5.3.1.6), and servers on the way cut it", l.longest, maxLine), "let the program encode the body as quoted-printable or base64")
	}
	return good(name, "the longest has %d octets", l.longest)
}

// parts is what was found in the body.
type parts struct {
	count  int
	text   bool // a text/plain part
	html   int  // octets of the largest text/html part, decoded
	anHTML bool
}

// Limits of what is looked into.
const (
	maxParts = 200
	maxDepth = 10
	maxHTML  = 1 << 20 // octets that are counted
)

var errTooMuch = errors.New("there are more parts in it, or deeper ones, than anybody needs")

// mimeItem looks at how the body says what it is.
func (j *judge) mimeItem(l look) Item {
	const name = "body"
	h := &j.Message.Header
	declared := h.Count("MIME-Version") > 0
	switch {
	case l.eightBit && !declared:
		return poor(name, 5, "the body has letters that are not ASCII, and nothing says which: there is no MIME-Version field", "write MIME-Version: 1.0 and Content-Type: text/plain; charset=utf-8")
	case h.Count("Content-Type") > 0 && !declared:
		return poor(name, 2, "there is a Content-Type field, and no MIME-Version: strictly, it means nothing (RFC 2045, section 4)", "write MIME-Version: 1.0")
	}
	body, err := j.Message.Body.Open()
	if err != nil {
		return unknown(name, "the message could not be read: %v", err)
	}
	defer body.Close()
	br := bufio.NewReader(body)
	_, _ = br.Discard(2) // the empty line; if it is not there, there is no body
	var p parts
	if err := p.walk(h.Get("Content-Type"), h.Get("Content-Transfer-Encoding"), br, 0); err != nil {
		return bad(name, 10, fmt.Sprintf("the parts of the message cannot be taken apart: %v", err), "let a mail library build the message")
	}
	switch {
	case p.anHTML && !p.text:
		return poor(name, 5, "there is HTML and no text beside it, as in much advertising", "add a text/plain part (multipart/alternative)")
	case p.html > clippedAfter:
		return poor(name, 2, fmt.Sprintf("the HTML has more than %s; Gmail hides what follows", octets(clippedAfter)), "make it shorter; an unsubscribe link at its end is hidden too")
	}
	return good(name, "it is what it says it is")
}

// walk takes a part apart.
func (p *parts) walk(contentType, encoding string, r io.Reader, depth int) error {
	if p.count++; p.count > maxParts || depth > maxDepth {
		return errTooMuch
	}
	if contentType == "" {
		contentType = "text/plain" // RFC 2045, section 5.2
	}
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return fmt.Errorf("the type %.80q cannot be read", contentType)
	}
	if strings.HasPrefix(kind, "multipart/") {
		return p.multi(params["boundary"], r, depth)
	}
	switch kind {
	case "text/plain":
		p.text = true
	case "text/html":
		n, err := io.Copy(io.Discard, io.LimitReader(decoded(encoding, r), maxHTML))
		if err != nil {
			return fmt.Errorf("the HTML is not what its encoding %.40q says: %w", encoding, err)
		}
		p.anHTML, p.html = true, max(p.html, int(n))
	}
	return nil
}

func (p *parts) multi(boundary string, r io.Reader, depth int) error {
	// RFC 2046, section 5.1.1: 1 to 70 characters.
	if boundary == "" || len(boundary) > 70 {
		return errors.New("a multipart type has no boundary, or one of more than 70 characters")
	}
	m := multipart.NewReader(r, boundary)
	for n := 0; ; n++ {
		part, err := m.NextRawPart()
		if errors.Is(err, io.EOF) && n > 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("part %d: %w", n+1, err)
		}
		if err := p.walk(part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), part, depth+1); err != nil {
			return err
		}
	}
}

// decoded undoes a Content-Transfer-Encoding (RFC 2045, section 6).
func decoded(encoding string, r io.Reader) io.Reader {
	switch strings.ToLower(textproto.TrimString(encoding)) {
	case "quoted-printable":
		return quotedprintable.NewReader(r)
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, r)
	}
	return r
}

// octets is a size for people.
func octets(n int64) string {
	switch {
	case n >= 1_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 10_000:
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%d octets", n)
}
