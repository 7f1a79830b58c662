package passwd_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/password"
	"github.com/waxwing-mail/waxwing/modules/internal/passwd"
)

// counter is a password that counts how often it is verified, and how many of
// these might have been answered from memory.
type counter struct {
	password     string
	err          error
	calls, again int
}

func (c *counter) Verify(_ context.Context, password string) (bool, error) {
	c.calls++
	return password == c.password, c.err
}

func (c *counter) VerifyAgain(ctx context.Context, password string) (bool, error) {
	c.again++
	return c.Verify(ctx, password)
}

func (*counter) Forget() {}

func TestLogin(t *testing.T) {
	app, own, mail := &counter{password: "a"}, &counter{password: "o"}, &counter{password: "m"}
	table := passwd.NewTable("mail.example.com", []passwd.Entry{
		{"app", app}, {"own", own}, {"own@mail.example.com", mail}, {"bob@example.com", &counter{password: "b"}},
	})
	for _, c := range []struct{ user, password, want string }{
		{"app", "a", "app"},
		{"app", "A", ""},
		{"app", "", ""},
		{"App", "a", ""},
		{"app ", "a", ""},
		{"", "a", ""},
		{"app@mail.example.com", "a", "app"},
		{"app@MAIL.Example.com", "a", "app"},
		{"app@example.com", "a", ""},
		{"app@mail.example.com.", "a", ""},
		{"app@mail.example.com@mail.example.com", "a", ""},
		{"@mail.example.com", "a", ""},
		{"own", "o", "own"},
		{"own@mail.example.com", "m", "own@mail.example.com"}, // the exact name comes first
		{"own@mail.example.com", "o", ""},
		{"bob@example.com", "b", "bob@example.com"},
		{"bob@example.com@mail.example.com", "b", "bob@example.com"},
		{"bob", "b", ""},
		// A9: a name is looked up, never interpreted.
		{"*)(uid=*", "a", ""}, {"' OR 1=1", "a", ""}, {"${env.X}", "a", ""}, {"../../x", "a", ""}, {"app\x00", "a", ""},
	} {
		got, err := table.Login(t.Context(), c.user, appliance.NewSecret(c.password))
		if got != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, appliance.ErrCredentials) {
			t.Errorf("Login(%q, %q) = %q, %v; want %q", c.user, c.password, got, err, c.want)
		}
	}
}

// TestA7OneHashEitherWay: each log-in with a password costs exactly one
// verification, and the same one each time for the same name.
func TestA7OneHashEitherWay(t *testing.T) {
	var entries []passwd.Entry
	var counters []*counter
	for i := range 8 {
		c := &counter{password: "right"}
		counters = append(counters, c)
		entries = append(entries, passwd.Entry{Name: fmt.Sprint("user", i), Verifier: c})
	}
	table := passwd.NewTable("mail.example.com", entries)
	which := func(user string) int {
		for _, c := range counters {
			c.calls, c.again = 0, 0
		}
		// The password is that of the entry it is compared with: it must not help.
		_, err := table.Login(t.Context(), user, appliance.NewSecret("right"))
		if known := strings.HasPrefix(user, "user"); (err == nil) != known {
			t.Errorf("Login(%q): %v", user, err)
		}
		total, at := 0, 0
		for i, c := range counters {
			if total += c.calls; c.calls > 0 {
				at = i
			}
			if c.again > 0 && !strings.HasPrefix(user, "user") {
				t.Errorf("Login(%q) may tell by the clock whose password it is", user)
			}
		}
		if total != 1 {
			t.Fatalf("Login(%q) cost %d verifications", user, total)
		}
		return at
	}
	used := map[int]bool{}
	for i := range 200 {
		name := fmt.Sprint("nobody", i)
		at := which(name)
		used[at] = true
		if again := which(name); again != at {
			t.Errorf("%s is compared with another entry each time", name)
		}
	}
	if len(used) != len(counters) {
		t.Errorf("200 unknown names used %d of %d entries", len(used), len(counters))
	}
	if which("user3") != 3 || which("user3@mail.example.com") != 3 {
		t.Error("a known name is not compared with its own entry")
	}
}

// TestA7Remembered: who has logged in does so again without the cost, by the
// clock only with that name and that password. Nothing can be hashed for a
// client that is gone, so what succeeds for it is remembered.
func TestA7Remembered(t *testing.T) {
	const right = "correct horse"
	hash, err := password.Hash(right)
	if err != nil {
		t.Fatal(err)
	}
	made := func() *passwd.Table {
		v, err := password.Parse(hash)
		if err != nil {
			t.Fatal(err)
		}
		return passwd.NewTable("h.example", []passwd.Entry{{"app", v}})
	}
	login := func(ctx context.Context, table *passwd.Table, user, pw string, want error) {
		t.Helper()
		if _, err := table.Login(ctx, user, appliance.NewSecret(pw)); !errors.Is(err, want) {
			t.Errorf("Login(%q, %q): %v, want %v", user, pw, err, want)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	table := made()
	login(gone, table, "app", right, context.Canceled)
	login(t.Context(), table, "nobody", right, appliance.ErrCredentials)
	login(gone, table, "app", right, context.Canceled) // a stranger's guess makes nothing known
	login(t.Context(), table, "app", right, nil)
	login(gone, table, "app", right, nil)
	login(gone, table, "app@H.example", right, nil)
	login(gone, table, "app", "battery staple", context.Canceled)
	login(gone, table, "nobody", right, context.Canceled)
	login(gone, made(), "app", right, context.Canceled)
	table.Forget()
	login(gone, table, "app", right, context.Canceled)
}

func TestLoginCouldNotFindOut(t *testing.T) {
	down := errors.New("down")
	table := passwd.NewTable("h.example", []passwd.Entry{{"app", &counter{password: "a", err: down}}})
	for _, user := range []string{"app", "nobody"} {
		if name, err := table.Login(t.Context(), user, appliance.NewSecret("a")); name != "" || !errors.Is(err, down) {
			t.Errorf("%s: %q, %v", user, name, err)
		}
	}
	empty := passwd.NewTable("h.example", nil)
	if _, err := empty.Login(t.Context(), "app", appliance.NewSecret("a")); !errors.Is(err, appliance.ErrCredentials) {
		t.Errorf("empty table: %v", err)
	}
}

// TestKnown: who can log in, and what they are called then.
func TestKnown(t *testing.T) {
	table := passwd.NewTable("h.example", []passwd.Entry{{"app", &counter{}}, {"x@y.test", &counter{}}})
	for user, want := range map[string]string{
		"app": "app", "app@H.Example": "app", "x@y.test": "x@y.test",
		"nobody": "", "app@other.example": "", "": "", "@h.example": "",
	} {
		if got, ok := table.Known(user); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v; want %q", user, got, ok, want)
		}
	}
	if _, ok := passwd.NewTable("h.example", nil).Known("app"); ok {
		t.Error("an empty table knows somebody")
	}
}

func TestX4CheckName(t *testing.T) {
	for _, good := range []string{"app", "app@mail.example.com", "a.b+c_d-e", "Jörg", "用户", strings.Repeat("x", 254), "../../x", "*"} {
		if err := passwd.CheckName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "@x", "a b", "a:b", "a\x00b", "a\r\nb", "a\tb", "\xff", "a\u202eb", "a\u00a0b", strings.Repeat("x", 255)} {
		if err := passwd.CheckName(bad); err == nil {
			t.Errorf("%q is taken for a user name", bad)
		}
	}
}
