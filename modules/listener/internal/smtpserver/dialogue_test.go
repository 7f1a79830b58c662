package smtpserver

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// The dialogues in testdata are sorted by the listener they talk to.

func TestDialoguesExchanger(t *testing.T) {
	appliancetest.RunDialogues(t, "testdata/smtp/*.dlg", func(t *testing.T) *appliancetest.Dialogue {
		return start(t, small).dialogue()
	})
}

// clearOnly are the dialogues that are about plain text.
var clearOnly = []string{"A1_injection", "A2_starttls", "C4_tls", "message"}

// TestDialoguesExchangerTLS: a client has no other say because it is under TLS.
func TestDialoguesExchangerTLS(t *testing.T) {
	files, err := filepath.Glob("testdata/smtp/*.dlg")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d dialogues, %v", len(files), err)
	}
	for _, file := range files {
		if slices.Contains(clearOnly, strings.TrimSuffix(filepath.Base(file), ".dlg")) {
			continue
		}
		appliancetest.RunDialogues(t, file, func(t *testing.T) *appliancetest.Dialogue {
			return start(t, small, secured).dialogue()
		})
	}
}

func TestDialoguesSubmission(t *testing.T) {
	appliancetest.RunDialogues(t, "testdata/submission/*.dlg", func(t *testing.T) *appliancetest.Dialogue {
		return start(t, small, submission).dialogue()
	})
}

func TestDialoguesImplicitTLS(t *testing.T) {
	appliancetest.RunDialogues(t, "testdata/submissions/*.dlg", func(t *testing.T) *appliancetest.Dialogue {
		return start(t, small, implicit).dialogue()
	})
}

// small makes limits that a dialogue can reach.
func small(o *options) {
	o.set.MaxErrors = 100
	o.house = append(o.house, func(_ *appliancetest.House, h *appliance.House) {
		h.Limits.MaxMessageSize = 2000
		h.Limits.MaxRecipients = 3
	})
}
