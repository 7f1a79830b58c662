package admin_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
	"github.com/waxwing-mail/waxwing/appliance/records"
)

// emptyZone is a resolver of a zone that has nothing but what was written.
type emptyZone struct {
	appliance.Resolver // what the tests do not use
	written            *writer
}

func (z emptyZone) AskAuthority(_ context.Context, _ appliance.QueryType, name string) (appliance.AuthorityAnswer, error) {
	s := appliance.ServerAnswer{Server: "ns1.example.com", Answer: appliance.DNSAnswer{Texts: z.written.texts[name]}}
	if len(s.Answer.Texts) == 0 {
		s.Err = &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return appliance.AuthorityAnswer{Zone: "example.com", Name: name, Servers: []appliance.ServerAnswer{s}}, nil
}

func (z emptyZone) LookupTXT(_ context.Context, name string) ([]string, error) {
	if texts := z.written.texts[strings.TrimSuffix(name, ".")]; len(texts) > 0 {
		return texts, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (emptyZone) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (emptyZone) LookupNetIP(_ context.Context, _, name string) ([]netip.Addr, error) {
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// writer is a dns block, and a signer of one domain too.
type writer struct {
	texts map[string][]string
	slow  chan chan struct{} // if set, it is told of each write, which waits until it is answered
}

func (*writer) Provision(*appliance.Context) error                   { return nil }
func (*writer) Modify(context.Context, *appliance.Transaction) error { return nil }
func (*writer) SenderDomains() []string                              { return []string{"example.com"} }

func (w *writer) AppendRecords(_ context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	if w.slow != nil {
		done := make(chan struct{})
		w.slow <- done
		<-done
	}
	for _, r := range recs {
		name := strings.TrimSuffix(libdns.AbsoluteName(r.RR().Name, zone), ".")
		w.texts[name] = append(w.texts[name], r.RR().Data)
	}
	return recs, nil
}

func (*writer) DeleteRecords(context.Context, string, []libdns.Record) ([]libdns.Record, error) {
	return nil, errors.New("nothing is to be deleted here")
}

// openZone is a house whose DNS can be written to.
func openZone(t *testing.T) (*house, *writer) {
	t.Helper()
	w := &writer{texts: make(map[string][]string)}
	h := openWith(t, appliance.Options{Resolver: emptyZone{written: w}})
	g := h.appliance.Graph()
	signer := appliance.Addr{Kind: appliance.KindSigner, Name: "own"}
	g.Nodes = append(g.Nodes, &appliance.Node{Addr: signer, Module: w}, &appliance.Node{Addr: appliance.Addr{Kind: appliance.KindDNS, Name: "zone"}, Module: w})
	for _, n := range g.Pipelines() {
		n.Deps = append(n.Deps, signer)
	}
	return h, w
}

func TestRecords(t *testing.T) {
	h, _ := openZone(t)
	list, err := h.client.Records(t.Context(), []string{"example.com"})
	if err != nil || len(list.Records) == 0 || list.Records[0].Domain != "example.com" {
		t.Errorf("%+v, %v", list, err)
	}
	_, err = h.client.Records(t.Context(), []string{"example.net"})
	if e, ok := errors.AsType[*admin.Error](err); !ok || e.Status != http.StatusNotFound || !strings.Contains(e.Message, "example.net") {
		t.Errorf("%v", err)
	}
}

// TestPublishRecords: what is missing is shown, written as agreed, and there.
func TestPublishRecords(t *testing.T) {
	h, w := openZone(t)
	want := admin.PublishRequest{RecordsRequest: admin.RecordsRequest{Domains: []string{"example.com"}}, DryRun: true}
	plan, err := h.client.PublishRecords(t.Context(), want)
	if err != nil || plan.Through != "dns.zone" || len(w.texts) > 0 {
		t.Fatalf("%+v, %v", plan, err)
	}
	want.DryRun = false
	_, err = h.client.PublishRecords(t.Context(), want)
	if e, ok := errors.AsType[*admin.Error](err); !ok || e.Status != http.StatusConflict || len(w.texts) > 0 {
		t.Errorf("nobody has agreed: %v", err)
	}
	want.Agreed = records.Writes(plan.Changes)
	if _, err = h.client.PublishRecords(t.Context(), want); err != nil || len(w.texts["_dmarc.example.com"]) != 1 {
		t.Errorf("%v, %v", err, w.texts)
	}
	found, err := h.client.CheckRecords(t.Context(), want.Domains)
	if err != nil || len(found.Found) == 0 {
		t.Fatalf("%+v, %v", found, err)
	}
	for _, d := range found.Found {
		if d.Kind == records.KindDMARC && !d.OK() {
			t.Errorf("%+v", d)
		}
	}
	want.Through = "dns.other"
	_, err = h.client.PublishRecords(t.Context(), want)
	if e, ok := errors.AsType[*admin.Error](err); !ok || e.Status != http.StatusUnprocessableEntity {
		t.Errorf("%v", err)
	}
}

// TestPublishOneAtATime: who has agreed to the same plan does not write it a
// second time.
func TestPublishOneAtATime(t *testing.T) {
	h, w := openZone(t)
	want := admin.PublishRequest{RecordsRequest: admin.RecordsRequest{Domains: []string{"example.com"}}, DryRun: true}
	plan, err := h.client.PublishRecords(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	want.DryRun, want.Agreed = false, records.Writes(plan.Changes)
	w.slow = make(chan chan struct{})
	first := make(chan error, 1)
	go func() {
		_, err := h.client.PublishRecords(t.Context(), want)
		first <- err
	}()
	writes := <-w.slow
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err = h.client.PublishRecords(ctx, want)
	if e, ok := errors.AsType[*admin.Error](err); !ok || e.Status != http.StatusConflict || !strings.Contains(e.Message, "somebody else") {
		t.Errorf("the second: %v", err)
	}
	close(writes)
	for range want.Agreed[1:] {
		close(<-w.slow)
	}
	if err := <-first; err != nil || len(w.texts["_dmarc.example.com"]) != 1 {
		t.Errorf("%v, %v", err, w.texts)
	}
}
