package cmd

import (
	"io"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/waxwing-mail/waxwing/appliance"
)

// logger is the log of a server; its level can change while it runs.
type logger struct {
	*zap.Logger
	level zap.AtomicLevel
}

// newLogger writes to w: a line for people on a terminal, JSON otherwise, or
// what the settings say.
func newLogger(w io.Writer, s appliance.LogSettings) *logger {
	l := &logger{level: zap.NewAtomicLevel()}
	l.setLevel(s.Level)
	l.Logger = zap.New(newLogCore(w, s.Format, l.level))
	return l
}

func newLogCore(w io.Writer, format string, level zapcore.LevelEnabler) zapcore.Core {
	if format == "console" || format == "" && isTerminal(w) {
		return newConsoleCore(w, level)
	}
	e := zap.NewProductionEncoderConfig()
	e.TimeKey, e.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
	e.EncodeDuration = zapcore.StringDurationEncoder
	return zapcore.NewCore(zapcore.NewJSONEncoder(e), zapcore.Lock(zapcore.AddSync(jsonWriter{w})), level)
}

// setLevel takes a level that config has checked.
func (l *logger) setLevel(name string) {
	if level, err := zapcore.ParseLevel(name); err == nil {
		l.level.SetLevel(level)
	}
}
