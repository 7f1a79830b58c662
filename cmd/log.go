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
	e := zap.NewProductionEncoderConfig()
	e.TimeKey, e.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
	e.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(e)
	if s.Format == "console" || s.Format == "" && isTerminal(w) {
		e.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		e.EncodeLevel = zapcore.CapitalLevelEncoder
		if isTerminal(w) {
			e.EncodeLevel = zapcore.CapitalColorLevelEncoder
		}
		encoder = zapcore.NewConsoleEncoder(e)
	}
	l := &logger{level: zap.NewAtomicLevel()}
	l.setLevel(s.Level)
	l.Logger = zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), l.level))
	return l
}

// setLevel takes a level that config has checked.
func (l *logger) setLevel(name string) {
	if level, err := zapcore.ParseLevel(name); err == nil {
		l.level.SetLevel(level)
	}
}
