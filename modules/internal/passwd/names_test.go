package passwd_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/passwd"
)

// TestA9Names: a name is looked up and never interpreted, whatever other
// programs would take it for; the error says no more than for any other.
func TestA9Names(t *testing.T) {
	t.Setenv("USER_NAME", "app")
	table := passwd.NewTable("mail.example.com", []passwd.Entry{{Name: "app", Verifier: &counter{password: "right"}}})
	for _, user := range []string{
		"*", "a*", "*)(uid=*", "app)(|(uid=*", "' OR 1=1 --", `app"; --`, "ap%", "a_p", "a.p", "^app$", "app|x",
		"${env.USER_NAME}", "$USER_NAME", "`echo app`", "$(echo app)", "../app", "./app", "../../etc/passwd", "app/../app",
		"app\x00", "app\x00@mail.example.com", "app\r\n", "\x1b[31mapp", "аpp", "ａｐｐ", "app\u200b", strings.Repeat("app", 1000),
	} {
		t.Run(user[:min(len(user), 30)], func(t *testing.T) {
			got, err := table.Login(t.Context(), user, appliance.NewSecret("right"))
			if got != "" || !errors.Is(err, appliance.ErrCredentials) || strings.Contains(err.Error(), user) {
				t.Errorf("is %q, %v", got, err)
			}
		})
	}
}
