package acme

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

var _ appliance.Examiner = (*ACME)(nil)

// Limits of a look at an authority.
const (
	lookTime     = 10 * time.Second
	maxDirectory = 64 << 10 // octets
)

// Examinations implements [appliance.Examiner]: an authority that cannot be
// reached is found before a certificate has to be renewed.
func (a *ACME) Examinations() []appliance.Examination {
	var all []appliance.Examination
	for i := range a.plan.authorities {
		from := &a.plan.authorities[i]
		name := "authority " + from.source
		all = append(all, appliance.Examination{Name: name, Run: func(ctx context.Context) []appliance.Finding {
			return []appliance.Finding{from.examine(ctx, name)}
		}})
	}
	return all
}

func (c *authority) examine(ctx context.Context, name string) appliance.Finding {
	f := appliance.Finding{Name: name, Status: appliance.FoundOK, Text: c.directory + " answers"}
	if err := c.look(ctx); err != nil {
		f.Status = appliance.FoundWarn
		f.Text = fmt.Sprintf("%s cannot be used: %v; certificates cannot be renewed", c.directory, err)
		f.Fix = "let this machine reach it by HTTPS (port 443), or look whether the authority is well; what is served stays until it ends"
	}
	return f
}

var errNoDirectory = errors.New("what it answers is no ACME directory")

// look asks for the directory (RFC 8555, section 7.1.1).
func (c *authority) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.directory, nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: c.roots},
	}}
	resp, err := client.Do(req)
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err // the text has the address already
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	var directory struct {
		NewOrder string `json:"newOrder"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxDirectory)).Decode(&directory); err != nil || directory.NewOrder == "" {
		return errNoDirectory
	}
	return nil
}
