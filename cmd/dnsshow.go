package cmd

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance/records"
)

// commentWidth is that of comments in a zone file.
const commentWidth = 100

// writeRecordZone writes records as a zone file, in which what is not for its
// owner to write is a comment.
func writeRecordZone(w io.Writer, all []records.Record) error {
	var b strings.Builder
	domain := ""
	for i := range all {
		r := &all[i]
		if r.Domain != domain {
			if domain = r.Domain; i > 0 {
				b.WriteString("\n")
			}
			b.WriteString("; " + domain + "\n\n")
		}
		zoneLines(&b, r, i > 0 && sameWords(&all[i-1], r))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// sameWords says that there is nothing to say of a record that was not said of
// the one before.
func sameWords(before, r *records.Record) bool {
	return before.Kind == r.Kind && before.Domain == r.Domain && before.Why == r.Why && before.Note == r.Note
}

// zoneLines writes one record; told says that the words about it stand above.
func zoneLines(b *strings.Builder, r *records.Record, told bool) {
	if !told {
		for _, line := range wrap(printable(aboutRecord(r)), commentWidth) {
			b.WriteString("; " + line + "\n")
		}
	}
	switch {
	case r.Value == "":
	case r.By != "":
		b.WriteString(";" + r.Zone() + "\n")
	default:
		b.WriteString(r.Zone() + "\n")
	}
	for _, line := range wrap(printable(r.Next), commentWidth) {
		b.WriteString("; " + line + "\n")
	}
}

// aboutRecord is what a comment says.
func aboutRecord(r *records.Record) string {
	about := string(r.Kind) + ": " + r.Why + "."
	if r.By != "" {
		about += " It is written by " + r.By + "."
	}
	if r.Note != "" {
		about += " This is " + r.Note + "."
	}
	if !r.Needed {
		about += " Good to have."
	}
	return about
}

// printedWanted is a record and what it is made of.
type printedWanted struct {
	records.Record
	Strings []string `json:"strings,omitempty"` // of at most 255 octets each
	Line    string   `json:"zone,omitempty"`    // a line of a zone file
}

// printedList is what --format json writes.
type printedList struct {
	Records []printedWanted `json:"records"`
	Missing []string        `json:"missing"`
}

func printedOf(list records.List) printedList {
	out := printedList{make([]printedWanted, 0, len(list.Records)), list.Missing}
	for _, r := range list.Records {
		w := printedWanted{Record: r}
		if r.Value != "" {
			w.Strings, w.Line = r.Strings(), r.Zone()
		}
		out.Records = append(out.Records, w)
	}
	return out
}

// writeRecordTable writes what to type into which field of a form.
func writeRecordTable(w io.Writer, all []records.Record) error {
	var b strings.Builder
	zones := likelyZones(all)
	domain := ""
	for i := range all {
		r := &all[i]
		if r.Domain != domain {
			if domain = r.Domain; i > 0 {
				b.WriteString("\n")
			}
			b.WriteString(domain + "\n")
		}
		b.WriteString("\n")
		tableEntry(&b, r, zones)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

const (
	fieldIndent = "  "
	fieldColumn = 10 // where what to type begins, after the indent
)

func tableEntry(b *strings.Builder, r *records.Record, zones []string) {
	head := fieldIndent + r.Title()
	if !r.Needed {
		head += " (good to have)"
	}
	b.WriteString(printable(head) + "\n")
	prose := func(text string) {
		for _, line := range wrap(printable(text), sheetWidth-2*len(fieldIndent)) {
			b.WriteString(fieldIndent + fieldIndent + line + "\n")
		}
	}
	prose(sentenceOf(r.Why))
	if r.Note != "" {
		prose("This is " + r.Note + ".")
	}
	if r.By != "" {
		prose("It is written by " + r.By + ".")
	}
	for _, f := range fieldsOf(r, zones) {
		fmt.Fprintf(b, "%s%s%-*s%s\n", fieldIndent, fieldIndent, fieldColumn, f[0], printable(f[1]))
	}
	prose(r.Next)
}

// fieldsOf are the names of the fields and what to type into them, as one
// piece, however long: forms do not take line breaks.
func fieldsOf(r *records.Record, zones []string) [][2]string {
	all := [][2]string{{"Type", r.Type}, {"Name", r.Name + shortName(r.Name, zones)}}
	words := strings.Fields(r.Value)
	switch {
	case r.Value == "":
		return append(all, [2]string{"Value", "to be chosen"})
	case r.Type == "MX" && len(words) == 2:
		return append(all, [2]string{"Priority", words[0]}, [2]string{"Server", strings.TrimSuffix(words[1], ".")})
	case r.Type == "TLSA" && len(words) == 4:
		return append(all, [2]string{"Usage", words[0]}, [2]string{"Selector", words[1]}, [2]string{"Matching", words[2]}, [2]string{"Data", words[3]})
	case r.Type == "PTR":
		return [][2]string{{"Address", r.Addresses[0].String()}, {"Host name", strings.TrimSuffix(r.Value, ".")}}
	}
	return append(all, [2]string{"Value", r.Value})
}

// shortName is the name as forms want it that add the domain themselves.
func shortName(name string, zones []string) string {
	for _, zone := range zones {
		if name == zone {
			return "  (@, where the form adds " + zone + ")"
		}
		if short, ok := strings.CutSuffix(name, "."+zone); ok {
			return "  (" + short + ", where the form adds " + zone + ")"
		}
	}
	return ""
}

// likelyZones are the domains that mail is sent from, the shortest first: what
// is below one of them is most likely in its zone.
func likelyZones(all []records.Record) (zones []string) {
	for i := range all {
		if all[i].Kind == records.KindMX {
			zones = append(zones, all[i].Domain)
		}
	}
	slices.SortStableFunc(zones, func(a, b string) int { return len(a) - len(b) })
	return zones
}

// sentenceOf begins with a capital and ends with a full stop.
func sentenceOf(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}
