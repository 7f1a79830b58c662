package doctor

import (
	"fmt"

	"github.com/waxwing-mail/waxwing/appliance"
)

// lived puts what was found of the record of a key, as if the key signed, into
// the words of its state: a next key does not sign yet, an old one no more.
func lived(f appliance.Finding, record string, state appliance.KeyState) appliance.Finding {
	found := f.Status == appliance.FoundOK
	switch {
	case state == appliance.KeyNext && found:
		f.Text = record + " holds the next key, which signs when all name servers have shown it for an hour"
	case state == appliance.KeyNext:
		return skipped(f.Name, `the next key does not sign before all name servers show its record at %s; "waxwing dkim list" says what it waits for`, record)
	case state == appliance.KeyOld && found:
		f.Text = record + " holds the key before, for mail that is on its way"
	case state == appliance.KeyOld && f.Status == appliance.FoundFail:
		f.Status = appliance.FoundWarn
		f.Text = fmt.Sprintf("the key before, at %s, cannot be used any more: mail that it has signed and is on its way counts as not signed", record)
	}
	return f
}
