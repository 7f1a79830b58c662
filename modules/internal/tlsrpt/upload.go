package tlsrpt

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	// uploadTime is for all of an upload.
	uploadTime = 30 * time.Second
	// maxAnswer bounds the header of an answer, in octets; its body is not read.
	maxAnswer = 16 << 10
)

// An Uploader posts reports over HTTPS (RFC 8460, section 5.4).
type Uploader struct {
	// Dial connects to "reports.example.org:443". It decides which addresses a
	// stranger may have us connect to.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Roots are the authorities of web servers; nil is those of the system.
	Roots *x509.CertPool
}

// Upload posts a report. Only 2yz means that it was taken: a RoundTripper
// follows no redirect, and where it would lead is a stranger's choice too.
func (u *Uploader) Upload(ctx context.Context, to *url.URL, compressed []byte) error {
	ctx, cancel := context.WithTimeout(ctx, uploadTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), bytes.NewReader(compressed))
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "waxwing")
	req.Header.Set("Content-Type", mediaType)
	resp, err := u.transport().RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the web server answered %d", resp.StatusCode)
	}
	return nil
}

// transport is good for one request: the next one to the same place comes a
// day later. It uses no proxy of the environment.
func (u *Uploader) transport() *http.Transport {
	return &http.Transport{
		DialContext:            u.Dial,
		TLSClientConfig:        &tls.Config{RootCAs: u.Roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxAnswer,
	}
}
