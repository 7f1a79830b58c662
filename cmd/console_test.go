package cmd

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestConsole is the log as people see it.
func TestConsole(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fields []zap.Field
		want   string
	}{
		{"alone", nil, ""},
		{"words", []zap.Field{zap.String("address", "[::]:587"), zap.Int("n", 3)}, "  address=[::]:587 n=3"},
		{"in the order given", []zap.Field{zap.Int("b", 1), zap.Int("a", 2)}, "  b=1 a=2"},
		{"text", []zap.Field{zap.String("value", "v=DKIM1; k=rsa"), zap.String("nothing", "")}, `  value="v=DKIM1; k=rsa" nothing=""`},
		{"a whole time", []zap.Field{zap.Time("not_after", time.Date(2027, 11, 23, 16, 48, 3, 0, time.UTC))}, "  not_after=2027-11-23T16:48:03Z"},
		{"duration", []zap.Field{zap.Duration("within", 30*time.Second)}, "  within=30s"},
		{"lists", []zap.Field{zap.Strings("names", []string{"a", "b c"}), zap.Strings("checks", nil)}, `  names=a,"b c" checks=none`},
		{"error", []zap.Field{zap.Error(errors.New("it broke"))}, `  error="it broke"`},
		{"quotes", []zap.Field{zap.String("error", `unknown block "x"`), zap.String("both", "\"`")}, "  error=`unknown block \"x\"` both=" + `"\"` + "`" + `"`},
		{"a stranger's text", []zap.Field{zap.String("helo", "x\r\n12:00:00 ERROR \x1b[2J\u202e")}, `  helo="x\r\n12:00:00 ERROR \x1b[2J\u202e"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			log := newLogger(&out, appliance.LogSettings{Level: "info", Format: "console"})
			log.Debug("not this")
			log.Named("signer.own").Info("it happened", tt.fields...)
			clock, rest, _ := strings.Cut(out.String(), " ")
			if _, err := time.Parse("15:04:05.000", clock); err != nil {
				t.Error(err)
			}
			if want := "INFO  signer.own: it happened" + tt.want + "\n"; rest != want {
				t.Errorf("got\n%q, want\n%q", rest, want)
			}
		})
	}
}

// TestConsoleWith keeps what was given to the logger before.
func TestConsoleWith(t *testing.T) {
	var out bytes.Buffer
	log := newLogger(&out, appliance.LogSettings{Level: "warn", Format: "console"})
	one := log.With(zap.String("id", "1"))
	_ = log.With(zap.String("id", "2"))
	one.Error("bad\nthing", zap.String("user", "app"))
	if got := out.String(); !strings.HasSuffix(got, "ERROR bad·thing  id=1 user=app\n") {
		t.Errorf("got %q", got)
	}
}
