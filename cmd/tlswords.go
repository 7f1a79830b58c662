package cmd

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// What a certificate is, in words for people.

// maxNames is how many names of a certificate fit into a line.
const maxNames = 3

func namesOf(names []string) string {
	switch {
	case len(names) == 0:
		return "(no name)"
	case len(names) > maxNames:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNames], ", "), len(names)-maxNames)
	}
	return strings.Join(names, ", ")
}

func orNone(values ...string) string { return cmp.Or(append(values, "-")...) }

// stateOf is the state of a certificate now, whatever it was when its keeper
// looked; it tells what was valid from what will be.
func stateOf(c *appliance.CertificateInfo, now time.Time) string {
	if c.State == appliance.CertificateExpired && now.Before(c.NotBefore) {
		return "not valid yet"
	}
	if !c.NotAfter.IsZero() && now.After(c.NotAfter) {
		return string(appliance.CertificateExpired)
	}
	return string(c.State)
}

// when is a time, and how far away it is: to the day if it is far.
func when(t, now time.Time) string {
	const day = 24 * time.Hour
	switch d := t.Sub(now); {
	case t.IsZero():
		return "-"
	case d >= 2*day:
		return fmt.Sprintf("%s, in %d days", t.Local().Format(time.DateOnly), d/day)
	case d <= -2*day:
		return fmt.Sprintf("%s, %d days ago", t.Local().Format(time.DateOnly), -d/day)
	case d < 0:
		return clock(t) + ", " + ago(-d)
	default:
		return clock(t) + ", " + ahead(d)
	}
}

// troubleOf is why the last attempt to get or to read a certificate failed,
// and when the next is made; "" if all is well. For the first certificate
// somebody may be waiting, and wants to know that something is being done.
func troubleOf(c *appliance.CertificateInfo, now time.Time) string {
	var parts []string
	if c.Error != "" {
		parts = append(parts, strings.ReplaceAll(c.Error, "\n", "; "))
	}
	if c.State == appliance.CertificatePending && c.Error == "" && c.NextTry.IsZero() {
		parts = append(parts, "the first attempt to get it is under way")
	}
	if !c.NextTry.IsZero() {
		parts = append(parts, "next try "+when(c.NextTry, now))
	}
	return strings.Join(parts, "; ")
}

// certificateLine is all that matters of a certificate in one line.
func certificateLine(c *appliance.CertificateInfo, now time.Time) string {
	line := namesOf(c.Names) + ": " + stateOf(c, now)
	switch {
	case c.NotAfter.IsZero():
	case now.After(c.NotAfter):
		line += " since " + when(c.NotAfter, now)
	case now.Before(c.NotBefore):
		line += ", from " + when(c.NotBefore, now)
	default:
		line += " until " + when(c.NotAfter, now)
	}
	if trouble := troubleOf(c, now); trouble != "" {
		line += "; " + trouble
	}
	return line
}

// alarmFor is the warning about a certificate that somebody should look
// after, or "".
func alarmFor(c *appliance.CertificateInfo, now time.Time) string {
	names := namesOf(c.Names)
	switch {
	case !c.Alarming(now):
		return ""
	case c.State == appliance.CertificatePending:
		return "there is no certificate for " + names + " yet"
	case now.Before(c.NotBefore):
		return "the certificate of " + names + " is not valid before " + when(c.NotBefore, now) + "; is the clock of this machine right?"
	case now.After(c.NotAfter):
		return "the certificate of " + names + " has expired: " + when(c.NotAfter, now)
	}
	return "the certificate of " + names + " expires soon: " + when(c.NotAfter, now)
}
