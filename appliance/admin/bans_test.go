package admin_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

// fakeGuard is a guard that holds something against two.
type fakeGuard struct {
	appliance.LoginGuard
	cleared []string
}

func (*fakeGuard) Bans() []appliance.Ban {
	return []appliance.Ban{{Kind: appliance.BanNetwork, Name: "203.0.113.7", Failures: 20, Until: time.Unix(1, 0).UTC(), Reason: "guessing"}}
}

func (g *fakeGuard) Clear(name string) int {
	g.cleared = append(g.cleared, fmt.Sprintf("%q", name))
	return len(name)
}

func TestBans(t *testing.T) {
	guard := new(fakeGuard)
	h := open(t, "unix", func(*admin.Server) {})
	if _, err := h.client.Bans(t.Context()); statusOf(err) != http.StatusNotImplemented {
		t.Errorf("a server without a guard: %v", err)
	}
	h = openWith(t, appliance.Options{NewLogins: func(appliance.LoginContext) appliance.LoginGuard { return guard }})
	page, err := h.client.Bans(t.Context())
	check(t, err)
	if len(page.Bans) != 1 || page.Bans[0] != guard.Bans()[0] {
		t.Errorf("%+v", page)
	}
	for _, c := range []struct {
		want    admin.ClearRequest
		cleared int
	}{{admin.ClearRequest{Name: " 203.0.113.7 "}, 11}, {admin.ClearRequest{All: true}, 0}} {
		done, err := h.client.ClearBans(t.Context(), c.want)
		if err != nil || done.Cleared != c.cleared {
			t.Errorf("%+v: %+v, %v", c.want, done, err)
		}
	}
	for _, bad := range []admin.ClearRequest{{}, {Name: " "}, {Name: "app", All: true}} {
		if _, err := h.client.ClearBans(t.Context(), bad); statusOf(err) != http.StatusBadRequest {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if got := fmt.Sprint(guard.cleared); got != `["203.0.113.7" ""]` {
		t.Errorf("cleared %s", got)
	}
}

func statusOf(err error) int {
	e, ok := errors.AsType[*admin.Error](err)
	if !ok {
		return 0
	}
	return e.Status
}
