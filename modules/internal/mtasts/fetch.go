package mtasts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/mtasts"
)

// Limits of a fetch.
const (
	// fetchTime is for all of it. RFC 8461, section 3.3 suggests a minute; the
	// first message to a domain waits for it.
	fetchTime = 20 * time.Second
	// maxHeader bounds the header of the answer, in octets.
	maxHeader = 16 << 10
)

// ErrFetch means that a policy could not be fetched. It is wrapped with why.
var ErrFetch = errors.New("the MTA-STS policy could not be fetched")

// A Fetcher gets policies over HTTPS.
type Fetcher struct {
	// Dial connects to "mta-sts.example.org:443". It decides which addresses a
	// stranger may have us connect to.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Roots are the authorities of web servers; nil is those of the system.
	Roots *x509.CertPool
	// Port is for tests; 0 is 443.
	Port int
	// Time bounds a fetch; 0 is 20s.
	Time time.Duration
}

// Fetch returns the policy that a domain serves now. The error wraps ErrFetch
// or mtasts.ErrPolicy; it has the words for the log, and what the server sent only
// shortened and quoted.
func (f *Fetcher) Fetch(ctx context.Context, domain string) (*mtasts.Policy, error) {
	limit := f.Time
	if limit == 0 {
		limit = fetchTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	text, err := f.get(ctx, f.url(domain))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFetch, err)
	}
	return mtasts.ParsePolicy(text)
}

func (f *Fetcher) url(domain string) string {
	host := "mta-sts." + domain
	if f.Port != 0 {
		host = net.JoinHostPort(host, strconv.Itoa(f.Port))
	}
	return "https://" + host + "/.well-known/mta-sts.txt"
}

func (f *Fetcher) get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	req.Header.Set("User-Agent", "waxwing")
	req.Header.Set("Accept", "text/plain")
	resp, err := f.transport().RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	// RFC 8461, section 3.3: "HTTP 3xx redirects MUST NOT be followed". A
	// RoundTripper follows none.
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the web server answered %d", resp.StatusCode)
	}
	if err := plainText(resp.Header.Get("Content-Type")); err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, mtasts.MaxSize+1))
	if err != nil {
		return "", err
	}
	if len(b) > mtasts.MaxSize {
		return "", fmt.Errorf("it has more than %d octets", mtasts.MaxSize)
	}
	return string(b), nil
}

// transport is good for one request: the next one to the same domain comes
// a day later. It uses neither a proxy of the environment nor compression,
// and wants a certificate of the name (RFC 8461, section 3.3).
func (f *Fetcher) transport() *http.Transport {
	return &http.Transport{
		DialContext:            f.Dial,
		TLSClientConfig:        &tls.Config{RootCAs: f.Roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// plainText: RFC 8461, section 3.3: "the media type MUST be "text/plain"", so
// that nobody who may put pictures on a web server can publish a policy.
func plainText(contentType string) error {
	if kind, _, err := mime.ParseMediaType(contentType); err != nil || kind != "text/plain" {
		return fmt.Errorf("it is %.80q and not text/plain", contentType)
	}
	return nil
}
