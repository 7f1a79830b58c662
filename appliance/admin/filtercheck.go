package admin

import (
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// checkFilter refuses what selects nothing, or everything, by mistake.
func checkFilter(f Filter) error {
	if len(f.IDs) > maxIDs {
		return badRequest("%d ids; at most %d can be named at a time", len(f.IDs), maxIDs)
	}
	if f.Sender != "<>" && !isMailboxFilter(f.Sender) {
		return badRequest(`sender is %q; write a mailbox, such as "app@example.com", "@" and a domain, or "<>" for the null reverse-path`, f.Sender)
	}
	if !isMailboxFilter(f.Recipient) {
		return badRequest(`recipient is %q; write a mailbox, such as "you@example.net", or "@" and a domain`, f.Recipient)
	}
	if f.Destination != "" && !strings.Contains(f.Destination, "/") {
		return badRequest(`destination is %q; write a relay and its next hop, such as "internet/example.net"`, f.Destination)
	}
	if f.Class != "" && !f.Class.IsValid() {
		return badRequest("there is no class %q; the classes are %s", f.Class, classNames())
	}
	return checkOlder(f.Older)
}

// checkOlder refuses no age as well: it would select everything, for a change
// that everything has to be asked for by name.
func checkOlder(text string) error {
	if text == "" {
		return nil
	}
	age, err := appliance.ParseDuration(text)
	if err != nil {
		return badRequest("older: %v", err)
	}
	if age <= 0 {
		return badRequest("older is %q, which is the whole queue: write a longer time, such as 2d", text)
	}
	return nil
}

// isMailboxFilter says whether text can be that of a mailbox, or "@" and a
// domain; "" selects nothing.
func isMailboxFilter(text string) bool {
	if text == "" {
		return true
	}
	if strings.HasPrefix(text, "@") {
		text = "postmaster" + text
	}
	_, err := appliance.ParseMailbox(strings.TrimSuffix(strings.TrimPrefix(text, "<"), ">"))
	return err == nil
}

func classNames() string {
	var all []string
	for _, c := range appliance.Classes() {
		all = append(all, string(c))
	}
	return strings.Join(all, ", ")
}
