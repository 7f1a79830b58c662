package main

import (
	"net"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// A zone is what a DNS server of the tests answers, by name. What is not in it
// does not exist.
type zone map[string]records

// records are those of one name; none at all is a name without records.
type records struct {
	mx    []string // the most preferred first
	a     string
	rcode dnsmessage.RCode
	cut   bool // the answer is truncated, and there is no TCP to ask again
}

// serve answers over UDP until the test ends, and returns where.
func (z zone) serve(t *testing.T) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { pc.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			if b, err := z.answer(buf[:n]); err == nil {
				pc.WriteTo(b, from)
			}
		}
	}()
	return pc.LocalAddr().String()
}

func (z zone) answer(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	q := m.Questions[0]
	r, ok := z[strings.TrimSuffix(strings.ToLower(q.Name.String()), ".")]
	if m.RCode = r.rcode; !ok {
		m.RCode = dnsmessage.RCodeNameError
	}
	m.Truncated = r.cut
	h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}
	switch {
	case q.Type == dnsmessage.TypeMX:
		for i, host := range r.mx {
			name, err := dnsmessage.NewName(strings.TrimSuffix(host, ".") + ".")
			if err != nil {
				return nil, err
			}
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.MXResource{Pref: uint16(10 * i), MX: name}})
		}
	case q.Type == dnsmessage.TypeA && r.a != "":
		a := &dnsmessage.AResource{A: [4]byte(net.ParseIP(r.a).To4())}
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: a})
	}
	return m.Pack()
}
