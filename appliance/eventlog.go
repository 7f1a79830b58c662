package appliance

import (
	"slices"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// eventLog writes a line for each event: among them the one final line that
// every recipient ends with.
type eventLog struct {
	log    *zap.Logger
	redact bool // leave out the local part of addresses
}

func newEventLog(log *zap.Logger, s LogSettings) *eventLog {
	return &eventLog{log.Named("mail"), slices.Contains(s.Redact, "address")}
}

// Emit implements EventSink.
func (l *eventLog) Emit(e Event) {
	ce := l.log.Check(levelOf(e), string(e.Kind))
	if ce == nil {
		return
	}
	f := fields{}
	f.text("id", string(e.ID))
	f.text("session", e.Session)
	f.text("pipeline", e.Pipeline)
	f.text("listener", e.Listener)
	f.text("user", e.User)
	f.text("client", e.Client)
	if e.Kind != EventAuthFailed && e.Kind != EventBanned {
		f = append(f, zap.String("from", l.path(e.From)))
	}
	if !e.To.IsNull() {
		f = append(f, zap.String("to", l.path(e.To)))
	}
	f.number("recipients", int64(e.Recipients))
	f.number("size", e.Size)
	if len(e.SignedBy) > 0 {
		f = append(f, zap.Strings("signed_by", e.SignedBy))
	}
	f.text("relay", e.Relay)
	f.text("host", e.Host)
	f.text("peer", e.Peer)
	f.text("tls", e.TLS)
	f.text("class", string(e.Class))
	f.number("attempt", int64(e.Attempt))
	if e.Age > 0 {
		f = append(f, zap.Duration("age", e.Age.Round(time.Millisecond)))
	}
	if !e.Next.IsZero() {
		f = append(f, zap.Time("next", e.Next))
	}
	if e.Reply != nil {
		f.text("reply", e.Reply.String())
		if e.Reply.Err != nil {
			f.text("cause", e.Reply.Err.Error())
		}
	}
	ce.Write(f...)
}

// levelOf makes what an administrator should look at stand out.
func levelOf(e Event) zapcore.Level {
	switch {
	case e.Kind == EventBounced, e.Kind == EventHeld, e.Kind == EventUnaligned, e.Kind == EventAuthFailed, e.Kind == EventBanned:
		return zapcore.WarnLevel
	case e.Kind == EventRefused && e.Reply != nil && e.Reply.Temporary() && e.Reply.Err != nil:
		return zapcore.WarnLevel // our own fault
	}
	return zapcore.InfoLevel
}

func (l *eventLog) path(m Mailbox) string {
	if l.redact && !m.IsNull() {
		return "<…@" + m.Domain + ">"
	}
	return m.Path()
}

type fields []zap.Field

func (f *fields) text(key, value string) {
	if value != "" {
		*f = append(*f, zap.String(key, value))
	}
}

func (f *fields) number(key string, value int64) {
	if value != 0 {
		*f = append(*f, zap.Int64(key, value))
	}
}
