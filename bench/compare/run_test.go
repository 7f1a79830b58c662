package compare

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/bench/peers"
)

// Waxwing takes part with STARTTLS and AUTH, with DKIM and without, over
// connections that are kept and that are not; what arrives is verified by Run
// itself.
func TestRun(t *testing.T) {
	report, err := Run(t.Context(), Options{Peers: []string{"waxwing"}, Rounds: 2, Only: "login", Messages: 50, Dir: t.TempDir(), Progress: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"#### 4 KiB, 50 clients, DKIM with RSA-2048, STARTTLS and AUTH PLAIN, connections kept\n",
		"#### 4 KiB, 50 clients, no DKIM, STARTTLS and AUTH PLAIN, a connection for each message\n",
		"in 2 rounds", "waxwing: waxwing ",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("%q is missing in the report:\n%s", want, report)
		}
	}
	rows := 0
	for line := range strings.Lines(report) {
		if strings.HasPrefix(line, "| waxwing |") && !strings.Contains(line, "–  ") && strings.Count(line, "(") == 4 {
			rows++
		}
	}
	if rows != 4 {
		t.Errorf("%d rows with 4 figures of 2 rounds, want 4:\n%s", rows, report)
	}
}

// What cannot be measured is said before anything is.
func TestRunRefuses(t *testing.T) {
	for want, o := range map[string]Options{
		"there is no work":   {Peers: []string{"waxwing"}, Rounds: 1, Messages: 1, Only: "everything"},
		"there is no peer":   {Peers: []string{"sendmail"}, Rounds: 1, Messages: 1},
		"no peer is named":   {Rounds: 1, Messages: 1},
		"at least one round": {Peers: []string{"waxwing"}, Messages: 1},
	} {
		if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// Of all, those that are installed are measured, and who is not is named.
func TestChooseInstalled(t *testing.T) {
	r := new(run)
	r.chooseInstalled([]peers.Peer{named{name: "here"}, missing{}})
	if len(r.peers) != 1 || r.peers[0].Name() != "here" {
		t.Errorf("chosen are %v", r.peers)
	}
	if want := []string{"absent: not measured: run install.sh"}; !slices.Equal(r.absent, want) {
		t.Errorf("left out are %q, want %q", r.absent, want)
	}
}

// missing is a peer that is not installed.
type missing struct{ direct }

func (missing) Name() string             { return "absent" }
func (missing) Version() (string, error) { return "", errors.New("run install.sh") }

// Who is interrupted leaves nothing behind.
func TestRunInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	progress := writerFunc(func() { cancel() }) // while the first peer runs
	dir := t.TempDir()
	_, err := Run(ctx, Options{Peers: []string{"waxwing"}, Rounds: 2, Only: "rate", Messages: 50, Dir: dir, Progress: progress})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// A writerFunc is told that something is written.
type writerFunc func()

func (f writerFunc) Write(b []byte) (int, error) {
	f()
	return len(b), nil
}
