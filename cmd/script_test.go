package cmd_test

import (
	"errors"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
	"github.com/waxwing-mail/waxwing/cmd"
	_ "github.com/waxwing-mail/waxwing/modules/standard"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"waxwing": cmd.Main})
}

// TestScripts runs the command line as processes, as people do.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("WAXWING_DATA_DIR", e.WorkDir+"/data")
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("GORACE", "atexit_sleep_ms=0") // or each process takes a second to end
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"find":     find,
			"freeport": freePort,
			"occupy":   occupy,
			"waitfor":  waitFor,
		},
	})
}

// exits runs a command that must end with a status: exits 3 waxwing validate.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND [ARG…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// find sets a variable to what the group of a pattern matches in the standard
// output of the last command: find ID '"id": "(.*)"'.
func find(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: find VARIABLE PATTERN")
	}
	pattern, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	m := pattern.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) != 2 {
		ts.Fatalf("the output has no %s", args[1])
	}
	ts.Setenv(args[0], m[1])
}

// freePort sets variables to addresses on which nobody listens.
func freePort(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		address, err := appliancetest.FreeAddress()
		ts.Check(err)
		ts.Setenv(name, address)
	}
}

// occupy sets a variable to an address on which somebody else listens.
func occupy(ts *testscript.TestScript, neg bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

// waitFor runs a command until its output matches a pattern: waitfor PATTERN
// COMMAND [ARG…].
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: waitfor PATTERN COMMAND [ARG…]")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		ts.Check(ts.Exec(args[1], args[2:]...))
		if pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the output never has %s", args[0])
		}
	}
}
