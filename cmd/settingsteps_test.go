package cmd

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestSettingSteps: what changes at once is a step, and what needs a restart,
// also in part, a note.
func TestSettingSteps(t *testing.T) {
	old, next := appliance.DefaultSettings(), appliance.DefaultSettings()
	next.Hostname, next.DataDir, next.DNSSEC, next.Log.Format, next.Queue.Concurrency = "mx.example.com", "/other", true, "json", 7
	steps, notes := settingSteps(&old, &next)
	setting := func(name string) appliance.Step {
		return appliance.Step{Action: appliance.ActionChange, Addr: name, Type: "setting"}
	}
	if diff := cmp.Diff([]appliance.Step{setting("hostname"), setting("dnssec"), setting("queue.concurrency")}, steps); diff != "" {
		t.Error(diff)
	}
	want := []string{
		"the reports that senders get have the old hostname until the server is restarted",
		"data_dir takes effect when the server is restarted", "log.format takes effect when the server is restarted",
	}
	if diff := cmp.Diff(want, notes); diff != "" {
		t.Error(diff)
	}
	if steps, notes := settingSteps(&old, &old); steps != nil || notes != nil {
		t.Errorf("nothing changed: %v, %v", steps, notes)
	}
}
