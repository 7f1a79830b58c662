// Package httpapi is how the dns modules speak to the HTTP interface of an
// operator, whoever may answer there.
//
// Credentials go out by https to a server that has proved its name, or in
// plain text to this machine, and nowhere else: redirects are not followed.
// Answers are bounded, and so is the time for them. Errors name the host and
// not the rest of the URL, which may hold a secret, and what the server said
// only without the secrets it was sent.
//
// A server that is busy (429, 503) is asked again after the time it wishes,
// if the time-out leaves room for that; other failures of the moment are
// tried again where a request changes nothing.
package httpapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/dns/internal/provider"
	"github.com/waxwing-mail/waxwing/modules/internal/localfile"
)

// Settings are the attributes of the dns modules that speak HTTP.
type Settings struct {
	provider.Settings
	// A file with the certificates, in PEM, of the authorities that may vouch
	// for the server. Default: those of the system.
	CAFile string `hcl:"ca_file,optional"`
}

// Defaults are the settings of a block that has none.
func Defaults() Settings { return Settings{Settings: provider.Defaults()} }

// The limits of an answer and of ca_file, in octets.
const (
	maxAnswer = 1 << 20
	maxHeader = 64 << 10
	maxCAFile = 16 << 20
)

// ParseURL reads the URL of an interface: https, or http on this machine. The
// error is an [appliance.AttrError] of the attribute.
func ParseURL(attr, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return nil, &appliance.AttrError{Attr: attr, Msg: `is no URL; write it as "https://dns.example.com/path"`} // err would show it
	}
	switch {
	case u.User != nil:
		return nil, &appliance.AttrError{Attr: attr, Msg: "holds a user name or a password; they have attributes of their own"}
	case u.Fragment != "":
		return nil, &appliance.AttrError{Attr: attr, Msg: `holds a "#", which is never sent`}
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, &appliance.AttrError{Attr: attr, Msg: "would send credentials in plain text; write https, or run the server on this machine"}
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, &appliance.AttrError{Attr: attr, Msg: `must begin with "https://"`}
	}
	return u, nil
}

// loopback says that a host is this machine, whatever DNS says.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || host == "localhost"
}

// A Client sends requests on behalf of one dns block.
type Client struct {
	http    http.Client
	secrets []string
}

// NewClient returns the client of a block. What it is told of the secrets appears in no
// error. The error is an [appliance.AttrError] of ca_file.
func (s *Settings) NewClient(ctx *appliance.Context, secrets ...appliance.Secret) (*Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CAFile != "" {
		pem, err := localfile.Read(s.CAFile, maxCAFile)
		if err != nil {
			return nil, &appliance.AttrError{Attr: "ca_file", Msg: "cannot be read", Err: err}
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &appliance.AttrError{Attr: "ca_file", Msg: "has no certificate in PEM; it should begin with -----BEGIN CERTIFICATE-----"}
		}
	}
	c := &Client{http: http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            dialer{ctx.Resolver}.dial,
			TLSClientConfig:        config,
			ForceAttemptHTTP2:      true,
			DisableKeepAlives:      true, // a few requests in weeks: no connection waits for them
			MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, secret := range secrets {
		c.secrets = append(c.secrets, secret.Reveal())
	}
	return c, nil
}

// A Request is one request. Its body, if it has one, is JSON.
type Request struct {
	Method string
	URL    *url.URL
	Header http.Header
	Body   []byte
}

// An Answer is what came back, whatever its status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte

	client *Client
	host   string
}

// Do sends a request, several times if need be. The error is that there is no
// answer; what the answer's status means is for the caller to say.
func (c *Client) Do(ctx context.Context, r Request) (*Answer, error) {
	for try := 1; ; try++ {
		a, err := c.once(ctx, r)
		wait, again := retry(r.Method, a, err)
		if !again || try == maxTries || ctx.Err() != nil {
			return a, err
		}
		if !pause(ctx, wait) {
			return a, err
		}
	}
}

func (c *Client) once(ctx context.Context, r Request) (*Answer, error) {
	host := r.URL.Scheme + "://" + r.URL.Host
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL.String(), bytes.NewReader(r.Body))
	if err != nil {
		return nil, fmt.Errorf("request to %s cannot be made", host)
	}
	if r.Header != nil {
		req.Header = r.Header.Clone()
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "waxwing")
	if len(r.Body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.failure(ctx, host, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, c.failure(ctx, host, err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("%s answers with more than %d octets", host, maxAnswer)
	}
	return &Answer{Status: resp.StatusCode, Header: resp.Header, Body: body, client: c, host: host}, nil
}

// failure is the error of a request without an answer. That of the client
// would show the whole URL.
func (c *Client) failure(ctx context.Context, host string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", host, context.Cause(ctx))
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return fmt.Errorf("%s: %w", host, err)
}

// OK says that the server has done what it was asked for.
func (a *Answer) OK() bool { return a.Status >= 200 && a.Status <= 299 }

// Err is what the status means, with what the server said about it, and hint,
// if there is one, about what to do.
func (a *Answer) Err(hint string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s answers %d %s", a.host, a.Status, http.StatusText(a.Status))
	if a.Status >= 300 && a.Status <= 399 {
		hint = "it is somewhere else, and credentials are not sent after it; write the URL it moved to"
	}
	if said := a.Said(string(a.Body)); said != "" {
		fmt.Fprintf(&b, ": %s", said)
	}
	if hint != "" {
		fmt.Fprintf(&b, " (%s)", hint)
	}
	return errors.New(b.String())
}

// Said is the first line of what the server said, fit for an error.
func (a *Answer) Said(text string) string {
	if text == string(a.Body) && strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		return "a page of HTML"
	}
	return provider.Said(text, a.client.secrets...)
}

// Misunderstood is the error of an answer that is not what the interface
// promises.
func (a *Answer) Misunderstood(err error) error {
	return fmt.Errorf("%s answers with what cannot be understood, %q: %s", a.host, a.Said(string(a.Body)), provider.Said(err.Error(), a.client.secrets...))
}
