package cmd

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
)

// consoleCore writes log entries as lines for people:
//
//	15:04:05.000 INFO  listener.public: listening  address=[::]:587
//
// A value that is not one word is quoted, and nothing that came from outside
// can move the cursor or begin a line.
type consoleCore struct {
	zapcore.LevelEnabler
	out    zapcore.WriteSyncer
	colour bool
	fields []zapcore.Field
}

var _ zapcore.Core = (*consoleCore)(nil)

func newConsoleCore(w io.Writer, level zapcore.LevelEnabler) *consoleCore {
	return &consoleCore{LevelEnabler: level, out: zapcore.Lock(zapcore.AddSync(w)), colour: inColour(w)}
}

// With implements zapcore.Core.
func (c *consoleCore) With(fields []zapcore.Field) zapcore.Core {
	clone := *c
	clone.fields = slices.Concat(c.fields, fields)
	return &clone
}

// Check implements zapcore.Core.
func (c *consoleCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

// Write implements zapcore.Core.
func (c *consoleCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s ", e.Time.Format("15:04:05.000"), c.level(e.Level))
	if e.LoggerName != "" {
		b.WriteString(printable(e.LoggerName) + ": ")
	}
	b.WriteString(printable(e.Message))
	separator := "  "
	for _, f := range slices.Concat(c.fields, fields) {
		m := zapcore.NewMapObjectEncoder()
		f.AddTo(m)
		for _, key := range slices.Sorted(maps.Keys(m.Fields)) {
			if key != f.Key && strings.HasSuffix(key, "Verbose") {
				continue // what zap adds to some errors
			}
			b.WriteString(separator + printable(key) + "=" + consoleValue(m.Fields[key]))
			separator = " "
		}
	}
	_, err := io.WriteString(c.out, b.String()+"\n")
	return err
}

// Sync implements zapcore.Core.
func (c *consoleCore) Sync() error { return c.out.Sync() }

// levelColours are the codes of ECMA-48, section 8.3.117.
var levelColours = map[zapcore.Level]int{
	zapcore.DebugLevel: 35, zapcore.InfoLevel: 34, zapcore.WarnLevel: 33,
}

const colourRed = 31 // error and worse

func (c *consoleCore) level(l zapcore.Level) string {
	text := fmt.Sprintf("%-5s", l.CapitalString())
	if !c.colour {
		return text
	}
	code, ok := levelColours[l]
	if !ok {
		code = colourRed
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", code, text)
}

// consoleValue writes the value of a field.
func consoleValue(v any) string {
	switch v := v.(type) {
	case time.Time:
		return v.Format(time.RFC3339)
	case []any:
		if len(v) == 0 {
			return "none"
		}
		var all []string
		for _, e := range v {
			all = append(all, consoleValue(e))
		}
		return strings.Join(all, ",")
	}
	text := fmt.Sprint(v)
	switch {
	case text != "" && !needsEscapes(text) && !strings.ContainsAny(text, " =,"):
		return text
	case needsEscapes(text) && !needsEscapes(strings.ReplaceAll(text, `"`, "")) && !strings.Contains(text, "`"):
		return "`" + text + "`" // only for its quotes
	}
	return strconv.Quote(text)
}

func needsEscapes(text string) bool { return strconv.Quote(text) != `"`+text+`"` }
