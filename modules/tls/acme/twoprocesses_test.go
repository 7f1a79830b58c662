package acme_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest/acmetest"
	"github.com/waxwing-mail/waxwing/modules/store/memory"
	"github.com/waxwing-mail/waxwing/modules/tls/acme"
)

// The environment of a process that is one of several servers on one store.
const (
	envStore     = "WAXWING_TEST_STORE_SOCKET" // where the owner of the store answers
	envDirectory = "WAXWING_TEST_ACME_DIRECTORY"
	envRoot      = "WAXWING_TEST_ACME_ROOT"
	envHTTP      = "WAXWING_TEST_ACME_HTTP"
)

func init() {
	if socket := os.Getenv(envStore); socket != "" {
		if err := serveBesideOthers(socket); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// serveBesideOthers is a server of several. It prints the serial number of the
// certificate that it serves once there is one, and ends with its input.
func serveBesideOthers(socket string) error {
	client, err := rpc.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer client.Close()
	log, err := zap.NewDevelopment()
	if err != nil {
		return err
	}
	a := acme.New()
	a.Email = "postmaster@example.com"
	a.Challenges = []string{"http-01"}
	a.HTTPAddress = os.Getenv(envHTTP)
	a.Issuers = []acme.Issuer{{Label: "test", Directory: os.Getenv(envDirectory), RootFile: os.Getenv(envRoot)}}
	if err := errors.Join(a.Validate(), a.Provision(&appliance.Context{
		Addr: appliance.Addr{Kind: appliance.KindTLS, Name: "auto"}, Log: log, Hostname: "mail.example.com",
		Values: remoteValues{client}, Metrics: prometheus.NewRegistry(),
	})); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := a.Start(ctx); err != nil {
		return err
	}
	if err := printSerial(ctx, a); err != nil {
		return errors.Join(err, a.Stop(ctx))
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, a.Stop(ctx))
}

func printSerial(ctx context.Context, a *acme.ACME) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for a.Ready() != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return a.Ready()
		}
	}
	c, err := a.ServerConfig(appliance.TLSUse{}).GetCertificate(&tls.ClientHelloInfo{ServerName: "mail.example.com"})
	if err != nil {
		return err
	}
	_, err = fmt.Println("serial", c.Leaf.SerialNumber)
	return err
}

// Two processes on one store, both without a certificate and both asking at
// the same moment, obtain one certificate between them and serve it both (X7).
func TestTwoProcessesOneCertificate_X7(t *testing.T) {
	ca := acmetest.Start(t, acmetest.Options{})
	owner := newStoreOwner(t)
	socket := owner.serve(t)
	// The first order goes on when the other process is waiting for its turn.
	ca.Inject(func(r *http.Request) *acmetest.Problem {
		if acmetest.ResourceOf(r) == acmetest.NewOrder {
			select {
			case <-owner.contended:
			case <-time.After(20 * time.Second):
				t.Error("the processes do not wait for each other")
			}
		}
		return nil
	})
	var servers [2]*server
	for i := range servers {
		servers[i] = startServer(t, ca, socket)
	}
	first, second := servers[0].serial(t), servers[1].serial(t)
	if first != second {
		t.Errorf("one process serves %s, the other %s", first, second)
	}
	if n := ca.Issued(); n != 1 {
		t.Errorf("%d certificates were issued to two processes on one store, want 1", n)
	}
	if n := ca.Requests(acmetest.NewAccount); n != 1 {
		t.Errorf("%d accounts were asked for, want 1", n)
	}
	for _, s := range servers {
		s.end(t)
	}
}

// A server is a process that calls serveBesideOthers.
type server struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Scanner
}

func startServer(t *testing.T, ca *acmetest.Server, socket string) *server {
	t.Helper()
	s := &server{cmd: exec.Command(os.Args[0])}
	s.cmd.Env = append(os.Environ(), envStore+"="+socket, envDirectory+"="+ca.Directory(),
		envRoot+"="+ca.RootFile(), envHTTP+"="+ca.HTTPAddress())
	s.cmd.Stderr = testWriter{t}
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.stdin, s.out = stdin, bufio.NewScanner(stdout)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	})
	return s
}

// testWriter hands the log of a process to its test.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

func (s *server) serial(t *testing.T) string {
	t.Helper()
	if !s.out.Scan() {
		t.Fatalf("the process has ended: %v", s.cmd.Wait())
	}
	serial, ok := strings.CutPrefix(s.out.Text(), "serial ")
	if !ok {
		t.Fatalf("the process says %q", s.out.Text())
	}
	return serial
}

func (s *server) end(t *testing.T) {
	t.Helper()
	s.stdin.Close()
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the process ends with %v", err)
	}
}

// storeOwner answers other processes for a store, over net/rpc. Its exported
// methods are the calls.
type storeOwner struct {
	values appliance.Values

	mu        sync.Mutex
	locks     map[string]func() error // those that are held
	wanted    map[string]int          // how many hold a lock or wait for it
	contended chan struct{}           // closed when two want the same
	once      sync.Once
}

func newStoreOwner(t *testing.T) *storeOwner {
	t.Helper()
	store := memory.New()
	ctx := &appliance.Context{Log: zap.NewNop(), DataDir: t.TempDir(), Metrics: prometheus.NewRegistry()}
	if err := errors.Join(store.Provision(ctx), store.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &storeOwner{
		values: store.Values(), locks: make(map[string]func() error),
		wanted: make(map[string]int), contended: make(chan struct{}),
	}
}

// StoreCall is the arguments of all calls.
type StoreCall struct {
	Key        string
	Old, Value []byte
	HasOld     bool
	TTL        time.Duration
}

// StoreReply is the result of all calls.
type StoreReply struct {
	Value []byte
	Infos []appliance.ValueInfo
}

func (o *storeOwner) serve(t *testing.T) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "waxwing") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "store.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := rpc.NewServer()
	if err := server.RegisterName("Store", o); err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { server.ServeConn(c) }) // until the process at the other end is gone
		}
	})
	t.Cleanup(func() { l.Close(); conns.Wait() })
	return socket
}

func (o *storeOwner) Get(c StoreCall, r *StoreReply) (err error) {
	r.Value, err = o.values.Get(context.Background(), c.Key)
	return err
}

func (o *storeOwner) Put(c StoreCall, _ *StoreReply) error {
	return o.values.Put(context.Background(), c.Key, c.Value)
}

func (o *storeOwner) Swap(c StoreCall, _ *StoreReply) error {
	if c.HasOld && c.Old == nil {
		c.Old = []byte{} // gob does not tell an empty slice from none
	}
	return o.values.Swap(context.Background(), c.Key, c.Old, c.Value)
}

func (o *storeOwner) Delete(c StoreCall, _ *StoreReply) error {
	return o.values.Delete(context.Background(), c.Key)
}

func (o *storeOwner) List(c StoreCall, r *StoreReply) (err error) {
	r.Infos, err = o.values.List(context.Background(), c.Key)
	return err
}

func (o *storeOwner) Lock(c StoreCall, _ *StoreReply) error {
	o.mu.Lock()
	o.wanted[c.Key]++
	if o.wanted[c.Key] == 2 {
		o.once.Do(func() { close(o.contended) })
	}
	o.mu.Unlock()
	unlock, err := o.values.Lock(context.Background(), c.Key, c.TTL)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.locks[c.Key] = unlock
	return nil
}

func (o *storeOwner) Unlock(c StoreCall, _ *StoreReply) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	unlock := o.locks[c.Key]
	if unlock == nil {
		return fmt.Errorf("lock %s is not held", c.Key)
	}
	delete(o.locks, c.Key)
	o.wanted[c.Key]--
	return unlock()
}

// remoteValues is the appliance.Values of a storeOwner in another process.
type remoteValues struct{ client *rpc.Client }

var _ appliance.Values = remoteValues{}

func (v remoteValues) call(ctx context.Context, method string, c StoreCall) (StoreReply, error) {
	r := new(StoreReply)
	call := v.client.Go("Store."+method, c, r, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		return *r, sentinel(call.Error)
	case <-ctx.Done():
		return StoreReply{}, ctx.Err()
	}
}

// sentinel gives errors back what net/rpc takes from them.
func sentinel(err error) error {
	for _, known := range []error{fs.ErrNotExist, appliance.ErrConflict} {
		if err != nil && strings.HasSuffix(err.Error(), known.Error()) {
			return fmt.Errorf("%w (over rpc)", known)
		}
	}
	return err
}

func (v remoteValues) Get(ctx context.Context, key string) ([]byte, error) {
	r, err := v.call(ctx, "Get", StoreCall{Key: key})
	return r.Value, err
}

func (v remoteValues) Put(ctx context.Context, key string, value []byte) error {
	_, err := v.call(ctx, "Put", StoreCall{Key: key, Value: value})
	return err
}

func (v remoteValues) Swap(ctx context.Context, key string, old, value []byte) error {
	_, err := v.call(ctx, "Swap", StoreCall{Key: key, Old: old, HasOld: old != nil, Value: value})
	return err
}

func (v remoteValues) Delete(ctx context.Context, key string) error {
	_, err := v.call(ctx, "Delete", StoreCall{Key: key})
	return err
}

func (v remoteValues) List(ctx context.Context, prefix string) ([]appliance.ValueInfo, error) {
	r, err := v.call(ctx, "List", StoreCall{Key: prefix})
	return r.Infos, err
}

func (v remoteValues) Lock(ctx context.Context, key string, ttl time.Duration) (func() error, error) {
	if _, err := v.call(ctx, "Lock", StoreCall{Key: key, TTL: ttl}); err != nil {
		return nil, err
	}
	return func() error {
		_, err := v.call(context.Background(), "Unlock", StoreCall{Key: key})
		return err
	}, nil
}
