package main

import (
	"os"
	"testing"
	"time"
)

// TestSoak_P1P2P3P4 is the soak in small. Ten minutes of it are one command:
// go run ./bench -only soak -for 10m.
func TestSoak_P1P2P3P4(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute; the plain go test ./... runs it")
	}
	if !mayMount() && os.Getenv("CI") != "" {
		t.Fatal("this test has to mount a disk: run it as root")
	}
	dir := t.TempDir()
	bin, err := buildAt(dir, "../cmd/waxwing")
	if err != nil {
		t.Fatal(err)
	}
	k, err := runSoak(soakSettings{during: 20 * time.Second, clients: 5, seed: 1, dir: dir, bin: bin, mount: mayMount()})
	if k != nil {
		t.Logf("\n%s", k.report())
	}
	if err != nil {
		t.Fatal(err)
	}
	if f := k.book.figures(); f.acked < 100 || f.reported == 0 || k.faults.kills == 0 || k.faults.away == 0 {
		t.Errorf("%+v, %v: the soak shows nothing", f, k.faults)
	}
}
