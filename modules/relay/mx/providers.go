package mx

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/localfile"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
)

// Provider is a block provider "name" of relay "mx": what the mail servers of
// one company take. All of them are one site, whatever domains they serve.
type Provider struct {
	// A name of your own; one that Waxwing knows ("google", "yahoo", "outlook",
	// "office365", "apple", "comcast"), of which what is written here is changed
	// and the rest stays; or "default", for each set of mail exchangers that is
	// none of the others.
	Label string `hcl:"label,label"`
	// How the names of its mail exchangers end: [".google.com"]. All exchangers
	// of a domain must be among them.
	MX []string `hcl:"mx,optional"`
	// Deliveries at a time. Default: destination_concurrency of the queue.
	Connections int `hcl:"connections,optional"`
	// Messages in a time, as "100/1m" or "20/s". Default: no limit.
	Rate appliance.Rate `hcl:"rate,optional"`
	// Messages over one connection. Default 100.
	MessagesPerConnection int `hcl:"messages_per_connection,optional"`
	// "required": TLS or no delivery, although tls of the relay is
	// "opportunistic". "opportunistic" takes that back for a provider that
	// Waxwing knows. Default: as the relay.
	TLS string `hcl:"tls,optional"`
}

// defaultProvider is the label of what is said about everybody else.
const defaultProvider = "default"

// Limits of a provider.
const (
	maxProviders             = 1000
	maxConnections           = 10_000
	maxMessagesPerConnection = 100_000
)

//go:embed providers.json
var providersText []byte

// A builtIn is a provider in providers.json. The figures are observed practice
// of senders, not promises of receivers; they change, and users change them.
type builtIn struct {
	Name                  string         `json:"name"`
	Serves                string         `json:"serves"`
	MX                    []string       `json:"mx"`
	Connections           int            `json:"connections"`
	Rate                  appliance.Rate `json:"rate"`
	MessagesPerConnection int            `json:"messages_per_connection"`
	TLS                   string         `json:"tls"`
}

// maxProvidersFile bounds providers_file, in octets.
const maxProvidersFile = 1 << 20

// openProviders puts together what is known and what the configuration says.
func (m *MX) openProviders() error {
	known, err := m.knownProviders()
	if err != nil {
		return err
	}
	if m.providers, err = newProviders(m.Providers, known); err != nil {
		return &appliance.AttrError{Attr: "provider", Msg: err.Error()}
	}
	return nil
}

// knownProviders are those of providers_file, or those that come with Waxwing.
func (m *MX) knownProviders() ([]Provider, error) {
	if m.ProvidersFile == "" {
		return readProviders(providersText)
	}
	text, err := localfile.Read(m.ProvidersFile, maxProvidersFile)
	if err != nil {
		return nil, &appliance.AttrError{Attr: "providers_file", Msg: "cannot be read", Err: err}
	}
	known, err := readProviders(text)
	if err != nil {
		return nil, &appliance.AttrError{
			Attr: "providers_file", Err: err,
			Msg: `is no list of providers; it should look like [{"name": "example", "mx": [".mx.example.net"], "connections": 5}]`,
		}
	}
	return known, nil
}

// readProviders reads a list of providers in the form of providers.json.
func readProviders(text []byte) ([]Provider, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var list []builtIn
	if err := d.Decode(&list); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("something follows the list")
	}
	if len(list) > maxProviders {
		return nil, fmt.Errorf("%d providers; at most %d are allowed", len(list), maxProviders)
	}
	all := make([]Provider, len(list))
	for i, b := range list {
		all[i] = Provider{
			Label: strings.ToLower(b.Name), MX: b.MX, Connections: b.Connections, Rate: b.Rate,
			MessagesPerConnection: b.MessagesPerConnection, TLS: b.TLS,
		}
		if slices.ContainsFunc(all[:i], func(p Provider) bool { return p.Label == all[i].Label }) {
			return nil, fmt.Errorf("provider %q is there twice", b.Name)
		}
		if err := all[i].check(); err != nil {
			return nil, fmt.Errorf("provider %q: %w", b.Name, err)
		}
	}
	return all, nil
}

// providers are those that are known, in the order in which they are looked
// through: those of the file first.
type providers struct {
	list  []Provider
	other Provider // everybody else
}

// newProviders puts the blocks of the configuration together with those that are
// known.
func newProviders(blocks, known []Provider) (providers, error) {
	if len(blocks) > maxProviders {
		return providers{}, fmt.Errorf("%d providers; at most %d are allowed", len(blocks), maxProviders)
	}
	var p providers
	seen := make(map[string]bool)
	for _, b := range blocks {
		b.Label = strings.ToLower(b.Label)
		if seen[b.Label] {
			return p, fmt.Errorf("provider %q is there twice", b.Label)
		}
		seen[b.Label] = true
		if i := slices.IndexFunc(known, func(k Provider) bool { return k.Label == b.Label }); i >= 0 {
			b = b.over(known[i])
			known = slices.Delete(known, i, i+1)
		}
		if err := b.check(); err != nil {
			return p, fmt.Errorf("provider %q: %w", b.Label, err)
		}
		if b.Label == defaultProvider {
			p.other = b
			continue
		}
		p.list = append(p.list, b)
	}
	for _, k := range known {
		if k.Label == defaultProvider {
			p.other = k
			continue
		}
		p.list = append(p.list, k)
	}
	return p, nil
}

// over is what b says, and for the rest what is known.
func (b Provider) over(known Provider) Provider {
	if len(b.MX) > 0 {
		known.MX = b.MX
	}
	if b.Connections != 0 {
		known.Connections = b.Connections
	}
	if !b.Rate.IsZero() {
		known.Rate = b.Rate
	}
	if b.MessagesPerConnection != 0 {
		known.MessagesPerConnection = b.MessagesPerConnection
	}
	if b.TLS != "" {
		known.TLS = b.TLS
	}
	return known
}

func (b *Provider) check() error {
	switch {
	case b.Label == "" || strings.ContainsAny(b.Label, "/,. \t"):
		return fmt.Errorf(`write a name of letters and digits, such as "example"`)
	case b.Label == defaultProvider && len(b.MX) > 0:
		return fmt.Errorf("it is for everybody who is no other provider; leave mx out")
	case b.Label != defaultProvider && len(b.MX) == 0:
		return fmt.Errorf(`mx must say how the names of its mail exchangers end, such as [".mx.example.net"]`)
	case b.Connections < 0 || b.Connections > maxConnections:
		return fmt.Errorf("connections must be between 1 and %d", maxConnections)
	case b.MessagesPerConnection < 0 || b.MessagesPerConnection > maxMessagesPerConnection:
		return fmt.Errorf("messages_per_connection must be between 1 and %d", maxMessagesPerConnection)
	case !slices.Contains([]string{"", string(smtpconn.TLSOpportunistic), string(smtpconn.TLSRequired)}, b.TLS):
		return fmt.Errorf(`tls: write "required" or "opportunistic"`)
	}
	for i, suffix := range b.MX {
		b.MX[i] = strings.ToLower(strings.TrimSuffix(suffix, "."))
		if strings.Trim(b.MX[i], ".") == "" {
			return fmt.Errorf("mx: %q is no end of a name", suffix)
		}
	}
	return nil
}

// serves says whether a mail exchanger is one of the provider's. A suffix
// without a dot in front is a host too.
func (b *Provider) serves(host string) bool {
	for _, suffix := range b.MX {
		if host == suffix || strings.HasSuffix(host, "."+strings.TrimPrefix(suffix, ".")) {
			return true
		}
	}
	return false
}

// of is the provider of a mail exchanger: p.other if it is none of the list.
func (p *providers) of(host string) *Provider {
	for i := range p.list {
		if p.list[i].serves(host) {
			return &p.list[i]
		}
	}
	return &p.other
}

// ofAll is the one provider of all hosts, or p.other.
func (p *providers) ofAll(hosts []string) *Provider {
	first := &p.other
	for i, h := range hosts {
		if one := p.of(h); i == 0 {
			first = one
		} else if one != first {
			return &p.other
		}
	}
	return first
}
