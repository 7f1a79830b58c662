package admin_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

// fakeKeys is a signer that keeps keys of example.com.
type fakeKeys struct {
	keys  []appliance.SigningKey
	fails error
	asked []string
}

func (*fakeKeys) Provision(*appliance.Context) error                   { return nil }
func (*fakeKeys) Modify(context.Context, *appliance.Transaction) error { return nil }
func (f *fakeKeys) SigningKeys() []appliance.SigningKey                { return f.keys }

func (f *fakeKeys) RotateKeys(_ context.Context, domain string, when appliance.Rotation) error {
	return f.ask(domain, fmt.Sprint("rotate ", domain, " ", when))
}

func (f *fakeKeys) RetireKey(_ context.Context, domain, selector string) error {
	return f.ask(domain, "retire "+domain+" "+selector)
}

func (f *fakeKeys) ask(domain, what string) error {
	if domain != "example.com" {
		return fmt.Errorf("does not sign for %s: %w", domain, fs.ErrNotExist)
	}
	f.asked = append(f.asked, what)
	return f.fails
}

// withKeys adds the signer to a house.
func withKeys(t *testing.T) (*house, *fakeKeys) {
	h := open(t, "unix")
	k := &fakeKeys{keys: []appliance.SigningKey{{
		Domain: "example.com", Selector: "waxwing", Algorithm: "rsa2048", Source: "store", State: appliance.KeyCurrent,
		Since: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Waits: "its record: no name server shows the record",
		Record: appliance.DNSRecord{Name: "waxwing._domainkey.example.com", Type: "TXT", Value: "v=DKIM1; p="},
	}}}
	g := h.appliance.Graph()
	g.Nodes = append(g.Nodes, &appliance.Node{Addr: appliance.Addr{Kind: appliance.KindSigner, Name: "own"}, Type: "fake", Module: k})
	return h, k
}

func TestKeys(t *testing.T) {
	if got := open(t, "unix").request(t, raw("GET /v1/dkim", "", "")); !strings.HasSuffix(got, "\r\n\r\n{\"keys\":[]}\n") {
		t.Errorf("none: %s", got)
	}
	h, k := withKeys(t)
	want := admin.KeyPage{Keys: []appliance.KeptKey{{Block: "signer.own", SigningKey: k.keys[0]}}}
	page, err := h.client.Keys(t.Context())
	if diff := cmp.Diff(want, page); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for _, r := range []admin.RotateRequest{{}, {Domains: []string{"example.com"}, Now: true}} {
		page, err = h.client.RotateKeys(t.Context(), r)
		if diff := cmp.Diff(want, page); diff != "" || err != nil {
			t.Error(diff, err)
		}
	}
	page, err = h.client.RetireKey(t.Context(), admin.RetireRequest{Domain: "example.com", Selector: "waxwing"})
	if diff := cmp.Diff(want, page); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if diff := cmp.Diff([]string{"rotate example.com 0", "rotate example.com 1", "retire example.com waxwing"}, k.asked); diff != "" {
		t.Error(diff)
	}
}

// TestKeysRefused: what cannot be done is said, with a status for programs.
func TestKeysRefused(t *testing.T) {
	h, k := withKeys(t)
	rotate := func(domain string) error {
		_, err := h.client.RotateKeys(t.Context(), admin.RotateRequest{Domains: []string{domain}})
		return err
	}
	retire := func(domain, selector string) error {
		_, err := h.client.RetireKey(t.Context(), admin.RetireRequest{Domain: domain, Selector: selector})
		return err
	}
	_, many := h.client.RotateKeys(t.Context(), admin.RotateRequest{Domains: make([]string, 1001)})
	unknown, incomplete := rotate("example.org"), retire("example.com", "")
	k.fails = fmt.Errorf("it signs: %w", errors.ErrUnsupported)
	signs := retire("example.com", "waxwing")
	k.fails = errors.New("disk\nfull")
	disk := rotate("example.com")
	for _, c := range []struct {
		err    error
		status int
		want   string
	}{
		{many, http.StatusBadRequest, "at most 1000 domains"},
		{unknown, http.StatusNotFound, "does not sign for example.org"},
		{incomplete, http.StatusBadRequest, "domain and selector are needed"},
		{signs, http.StatusUnprocessableEntity, "signer.own: it signs"},
		{disk, http.StatusServiceUnavailable, "what has been begun goes on"},
	} {
		e, ok := errors.AsType[*admin.Error](c.err)
		if !ok || e.Status != c.status || !strings.Contains(e.Message, c.want) {
			t.Errorf("%v, want %d %s", c.err, c.status, c.want)
		}
	}
	if e, ok := errors.AsType[*admin.Error](disk); !ok || len(e.Reasons) != 2 {
		t.Errorf("reasons: %v", e)
	}
}
