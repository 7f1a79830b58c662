package smarthost

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
	"github.com/waxwing-mail/waxwing/modules/relay/internal/fallback"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// attr is the attribute that an error blames.
func attr(err error) string {
	if e, ok := errors.AsType[*appliance.AttrError](err); ok {
		return e.Attr
	}
	return fmt.Sprint(err)
}

func TestValidate(t *testing.T) {
	secret := appliance.NewSecret("x")
	login := func(s *Smarthost) { s.Username, s.Password = "app", secret }
	certificate := func(s *Smarthost) { s.ClientCertificate, s.ClientKey = "/c.pem", "/c.key" }
	for name, tc := range map[string]struct {
		change func(*Smarthost)
		want   string // attribute that is to blame, "" for none
	}{
		"plain":                   {func(*Smarthost) {}, ""},
		"no address":              {func(s *Smarthost) { s.Address = "" }, "address"},
		"both":                    {func(s *Smarthost) { s.Addresses = []string{"b.test"} }, "addresses"},
		"an empty one":            {func(s *Smarthost) { s.Address, s.Addresses = "", []string{"b.test", ""} }, "addresses"},
		"no such port":            {func(s *Smarthost) { s.Address = "a.test:99999" }, "address"},
		"no name":                 {func(s *Smarthost) { s.Address = "a test:25" }, "address"},
		"login":                   {login, ""},
		"no password":             {func(s *Smarthost) { s.Username = "app" }, "username"},
		"empty password":          {func(s *Smarthost) { s.Username, s.Password = "app", appliance.NewSecret("") }, "username"},
		"no user name":            {func(s *Smarthost) { s.Password = secret }, "password"},
		"NUL":                     {func(s *Smarthost) { login(s); s.Username = "a\x00b" }, "username"},
		"A3 login, none":          {func(s *Smarthost) { login(s); s.TLS = "none" }, "tls"},
		"A3 login, opportunistic": {func(s *Smarthost) { login(s); s.TLS = "opportunistic" }, "tls"},
		"login, required":         {func(s *Smarthost) { login(s); s.TLS = "required" }, ""},
		"login, none, here":       {func(s *Smarthost) { login(s); s.TLS, s.Address = "none", "127.0.0.1:2525" }, ""},
		"login, none, one is not here": {func(s *Smarthost) {
			login(s)
			s.TLS, s.Address, s.Addresses = "none", "", []string{"localhost:25", "a.test:25"}
		}, "tls"},
		"no such mode":               {func(s *Smarthost) { s.TLS = "starttls" }, "tls"},
		"ca_file without checking":   {func(s *Smarthost) { s.TLS, s.CAFile = "required", "/ca.pem" }, "tls"},
		"idle":                       {func(s *Smarthost) { s.Idle = time.Hour }, "idle"},
		"a fallback for nothing":     {func(s *Smarthost) { s.Fallback = new(fallback.Settings) }, "fallback"},
		"certificate":                {certificate, ""},
		"certificate and login":      {func(s *Smarthost) { certificate(s); login(s) }, ""},
		"no client_key":              {func(s *Smarthost) { s.ClientCertificate = "/c.pem" }, "client_certificate"},
		"no client_certificate":      {func(s *Smarthost) { s.ClientKey = "/c.key" }, "client_key"},
		"certificate, none":          {func(s *Smarthost) { certificate(s); s.TLS = "none" }, "tls"},
		"certificate, none, here":    {func(s *Smarthost) { certificate(s); s.TLS, s.Address = "none", "localhost" }, "tls"},
		"certificate, opportunistic": {func(s *Smarthost) { certificate(s); s.TLS = "opportunistic" }, "tls"},
		"certificate, required":      {func(s *Smarthost) { certificate(s); s.TLS = "required" }, ""},
		"certificate, username":      {func(s *Smarthost) { certificate(s); s.Username = "app" }, "username"},
		"external":                   {func(s *Smarthost) { certificate(s); s.Authenticate = "external" }, ""},
		"external, username":         {func(s *Smarthost) { certificate(s); s.Authenticate, s.Username = "external", "app" }, ""},
		"external, NUL":              {func(s *Smarthost) { certificate(s); s.Authenticate, s.Username = "external", "a\x00" }, "username"},
		"external, password":         {func(s *Smarthost) { certificate(s); login(s); s.Authenticate = "external" }, "password"},
		"external, no certificate":   {func(s *Smarthost) { s.Authenticate = "external" }, "authenticate"},
		"authenticate, password":     {func(s *Smarthost) { login(s); s.Authenticate = "password" }, ""},
		"authenticate, nobody":       {func(s *Smarthost) { s.Authenticate = "password" }, "authenticate"},
		"no such authenticate":       {func(s *Smarthost) { login(s); s.Authenticate = "gssapi" }, "authenticate"},
		"connect_timeout":            {func(s *Smarthost) { s.ConnectTimeout = 0 }, "connect_timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			s := New()
			s.Address = "a.test:587"
			tc.change(s)
			if got := attr(s.Validate()); got != tc.want && (tc.want != "" || got != "<nil>") {
				t.Errorf("%v, want %q", s.Validate(), tc.want)
			}
		})
	}
}

func TestModes(t *testing.T) {
	for _, tc := range []struct {
		address, user, ca string
		want              string
	}{
		{"a.test", "", "", "a.test:587 opportunistic"},
		{"A.test:25", "", "", "a.test:25 opportunistic"},
		{"a.test", "app", "", "a.test:587 verified"},
		{"a.test", "", "/ca.pem", "a.test:587 verified"},
		{"a.test:465", "", "", "a.test:465 implicit"},
		{"192.0.2.1", "", "", "192.0.2.1:587 opportunistic"},
		{"[2001:db8::1]", "", "", "[2001:db8::1]:587 opportunistic"},
		{"[2001:db8::1]:25", "", "", "[2001:db8::1]:25 opportunistic"},
	} {
		s := &Smarthost{Address: tc.address, Username: tc.user, CAFile: tc.ca}
		list, err := s.endpoints()
		if err != nil || len(list) != 1 || list[0].String()+" "+string(list[0].tls) != tc.want {
			t.Errorf("%s: %v %v, want %s", tc.address, list, err, tc.want)
		}
	}
	s := &Smarthost{Address: "a.test"}
	s.ClientCertificate = "/c.pem"
	if list, err := s.endpoints(); err != nil || !list[0].tls.Verifies() {
		t.Errorf("with a certificate: %v %v", list, err)
	}
}

// TestX6: what cannot be read stops the start.
func TestX6(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(garbage, []byte("not PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(t.TempDir(), "ca.fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"/nonexistent/ca.pem", garbage, fifo} {
		s := New()
		s.Address, s.CAFile = "a.test", file
		if err := s.Provision(&appliance.Context{}); attr(err) != "ca_file" {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// resolver knows example.com, which is this machine, and no other name.
type resolver struct{ appliance.Resolver }

func (resolver) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if host == "example.com" {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// provider is a smarthost that offers AUTH over STARTTLS. answers are its
// replies by verb; the others are 250.
func provider(t *testing.T, answers map[string]string) (port uint16, heard func() string) {
	t.Helper()
	return providerWith(t, certificate(), answers)
}

func providerWith(t *testing.T, cfg *tls.Config, answers map[string]string) (port uint16, heard func() string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var lines []string
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				converse(c, cfg, answers, func(line string) {
					mu.Lock()
					defer mu.Unlock()
					lines = append(lines, line)
				})
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return netip.MustParseAddrPort(l.Addr().String()).Port(), func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(lines, "|")
	}
}

func converse(c net.Conn, cfg *tls.Config, answers map[string]string, heard func(string)) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(c)
	reply, content := "220 provider", false
	for {
		if _, err := io.WriteString(c, reply+"\r\n"); err != nil {
			return
		}
		if strings.HasPrefix(reply, "220 go") {
			tc := tls.Server(c, cfg)
			if tc.Handshake() != nil {
				return
			}
			c, r = tc, bufio.NewReader(tc)
		}
		line, err := r.ReadString('\n')
		for content && err == nil && line != ".\r\n" {
			line, err = r.ReadString('\n')
		}
		if err != nil {
			return
		}
		line = strings.TrimSpace(line)
		heard(line)
		verb, _, _ := strings.Cut(line, " ")
		reply, content = answer(verb, answers), verb == "DATA"
	}
}

func answer(verb string, answers map[string]string) string {
	if a, ok := answers[verb]; ok {
		return a
	}
	switch verb {
	case "EHLO":
		return "250-provider\r\n250-STARTTLS\r\n250 AUTH PLAIN"
	case "STARTTLS":
		return "220 go"
	case "AUTH":
		return "235 2.7.0 ok"
	case "DATA":
		return "354 go"
	}
	return "250 2.0.0 ok"
}

// certificate is that of httptest, for example.com, which vouches for itself.
var certificate = sync.OnceValue(func() *tls.Config {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return &tls.Config{Certificates: s.TLS.Certificates}
})

func caFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ca.pem")
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate().Certificates[0].Certificate[0]})
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

const password = "marker-s3cret"

// relay returns a Smarthost that logs in to example.com at the port.
func relay(t *testing.T, port uint16, change func(*Smarthost)) (*Smarthost, *observer.ObservedLogs) {
	t.Helper()
	s := New()
	s.Address = fmt.Sprintf("example.com:%d", port)
	s.Username, s.Password = "app", appliance.NewSecret(password)
	s.CAFile = caFile(t)
	if change != nil {
		change(s)
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.DebugLevel)
	if err := s.Provision(&appliance.Context{Hostname: "us.test", Resolver: resolver{}, Log: zap.New(core)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		for _, e := range logs.All() {
			if line := fmt.Sprint(e.Message, e.ContextMap()); strings.Contains(line, password) {
				t.Errorf("P19: the password is in the log: %s", line)
			}
		}
	})
	return s, logs
}

func envelope() appliance.Envelope {
	return appliance.Envelope{
		From:       appliance.Mailbox{Local: "from", Domain: "us.test"},
		Recipients: []appliance.Recipient{{Mailbox: appliance.Mailbox{Local: "u", Domain: "a.test"}}},
	}
}

var msg = &appliance.Message{ID: "id", Body: appliance.BytesBody("\r\nhello\r\n")}

func deliver(t *testing.T, s *Smarthost) appliance.Result {
	t.Helper()
	rs := s.Deliver(t.Context(), envelope(), msg)
	if len(rs) != 1 {
		t.Fatalf("%d results", len(rs))
	}
	return rs[0]
}

func TestDeliver(t *testing.T) {
	port, heard := provider(t, nil)
	s, _ := relay(t, port, nil)
	r := deliver(t, s)
	if r.Reply.Code != 250 || !r.Remote || r.Host != "example.com" || r.TLS != "TLS 1.3, verified" {
		t.Errorf("%+v", r)
	}
	if want := "STARTTLS|EHLO us.test|AUTH PLAIN AGFwcABtYXJrZXItczNjcmV0|MAIL"; !strings.Contains(heard(), want) {
		t.Errorf("the smarthost heard %s", heard())
	}
	if got, want := s.NextHop(appliance.Mailbox{}), fmt.Sprintf("example.com:%d", port); got != want {
		t.Errorf("next hop %q, want %q", got, want)
	}
}

// TestMistakes: what is wrong with the smarthost keeps the mail, and is
// logged; what is wrong with the message does not.
func TestMistakes(t *testing.T) {
	for _, tc := range []struct {
		name    string
		answers map[string]string
		change  func(*Smarthost)
		want    string
		logged  string // the level of an entry that must be there
	}{
		{"N18 wrong password", map[string]string{"AUTH": "535 5.7.8 no"}, nil, "451 4.7.8", "error"},
		{"certificate of another name", nil, func(s *Smarthost) { s.ServerName = "other.test" }, "451 4.7.5", "error"},
		{"certificate of an unknown authority", nil, func(s *Smarthost) { s.CAFile = "" }, "451 4.7.5", "error"},
		{"STARTTLS is gone", map[string]string{"EHLO": "250-provider\r\n250 AUTH PLAIN"}, nil, "451 4.7.4", "error"},
		{"sent away at EHLO", map[string]string{"EHLO": "550 5.7.1 no", "HELO": "550 5.7.1 no"}, nil, "451 4.7.1", "error"},
		{"wants authentication", map[string]string{"MAIL": "530 5.7.0 who are you?"}, nil, "451 4.7.0", "error"},
		{"no such host", nil, func(s *Smarthost) { s.Address = "gone.test:25" }, "451 4.4.3", "warn"},
		{"nobody there", nil, func(s *Smarthost) { s.Address = "127.0.0.1:1"; s.ServerName = "example.com" }, "451 4.4.1", "warn"},
		{"the sender is refused", map[string]string{"MAIL": "550 5.7.1 not your address"}, nil, "550 5.7.1", ""},
		{"the recipient is refused", map[string]string{"RCPT": "550 5.1.1 no"}, nil, "550 5.1.1", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			port, heard := provider(t, tc.answers)
			s, logs := relay(t, port, tc.change)
			r := deliver(t, s)
			if got := fmt.Sprintf("%d %s", r.Reply.Code, r.Reply.Status()); got != tc.want {
				t.Errorf("%s (%v), want %s", got, r.Reply.Error(), tc.want)
			}
			found := tc.logged == ""
			for _, e := range logs.All() {
				found = found || e.Level.String() == tc.logged
			}
			if !found {
				t.Errorf("nothing is logged as %s: %v", tc.logged, logs.All())
			}
			if strings.HasPrefix(tc.want, "451 4.7.5") && strings.Contains(heard(), "AUTH") {
				t.Errorf("the password went to a server that did not prove its name: %s", heard())
			}
		})
	}
}

func TestFailover(t *testing.T) {
	port, _ := provider(t, nil)
	s, _ := relay(t, port, func(s *Smarthost) {
		s.Address, s.Addresses = "", []string{"gone.test:25", "127.0.0.1:1", s.Address}
	})
	if r := deliver(t, s); r.Reply.Code != 250 || r.Host != "example.com" {
		t.Errorf("%+v", r)
	}
}

// TestInClear: a server on this machine gets the password without TLS.
func TestInClear(t *testing.T) {
	port, heard := provider(t, nil)
	s, _ := relay(t, port, func(s *Smarthost) {
		s.Address, s.CAFile, s.TLS = fmt.Sprintf("localhost:%d", port), "", string(smtpconn.TLSNone)
	})
	if r := deliver(t, s); r.Reply.Code != 250 || r.TLS != "" || !strings.Contains(heard(), "AUTH PLAIN A") {
		t.Errorf("%+v, heard %s", r, heard())
	}
}

// TestHonoursRequireTLS: all of the servers have to prove who they are.
func TestHonoursRequireTLS(t *testing.T) {
	for _, c := range []struct {
		addresses []string
		tls       string
		want      bool
	}{
		{[]string{"a.test:465"}, "", true},
		{[]string{"a.test:465", "b.test:25"}, "", false},
		{[]string{"a.test:587"}, "verified", true},
		{[]string{"a.test:587"}, "required", false},
		{[]string{"a test"}, "verified", false},
	} {
		s := New()
		s.Addresses, s.TLS = c.addresses, c.tls
		if got := s.HonoursRequireTLS(); got != c.want {
			t.Errorf("%v %q: %t", c.addresses, c.tls, got)
		}
	}
}

// TestLimits: the queue is told what the provider allows.
func TestLimits(t *testing.T) {
	s := New()
	s.Address, s.Connections, s.Rate = "smtp.example.net:587", 5, appliance.Rate{Count: 14, Per: time.Second}
	site, err := s.Site(t.Context(), s.NextHop(appliance.Mailbox{}))
	if want := (appliance.SiteLimits{Connections: 5, Rate: s.Rate}); err != nil || site.Limits != want {
		t.Errorf("%+v, %v", site, err)
	}
	if s.Connections = -1; attr(s.Validate()) != "connections" {
		t.Errorf("%v", s.Validate())
	}
}
