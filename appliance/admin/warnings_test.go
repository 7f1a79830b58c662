package admin

import (
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// TestWarnings: what net/http has to say reaches the log, as a warning.
func TestWarnings(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	s := newServer(Options{Log: zap.New(core)})
	s.http.ErrorLog.Print("http: Accept error: too many open files")
	if all := logs.All(); len(all) != 1 || all[0].Level != zap.WarnLevel || all[0].Message != "http: Accept error: too many open files" {
		t.Errorf("logged %+v", all)
	}
}
