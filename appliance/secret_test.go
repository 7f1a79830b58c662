package appliance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// TestSecretDoesNotPrint is P19: there is no way to print a Secret by mistake.
func TestSecretDoesNotPrint(t *testing.T) {
	const marker = "hunter2"
	type module struct {
		Password Secret `json:"password"`
		hidden   Secret
		All      []Secret
		ByName   map[string]Secret
		Pointer  *Secret
	}
	s := NewSecret(marker)
	m := module{s, s, []Secret{s}, map[string]Secret{"x": s}, &s}
	var out bytes.Buffer
	for _, v := range []any{s, &s, m, &m, []any{m}, fmt.Errorf("x %v", s)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p", "%t"} {
			fmt.Fprintf(&out, verb, v)
		}
		fmt.Fprintln(&out, v)
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
	}
	for _, e := range []zapcore.Encoder{zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.NewConsoleEncoder(zapcore.EncoderConfig{})} {
		log := zap.New(zapcore.NewCore(e, zapcore.AddSync(&out), zapcore.DebugLevel))
		log.Info("x", zap.Any("a", s), zap.Any("b", m), zap.Reflect("c", &m), zap.Stringer("d", s))
		log.Sugar().Infof("%v %+v", s, m)
	}
	printed := strings.ToLower(out.String())
	for _, form := range []string{marker, fmt.Sprintf("%x", marker)} {
		if strings.Contains(printed, form) {
			t.Errorf("printed as %q in\n%s", form, printed)
		}
	}
	if got := fmt.Sprintf("%#v", s); got != "(secret)" {
		t.Errorf("%%#v is %s", got)
	}
	if !strings.Contains(printed, "(secret)") || m.hidden.Reveal() != marker {
		t.Error("the test printed nothing")
	}
}

func TestSecret(t *testing.T) {
	var zero, set Secret
	if zero.IsSet() || zero.Reveal() != "" {
		t.Error("the zero Secret is set")
	}
	if err := set.UnmarshalText(nil); err != nil || !set.IsSet() || set.Reveal() != "" {
		t.Error("an empty secret is not set")
	}
	if err := set.UnmarshalText([]byte("a${b}\n")); err != nil || set.Reveal() != "a${b}\n" {
		t.Errorf("taken as %q", set.Reveal())
	}
}
