package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
	hashes "github.com/waxwing-mail/waxwing/appliance/password"
)

// A password that the server has just verified, and would know again, ends with
// the reload that brings another one, and so does the user who is taken away.
func TestRememberedUntilReload(t *testing.T) {
	p := newProcess(t, smarthost("127.0.0.1:9"))
	block := func(password string) string {
		hash, err := hashes.Hash(password)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("user \"app\" { password_hash = %q }", hash)
	}
	first, second := block(password), block("battery staple")
	p.setting(`user "app" { password = env("APP_PASSWORD") }`, first)
	p.start()
	may := func(password string, want bool) {
		t.Helper()
		c := p.login()
		c.Password = password
		s, err := appliancetest.DialSubmitter(c)
		if err == nil {
			s.Close()
		}
		if refused := err != nil && strings.Contains(err.Error(), "535"); refused == want || err != nil && !refused {
			t.Errorf("%s: %v; may log in: %v", password, err, want)
		}
	}
	may(password, true)
	may(password, true)
	p.setting(first, second)
	p.run("reload")
	may(password, false)
	may("battery staple", true)
	p.setting(second, strings.Replace(first, `"app"`, `"other"`, 1))
	p.run("reload")
	may("battery staple", false)
}
