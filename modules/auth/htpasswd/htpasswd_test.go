package htpasswd

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/password"
)

var staff = appliance.Addr{Kind: appliance.KindAuth, Name: "staff"}

// Made by "htpasswd -nbB -C 5 staff 'correct horse'" of Apache 2.4.
const bob = "$2y$05$CIyQU5ooLpMPti1CZRrZ8upoVp0vX9Y/QdEtyc6uQW2sxMkFrfrwW"

// house is an Htpasswd on a file, in a synctest bubble.
type house struct {
	*Htpasswd
	t      *testing.T
	logs   *observer.ObservedLogs
	writes time.Duration
}

func open(t *testing.T, content string) (*house, error) {
	core, logs := observer.New(zapcore.DebugLevel)
	h := &house{&Htpasswd{File: filepath.Join(t.TempDir(), "users")}, t, logs, 0}
	h.write(content)
	return h, errors.Join(h.Validate(), h.Provision(&appliance.Context{
		Addr: staff, Log: zap.New(core), Hostname: "mail.example.com",
	}))
}

// write changes the file, each time at another moment of a while ago.
func (h *house) write(content string) {
	h.t.Helper()
	if err := os.WriteFile(h.File, []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.writes += time.Second
	when := time.Now().Add(h.writes - time.Minute)
	if err := os.Chtimes(h.File, when, when); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) login(user, pw string) error {
	h.t.Helper()
	id, err := h.Authenticate(h.t.Context(), &appliance.Session{}, user, appliance.NewSecret(pw))
	if err == nil && id != (appliance.Identity{User: strings.TrimSuffix(user, "@mail.example.com"), By: staff}) {
		h.t.Errorf("%s: identity %v", user, id)
	}
	return err
}

func (h *house) mayNot(user, pw string) {
	h.t.Helper()
	if err := h.login(user, pw); !errors.Is(err, appliance.ErrCredentials) {
		h.t.Errorf("%s/%s: %v, want ErrCredentials", user, pw, err)
	}
}

func (h *house) may(user, pw string) {
	h.t.Helper()
	if err := h.login(user, pw); err != nil {
		h.t.Errorf("%s/%s: %v", user, pw, err)
	}
}

func TestAuthenticate(t *testing.T) {
	h, err := open(t, "# staff\r\n\nbob:"+bob+"\r\n  amy:"+bob+"  \n")
	if err != nil {
		t.Fatal(err)
	}
	h.may("bob", "correct horse")
	h.may("bob@mail.example.com", "correct horse")
	h.may("amy", "correct horse")
	h.mayNot("bob", "battery staple")
	h.mayNot("#", "correct horse")
	h.mayNot("carol", "correct horse")
}

func TestReread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := open(t, "bob:"+bob+"\n")
		if err != nil {
			t.Fatal(err)
		}
		h.mayNot("amy", "correct horse")
		h.write("amy:" + bob + "\n")
		time.Sleep(time.Second)
		h.may("amy", "correct horse")
		h.mayNot("bob", "correct horse")
		h.logs.TakeAll()

		h.write("bob:" + bob + "\ncarol:marker-secret\n")
		time.Sleep(time.Second)
		h.may("amy", "correct horse") // a bad file changes nothing
		logs := h.logs.TakeAll()
		if len(logs) != 1 || logs[0].Level != zapcore.ErrorLevel {
			t.Fatalf("log: %v", logs)
		}
		said := logs[0].ContextMap()["error"].(string)
		if !strings.Contains(said, "line 2") || strings.Contains(said, "marker") || strings.Contains(said, bob[10:]) {
			t.Errorf("log says %q", said)
		}

		h.write("# nobody any more\n")
		time.Sleep(time.Second)
		h.mayNot("amy", "correct horse") // an empty file locks everybody out
	})
}

// TestChangedPassword: a password that has just been right, and is remembered,
// ends with the content of the file that has another.
func TestChangedPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := open(t, "bob:"+bob+"\n")
		if err != nil {
			t.Fatal(err)
		}
		h.may("bob", "correct horse")
		h.may("bob", "correct horse")
		other, err := password.Hash("battery staple")
		if err != nil {
			t.Fatal(err)
		}
		h.write("bob:" + other + "\n")
		time.Sleep(time.Second)
		h.mayNot("bob", "correct horse")
		h.may("bob", "battery staple")
		h.write("amy:" + other + "\n")
		time.Sleep(time.Second)
		h.mayNot("bob", "battery staple")
	})
}

// TestForget: a password that was right is right at once, for a client that
// waits for nothing, until a reload.
func TestForget(t *testing.T) {
	h, err := open(t, "bob:"+bob+"\n")
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	again := func() error {
		_, err := h.Authenticate(gone, &appliance.Session{}, "bob", appliance.NewSecret("correct horse"))
		return err
	}
	h.may("bob", "correct horse")
	if err := again(); err != nil {
		t.Error(err)
	}
	h.Forget()
	if err := again(); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
}

func TestProvisionFails(t *testing.T) {
	for _, c := range []struct{ name, content, want string }{
		{"no colon", "bob:" + bob + "\nmarker-secret", "line 2: no colon"},
		{"apr1", "\nu:$apr1$cOIZInT2$fY8N0u0lbjmnpgoYytKLm/", `line 2: password of user "u" is Apache's MD5 hash`},
		{"sha", "u:{SHA}EfatjsUqKYSrqv18O1FlA3hcIHI=", "htpasswd -B"},
		{"plain", "u:marker-secret", "plain text"},
		{"crypt", "u:rl0uE0G9rDYNM", "crypt(3)"},
		{"twice", "u:" + bob + "\n#\nu:" + bob, `line 3: user "u" stands on line 1 already`},
		{"X4 name", "a b:" + bob, "line 1: user name"},
		{"fourth field", "u:" + bob + ":comment", "line 1"},
		{"too large", strings.Repeat("#\n", maxFile/2+1), "larger"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := open(t, c.content)
			var attr *appliance.AttrError
			if !errors.As(err, &attr) || attr.Attr != "file" || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), "marker") || strings.Contains(err.Error(), bob[10:]) {
				t.Errorf("P19: %v", err)
			}
		})
	}
	h := &Htpasswd{File: filepath.Join(t.TempDir(), "absent")}
	err := h.Provision(&appliance.Context{Log: zap.NewNop()})
	var attr *appliance.AttrError
	if !errors.As(err, &attr) || attr.Attr != "file" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if err := new(Htpasswd).Validate(); !errors.As(err, &attr) || attr.Attr != "file" {
		t.Errorf("no file: %v", err)
	}
}

// TestApacheTool reads what the tool of the name writes, where it is
// installed; TestAuthenticate reads what it wrote once.
func TestApacheTool(t *testing.T) {
	tool, err := exec.LookPath("htpasswd")
	if err != nil && os.Getenv("CI") == "" {
		t.Skip("htpasswd is not installed (Debian: apt install apache2-utils)")
	}
	if err != nil {
		t.Fatal("htpasswd is not installed: .ci/run should have seen to it")
	}
	h, err := open(t, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []string{"bob", "amy@example.com"} {
		if out, err := exec.Command(tool, "-bB", h.File, u, "pw of "+u).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if err := h.Provision(&appliance.Context{Addr: staff, Log: zap.NewNop(), Hostname: "mail.example.com"}); err != nil {
		t.Fatal(err)
	}
	h.may("bob", "pw of bob")
	h.may("amy@example.com", "pw of amy@example.com")
	h.mayNot("bob", "pw of amy@example.com")
}

func FuzzParse(f *testing.F) {
	f.Add("# x\nbob:" + bob + "\n")
	f.Add("a:b:c\n\x00")
	f.Fuzz(func(t *testing.T, content string) {
		entries, err := parse(content)
		if err != nil && entries != nil {
			t.Error("entries of a bad file")
		}
		for _, e := range entries {
			if !strings.Contains(content, e.Name+":") || e.Verifier == nil {
				t.Errorf("entry %q comes from nowhere", e.Name)
			}
		}
	})
}
