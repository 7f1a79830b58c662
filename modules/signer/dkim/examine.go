package dkim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

var _ appliance.Examiner = (*DKIM)(nil)

// lateTime is how long a key may wait for somebody to change the DNS before a
// check-up says so.
const lateTime = 3 * 24 * time.Hour

// Examinations implements appliance.Examiner. Whether the records of the keys
// are right is for who looks at all records; this is about keys that wait for
// a person.
func (d *DKIM) Examinations() []appliance.Examination {
	if len(d.stored()) == 0 {
		return nil
	}
	return []appliance.Examination{{Name: "life of DKIM keys", Run: func(context.Context) []appliance.Finding { return d.examine(time.Now()) }}}
}

func (d *DKIM) examine(now time.Time) []appliance.Finding {
	var all []appliance.Finding
	for _, domain := range d.stored() {
		keys := slices.DeleteFunc(d.SigningKeys(), func(k appliance.SigningKey) bool { return k.Domain != domain })
		late := lateKeys(keys, now)
		if len(late) == 0 {
			late = []appliance.Finding{{Status: appliance.FoundOK, Text: describeKeys(keys)}}
		}
		for i := range late {
			late[i].Name, late[i].Domain = "life of the DKIM keys of "+domain, domain
		}
		all = append(all, late...)
	}
	return all
}

// lateKeys are those that have waited for the DNS for too long.
func lateKeys(keys []appliance.SigningKey, now time.Time) []appliance.Finding {
	var all []appliance.Finding
	for i := range keys {
		k := &keys[i]
		f := appliance.Finding{Status: appliance.FoundWarn, Text: fmt.Sprintf("%s is %s since %s and waits for %s", k.Selector, k.State, moment(k.Since), k.Waits)}
		switch {
		case now.Sub(k.Since) < lateTime:
			continue
		case k.State == appliance.KeyNext:
			f.Fix = fmt.Sprintf("publish its record at every name server, or give the key up with \"waxwing dkim retire %s %s\":\n%s", k.Domain, k.Selector, k.Record.Zone())
		case k.State == appliance.KeyRetired:
			f.Fix = "delete this record from the DNS: " + k.Record.Name
		default:
			continue
		}
		all = append(all, f)
	}
	return all
}

// describeKeys says which keys there are: "waxwing-20261124 is current, waxwing is old".
func describeKeys(keys []appliance.SigningKey) string {
	text := ""
	for i := range keys {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%s is %s", keys[i].Selector, keys[i].State)
	}
	return text
}
