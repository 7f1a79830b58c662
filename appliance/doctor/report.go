package doctor

import (
	"context"
	"fmt"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Report makes the check-up, or the part of it that words name: see [Select].
// The error is that one names nothing.
func (s *Subject) Report(ctx context.Context, words []string) (Report, error) {
	groups, err := Select(s.Groups(), words)
	if err != nil {
		return Report{}, err
	}
	r := Report{Time: s.Now(), Hostname: s.Settings.Hostname, Running: s.Healthy != nil, Groups: Run(ctx, groups)}
	r.Notes = s.notes()
	all := appliance.Finding{Status: appliance.FoundSkipped, Parts: r.Groups}
	r.Status = all.Worst()
	return r, nil
}

// notes say what a check-up leaves out.
func (s *Subject) notes() (all []string) {
	if s.Healthy == nil {
		all = append(all, "The server is not running: its keys, its certificates and its listeners cannot be looked at.")
	}
	if s.Settings.Mode == appliance.ModeCapture {
		all = append(all, fmt.Sprintf("No mail leaves (mode = %q): nobody outside is asked.", appliance.ModeCapture))
	}
	if s.Offline {
		all = append(all, "Nobody outside of this machine is asked (--offline).")
	}
	return all
}

// Count is how many findings there are of each standing. One that sums up its
// parts counts as one; of others with parts, the parts count.
func (r *Report) Count() map[appliance.Standing]int {
	n := make(map[appliance.Standing]int)
	var count func(all []appliance.Finding)
	count = func(all []appliance.Finding) {
		for i := range all {
			if len(all[i].Parts) > 0 && !SumsUp(&all[i]) {
				count(all[i].Parts)
				continue
			}
			n[all[i].Status]++
		}
	}
	for i := range r.Groups {
		count(r.Groups[i].Parts)
	}
	return n
}

// SumsUp says whether a finding says all there is to say of its parts: they ask
// nothing of anybody.
func SumsUp(f *appliance.Finding) bool {
	worst := f.Worst()
	return worst == appliance.FoundOK || worst == appliance.FoundSkipped
}
