package compare

import (
	"flag"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/bench/peers"
)

// The others have to be installed, and this has to be root:
//
//	go test ./bench/compare -run TestPeer -peers all
var which = flag.String("peers", "waxwing", `the peers that TestPeer starts, or "all" that are installed`)

// Each peer takes, signs and delivers: once from who may relay, once from who
// logs in. That each message arrives once, unchanged, and with a signature that
// verifies, is what sending means here.
func TestPeer(t *testing.T) {
	for _, name := range chosen(t) {
		r := newTestRun(t, name)
		for _, login := range []bool{false, true} {
			if st := (stage{only: "rate", siteOptions: siteOptions{sign: true, login: login}}); st.skips(r.peers[0]) == "" {
				t.Run(name+map[bool]string{false: "", true: ", login"}[login], func(t *testing.T) { tryPeer(t, r, st) })
			}
		}
	}
}

// chosen are the names that are asked for; with "all" there has to be one
// beside Waxwing.
func chosen(t *testing.T) []string {
	if *which != "all" {
		return strings.Split(*which, ",")
	}
	names := slices.DeleteFunc(All(), func(name string) bool {
		i := slices.IndexFunc(peers.All(), func(p peers.Peer) bool { return p.Name() == name })
		_, err := peers.All()[i].Version()
		if err != nil {
			t.Logf("%s is not tried: %v", name, err)
		}
		return err != nil
	})
	if len(names) < 3 {
		t.Errorf("only %v are installed", names)
	}
	return names
}

func newTestRun(t *testing.T, name string) *run {
	t.Helper()
	r := &run{Options: Options{Peers: []string{name}, Rounds: 1, Messages: 20, Progress: io.Discard}}
	if err := r.choose(); err != nil {
		t.Fatal(err)
	}
	var err error
	// Others than we have to be able to enter it.
	if r.dir, err = newRunDir(os.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(r.dir) })
	if r.keys, err = newKeys(r.dir); err != nil {
		t.Fatal(err)
	}
	return r
}

func tryPeer(t *testing.T, r *run, st stage) {
	p := r.peers[0]
	if version, err := p.Version(); err != nil || !strings.ContainsAny(version, "0123456789") {
		t.Fatalf("version %q, %v", version, err)
	}
	s, err := r.openSite(p, st.siteOptions)
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.send(traffic{clients: 4, messages: 20, size: smallSize, limit: time.Minute})
	if err != nil || o.accepted != 20 {
		t.Errorf("%d of 20 messages were accepted, %v", o.accepted, err)
	}
	address := s.setup.Address
	if err := s.close(); err != nil {
		t.Error(err)
	}
	if c, err := dialWithin(address, nil, time.Second); err == nil {
		c.conn.Close()
		t.Error("somebody listens after the peer was stopped")
	}
}
