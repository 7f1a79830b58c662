package smtpconn

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"iter"
	"math/big"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waxwing-mail/waxwing/appliance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A script is what a server says and expects to hear, one step per line:
//
//	S: 250 text     send the line
//	S! "raw\x00"    send the unquoted octets
//	ENDLESS "raw"   send the unquoted octets until the client hangs up
//	C: MAIL         expect a line that begins with this
//	C= RSET         expect exactly this line
//	READ 100        read so many octets
//	CONTENT         read content up to the final dot and keep it
//	BDAT 17         expect BDAT 17 LAST, read so many octets and keep them
//	TLS             do the server side of a handshake
//	CALL            call the function of the test
//	HANG            read until the client closes the connection
//	CLOSE           close the connection
type script string

// common begins of scripts.
const (
	hello = "S: 220 mx.test\nC= EHLO client.test\n"
	plain = hello + "S: 250 mx.test\n"
	quick = hello + "S: 250-mx.test\nS: 250-SIZE\nS: 250-8BITMIME\nS: 250-SMTPUTF8\nS: 250-DSN\nS: 250 PIPELINING\n"
	quit  = "C= QUIT\nS: 221 bye\nCLOSE\n"
)

// A server plays one script for each connection, in turn.
type server struct {
	t        *testing.T
	addr     netip.AddrPort
	contents []string // that were sent to it, dots and all
	call     func()
	tls      *tls.Config // of the step TLS, if not serverTLS
	clients  []string    // the common names in the certificates of clients, "" without one
	played   int         // scripts that were begun
	mu       sync.Mutex
	done     sync.WaitGroup
}

func serve(t *testing.T, scripts ...script) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, addr: netip.MustParseAddrPort(l.Addr().String())}
	s.done.Go(func() {
		for _, sc := range scripts {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.played++
			s.mu.Unlock()
			s.done.Go(func() { s.play(c, sc) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.done.Wait()
		if s.played != len(scripts) {
			t.Errorf("%d connections came, %d were expected", s.played, len(scripts))
		}
	})
	return s
}

func (s *server) play(c net.Conn, sc script) {
	defer func() { _ = c.Close() }() // c may become TLS
	_ = c.(*net.TCPConn).SetReadBuffer(64 << 10)
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(c)
	for n, step := range strings.Split(strings.TrimSpace(string(sc)), "\n") {
		var err error
		verb, arg, _ := strings.Cut(step, " ")
		switch verb {
		case "S:":
			_, err = io.WriteString(c, arg+"\r\n")
		case "S!":
			var raw string
			if raw, err = strconv.Unquote(arg); err == nil {
				_, err = io.WriteString(c, raw)
			}
		case "ENDLESS":
			raw, _ := strconv.Unquote(arg)
			for b, err := []byte(raw), error(nil); err == nil; {
				_, err = c.Write(b)
			}
		case "C:", "C=":
			err = s.expect(r, verb, arg)
		case "CONTENT":
			err = s.content(r)
		case "BDAT":
			err = s.chunk(r, arg)
		case "TLS":
			tc := tls.Server(c, s.config())
			if err = tc.Handshake(); err != nil {
				return // the client says what it thinks of it
			}
			s.greeted(tc.ConnectionState())
			c, r = tc, bufio.NewReader(tc)
		case "READ":
			n, _ := strconv.ParseInt(arg, 10, 64)
			_, err = io.CopyN(io.Discard, r, n)
		case "CALL":
			s.call()
		case "HANG":
			_, _ = io.Copy(io.Discard, r)
		case "CLOSE":
			return
		default:
			err = fmt.Errorf("no such step")
		}
		if err != nil {
			s.t.Errorf("step %d, %q: %v", n+1, step, err)
			return
		}
	}
}

// use exchanges the configuration of TLS.
func (s *server) use(cfg *tls.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tls = cfg
}

func (s *server) config() *tls.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tls != nil {
		return s.tls
	}
	return serverTLS()
}

func (s *server) greeted(cs tls.ConnectionState) {
	name := ""
	if len(cs.PeerCertificates) > 0 {
		name = cs.PeerCertificates[0].Subject.CommonName
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients = append(s.clients, name)
}

func (s *server) shown() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.clients, " ")
}

func (s *server) expect(r *bufio.Reader, verb, want string) error {
	line, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	got, ok := strings.CutSuffix(line, "\r\n")
	if !ok || verb == "C=" && got != want || !strings.HasPrefix(got, want) {
		return fmt.Errorf("client said %q", line)
	}
	return nil
}

func (s *server) content(r *bufio.Reader) error {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("after %q: %w", b.String(), err)
		}
		if line == ".\r\n" {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.contents = append(s.contents, b.String())
			return nil
		}
		b.WriteString(line)
	}
}

func (s *server) chunk(r *bufio.Reader, octets string) error {
	if err := s.expect(r, "C=", "BDAT "+octets+" LAST"); err != nil {
		return err
	}
	n, err := strconv.Atoi(octets)
	if err != nil {
		return err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.contents = append(s.contents, string(b))
	return err
}

// target is the server as a target without TLS.
func (s *server) target() Target { return Target{Name: "mx.test", Addr: s.addr, TLS: TLSNone} }

func (s *server) with(mode TLSMode) Target {
	t := s.target()
	t.TLS = mode
	return t
}

// targets is a sequence for Deliver.
func targets(ts ...Target) iter.Seq2[Target, *Failure] {
	return func(yield func(Target, *Failure) bool) {
		for _, t := range ts {
			if !yield(t, nil) {
				return
			}
		}
	}
}

// pool returns a pool that is stopped at the end of the test, before its servers.
func pool(t *testing.T, change ...func(*Config)) *Pool {
	cfg := Config{Hello: "client.test", TLS: &tls.Config{RootCAs: roots()}}
	for _, f := range change {
		f(&cfg)
	}
	p := NewPool(cfg)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := p.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return p
}

func envelope(to ...string) appliance.Envelope {
	env := appliance.Envelope{From: box("from@a.test")}
	for _, s := range to {
		env.Recipients = append(env.Recipients, appliance.Recipient{Mailbox: box(s)})
	}
	return env
}

func box(s string) appliance.Mailbox {
	m, err := appliance.ParseMailbox(s)
	if err != nil {
		panic(err)
	}
	return m
}

func message(header, body string) *appliance.Message {
	h, err := appliance.ParseHeader([]byte(header))
	if err != nil {
		panic(err)
	}
	return &appliance.Message{ID: "id", Header: h, Body: appliance.BytesBody(body)}
}

var simple = message("Subject: x\r\n", "\r\nhello\r\n")

// summary writes results on one line: "550 5.1.1 remote, 451 4.4.2".
func summary(rs []appliance.Result) string {
	var all []string
	for i := range rs {
		s := fmt.Sprintf("%d %s", rs[i].Reply.Code, rs[i].Reply.Status())
		if rs[i].Remote {
			s += " remote"
		}
		all = append(all, s)
	}
	return strings.Join(all, ", ")
}

func check(t *testing.T, rs []appliance.Result, want string) {
	t.Helper()
	if got := summary(rs); got != want {
		t.Errorf("results: %s, want %s", got, want)
		for i := range rs {
			t.Logf("  %v", rs[i].Reply.Error())
		}
	}
}

var pki = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"mx.test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
})

func roots() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(pki().Leaf)
	return p
}

func serverTLS() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{pki()}} }
