package appliance

import "context"

// A Standing is how something stands.
type Standing string

// What a Finding can say, from best to worst; skipped is none of them.
const (
	FoundOK      Standing = "ok"
	FoundSkipped Standing = "skipped" // could not be looked at, or need not be
	FoundWarn    Standing = "warn"    // mail goes out, and something will hurt it
	FoundFail    Standing = "fail"    // mail does not go out, or is refused or suspected by many
)

// A Finding is what a check-up says of one thing. Status is that of the thing
// itself; a group has those of its parts.
type Finding struct {
	Name   string   `json:"name"` // what was looked at: "SPF of example.com"
	Status Standing `json:"status"`
	Text   string   `json:"text"`             // what there is: it names the record, the value and the place
	Fix    string   `json:"fix,omitempty"`    // what to do, exactly; after a line feed what is to be copied; "" for ok and skipped
	Domain string   `json:"domain,omitempty"` // whose record it is, if it is one: "example.com"
	Record string   `json:"record,omitempty"` // which: "spf", "dkim", "dmarc", "mx", "ptr"

	Details []string  `json:"details,omitempty"` // how it came to that, line by line
	Parts   []Finding `json:"parts,omitempty"`
}

// worse orders the states.
var worse = map[Standing]int{FoundSkipped: 0, FoundOK: 1, FoundWarn: 2, FoundFail: 3}

// Worst is the worst state of the finding and all of its parts.
func (f *Finding) Worst() Standing {
	s := f.Status
	for i := range f.Parts {
		if part := f.Parts[i].Worst(); worse[part] > worse[s] {
			s = part
		}
	}
	return s
}

// An Examination looks at one thing, in the check-up of "waxwing doctor" and
// on the timer of the watch.
type Examination struct {
	Name string // what it looks at, unique in its group: "queue"
	// Run looks. It ends with ctx, changes nothing, and always has an answer:
	// what it cannot find out is skipped, and says why.
	Run func(ctx context.Context) []Finding
}

// An Examiner is a module that has something to look at in a check-up: what
// can be wrong outside of this program, such as the records that it needs. It
// is asked after Start.
type Examiner interface{ Examinations() []Examination }
