package config

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// The fake modules: as few as show everything that a file can do.

type base struct{ provisioned int }

func (b *base) Provision(*appliance.Context) error { b.provisioned++; return nil }
func (b *base) Start(context.Context) error        { return nil }
func (b *base) Stop(context.Context) error         { return nil }

// shared is embedded, as listeners embed their engine.
type shared struct {
	// Where to listen.
	Address string                                `hcl:"address,optional"`
	TLS     appliance.Ref[appliance.Certificates] `hcl:"tls,optional,only"`
	Trusted []netip.Prefix                        `hcl:"trusted,optional"`
	Timeout time.Duration                         `hcl:"timeout,optional"`
}

type fakeListener struct {
	base
	appliance.Attachment
	shared
}

func (l *fakeListener) Addrs() []net.Addr               { return nil }
func (l *fakeListener) TrustedNetworks() []netip.Prefix { return l.Trusted }

type fakeAuth struct {
	base
	Users []fakeUser `hcl:"user,block"`
}

type fakeUser struct {
	Name     string           `hcl:"name,label"`
	Password appliance.Secret `hcl:"password"`
	Groups   []string         `hcl:"groups,optional"`
}

func (*fakeAuth) Authenticate(context.Context, *appliance.Session, string, appliance.Secret) (appliance.Identity, error) {
	return appliance.Identity{}, appliance.ErrCredentials
}

type fakeCheck struct {
	base
	OnError string              `hcl:"on_error,optional"`
	Score   float64             `hcl:"score,optional"`
	Limit   int                 `hcl:"limit,optional"`
	Small   int8                `hcl:"small,optional"`
	Strict  bool                `hcl:"strict,optional"`
	Allow   map[string][]string `hcl:"allow,optional"`
	Names   map[string]string   `hcl:"names,optional"`
	Size    appliance.Size      `hcl:"size,optional"`
	Warmup  *fakeWarmup         `hcl:"warmup,block"`
}

type fakeWarmup struct {
	Start string        `hcl:"start"`
	Every time.Duration `hcl:"every,optional"`
}

func (c *fakeCheck) Validate() error {
	var all []error
	if words := []string{"defer", "accept", "reject"}; !slices.Contains(words, c.OnError) {
		all = append(all, &appliance.AttrError{Attr: "on_error", Msg: fmt.Sprintf("%q is not one of defer, accept and reject", c.OnError)})
	}
	if c.Limit < 0 {
		all = append(all, &appliance.AttrError{Attr: "limit", Msg: "must be at least 0"})
	}
	if c.Warmup != nil && c.Warmup.Every == 0 {
		all = append(all, &appliance.AttrError{Attr: "warmup.every", Msg: "is missing"})
	}
	if c.Strict && c.Limit == 0 {
		all = append(all, errors.New("strict needs a limit"))
	}
	return errors.Join(all...)
}

func (*fakeCheck) Stages() appliance.Stage { return appliance.AtSender }
func (*fakeCheck) Inspect(context.Context, appliance.Stage, *appliance.Transaction) (appliance.Verdict, error) {
	return appliance.Verdict{}, nil
}

type fakeModifier struct {
	base
	Domains []string `hcl:"domains,optional"`
}

func (*fakeModifier) Modify(context.Context, *appliance.Transaction) error { return nil }

type fakeRewrite struct{ fakeModifier }

func (*fakeRewrite) Claims(appliance.Mailbox) bool { return true }

type fakeRelay struct {
	base
	Address  string                            `hcl:"address"`
	Password appliance.Secret                  `hcl:"password,optional"`
	Fallback appliance.Ref[appliance.Relay]    `hcl:"fallback,optional"`
	Report   appliance.Ref[appliance.Modifier] `hcl:"report,optional"`
}

func (*fakeRelay) NextHop(to appliance.Mailbox) string { return to.Domain }
func (*fakeRelay) Deliver(_ context.Context, env appliance.Envelope, _ *appliance.Message) []appliance.Result {
	return appliance.Results(len(env.Recipients), appliance.Result{})
}

type fakeCapture struct{ fakeSink }

type fakeSink struct{ base }

func (*fakeSink) NextHop(to appliance.Mailbox) string { return "" }
func (*fakeSink) Deliver(_ context.Context, env appliance.Envelope, _ *appliance.Message) []appliance.Result {
	return appliance.Results(len(env.Recipients), appliance.Result{})
}

type fakeStore struct {
	base
	appliance.Store
	Path string `hcl:"path,optional"`
}

func (s *fakeStore) Provision(c *appliance.Context) error { return s.base.Provision(c) }
func (s *fakeStore) Start(c context.Context) error        { return s.base.Start(c) }
func (s *fakeStore) Stop(c context.Context) error         { return s.base.Stop(c) }

type fakeTLS struct {
	base
	Certificate string           `hcl:"certificate,optional"`
	Key         appliance.Secret `hcl:"key,optional"`
}

func (*fakeTLS) ServerConfig(appliance.TLSUse) *tls.Config { return nil }
func (*fakeTLS) Certificates() []appliance.CertificateInfo { return nil }
func (*fakeTLS) Ready() error                              { return nil }

func fakeRegistry() *appliance.Registry {
	reg := func(k appliance.Kind, name string, f func() appliance.Module) appliance.Registration {
		return appliance.Registration{Kind: k, Name: name, Summary: "fake", New: f}
	}
	return appliance.NewRegistry(
		reg(appliance.KindListener, "submission", func() appliance.Module {
			return &fakeListener{shared: shared{Address: ":587", Timeout: 5 * time.Minute}}
		}),
		reg(appliance.KindAuth, "static", func() appliance.Module { return new(fakeAuth) }),
		reg(appliance.KindCheck, "senders", func() appliance.Module { return &fakeCheck{OnError: "defer"} }),
		reg(appliance.KindRewrite, "aliases", func() appliance.Module { return new(fakeRewrite) }),
		reg(appliance.KindSigner, "dkim", func() appliance.Module { return new(fakeModifier) }),
		reg(appliance.KindRelay, "smarthost", func() appliance.Module { return new(fakeRelay) }),
		reg(appliance.KindRelay, "mx", func() appliance.Module { return new(fakeSink) }),
		reg(appliance.KindRelay, "capture", func() appliance.Module { return new(fakeCapture) }),
		reg(appliance.KindStore, "disk", func() appliance.Module { return new(fakeStore) }),
		reg(appliance.KindTLS, "self_signed", func() appliance.Module { return new(fakeTLS) }),
		reg(appliance.KindTLS, "files", func() appliance.Module { return new(fakeTLS) }),
	)
}

// The world of the tests. Everything that must not show begins with "marker".
var (
	fakeEnv = map[string]string{
		"PASSWORD": "marker-env",
		"TRICKY":   "marker\"}\n${file(\"/etc/passwd\")}%{if}",
		"NUMBER":   "12",
		"WORD":     "marker-word",
		"HOST":     "mail.example.com",
		"EMPTY":    "",
		"YES":      "true",
	}
	fakeFiles = map[string]string{
		"/run/secrets/password": "marker-file\n",
		"/run/secrets/open":     "marker-open",
		"/etc/waxwing/near":     "marker-near\r\n",
		"/run/secrets/large":    string(make([]byte, maxFile+1)),
	}
)

type fakeInfo struct {
	fs.FileInfo
	mode fs.FileMode
}

func (i fakeInfo) Mode() fs.FileMode { return i.mode }

func fakeOptions() Options {
	return Options{
		Registry: fakeRegistry(),
		Getenv:   func(name string) (string, bool) { v, ok := fakeEnv[name]; return v, ok },
		ReadFile: func(path string) ([]byte, error) {
			switch content, ok := fakeFiles[path]; {
			case ok:
				return []byte(content), nil
			case path == "/root/password":
				return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}
			case path == "/run":
				return nil, errors.New("it is a directory")
			}
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		},
		Stat: func(path string) (fs.FileInfo, error) {
			if path == "/run/secrets/open" {
				return fakeInfo{mode: 0o644}, nil
			}
			return fakeInfo{mode: 0o600}, nil
		},
		Hostname: func() (string, error) { return "machine.example.com", nil },
		DataDir:  "/data",
	}
}
