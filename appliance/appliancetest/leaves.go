package appliancetest

import (
	"bufio"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/textproto"
	"strings"
)

// Leaves are the parts of a message that have no parts, decoded, as a program
// that reads it finds them: "text/plain Hello".
func Leaves(r io.Reader) ([]string, error) {
	br := bufio.NewReader(r)
	header, err := textproto.NewReader(br).ReadMIMEHeader()
	if err != nil {
		return nil, err
	}
	return leaves(header, br)
}

// leaves are those of one part.
func leaves(header textproto.MIMEHeader, body io.Reader) (all []string, err error) {
	mediaType, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		mediaType = "text/plain"
	}
	if strings.HasPrefix(mediaType, "multipart/") {
		r := multipart.NewReader(body, params["boundary"])
		for {
			p, err := r.NextRawPart()
			if errors.Is(err, io.EOF) {
				return all, nil
			}
			if err != nil {
				return all, err
			}
			inner, err := leaves(p.Header, p)
			if err != nil {
				return all, err
			}
			all = append(all, inner...)
		}
	}
	switch strings.ToLower(header.Get("Content-Transfer-Encoding")) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	if mediaType == "message/rfc822" {
		return Leaves(body)
	}
	b, err := io.ReadAll(body)
	return []string{mediaType + " " + string(b)}, err
}
