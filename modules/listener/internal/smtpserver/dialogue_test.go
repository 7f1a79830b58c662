package smtpserver

import (
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
