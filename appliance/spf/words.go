package spf

import (
	"errors"
	"fmt"
	"strings"

	lib "blitiri.com.ar/go/spf"
)

// explain puts the result into words: the record, the value, the place, and
// what to write.
func (e *evaluation) explain(res *Result, err error) {
	ip := e.IP.String()
	switch res.Result {
	case Pass:
		if res.All > MaxLookups {
			res.Problem = fmt.Sprintf("the record of %s needs %d look-ups where 10 are allowed: it passes here because it matches early, and not for every address", e.domain, res.All)
			res.Fix = "remove includes of services that no longer send your mail, or write their networks as ip4: and ip6:"
		}
	case None:
		e.explainNone(res)
	case Fail:
		res.Problem = fmt.Sprintf("the record of %s says that %s may not send: %s", e.domain, ip, decided(res))
		res.Fix = e.allow(res)
	case SoftFail:
		res.Problem = fmt.Sprintf("the record of %s says that %s probably may not send: %s", e.domain, ip, decided(res))
		res.Fix = e.allow(res)
	case Neutral:
		res.Problem = fmt.Sprintf("the record of %s says nothing of %s: %s", e.domain, ip, decided(res))
		res.Fix = e.allow(res)
	case TempError:
		res.Problem = fmt.Sprintf("the DNS did not answer (%s): %v", e.memo.failed, err)
	case PermError:
		res.Problem, res.Fix = e.explainPermanent(res, err)
	}
}

func (e *evaluation) explainNone(res *Result) {
	if !hasRecords(e.domain) {
		res.Problem = fmt.Sprintf("%q is no domain that can have an SPF record", e.domain)
		res.Fix = "use the name of a domain, such as mail.example.com"
		return
	}
	res.Problem = "there is no SPF record at " + e.domain
	res.Fix = fmt.Sprintf(`publish at %s, type TXT: v=spf1 %s ~all`, e.domain, addressTerm(e.IP))
}

// decided names the term that decided.
func decided(res *Result) string {
	switch {
	case res.Mechanism == "":
		return "no term of it matches the address"
	case res.At != "" && res.At != res.Domain:
		return fmt.Sprintf("%s in the record of %s decides", res.Mechanism, res.At)
	}
	return res.Mechanism + " decides"
}

// allow is the record with the address in it: first, where nothing else can
// decide before it, and where it costs no look-up.
func (e *evaluation) allow(res *Result) string {
	version, rest, _ := strings.Cut(res.Record, " ")
	with := strings.TrimSpace(version + " " + addressTerm(e.IP) + " " + rest)
	return fmt.Sprintf("change the TXT record of %s to: %s", e.domain, with)
}

// explainPermanent says why a record cannot be used.
func (e *evaluation) explainPermanent(res *Result, err error) (problem, fix string) {
	if mistake, ok := errors.AsType[*syntaxError](err); ok {
		return fmt.Sprintf("receivers cannot use the record of %s: %v", e.domain, mistake), howToWrite
	}
	where := ""
	if res.Mechanism != "" {
		where = fmt.Sprintf(" (%s in the record of %s)", res.Mechanism, res.At)
	}
	switch {
	case errors.Is(err, lib.ErrLookupLimitReached):
		return fmt.Sprintf("the record of %s needs %d look-ups, and receivers give up after 10%s", e.domain, max(res.All, MaxLookups+1), where),
			"remove includes of services that no longer send your mail, or write their networks as ip4: and ip6:"
	case errors.Is(err, lib.ErrVoidLookupLimitReached):
		return fmt.Sprintf("the record of %s names things that do not exist, and receivers give up after two of them", e.domain),
			"remove the terms whose names have no records"
	case errors.Is(err, lib.ErrMultipleRecords):
		return fmt.Sprintf("%s, or a domain whose record it includes, has more than one SPF record, and receivers take none of them", e.domain),
			"make one record of them: one v=spf1, all the terms, one all at the end"
	case errors.Is(err, lib.ErrNoResult):
		return fmt.Sprintf("the record of %s names a domain that has no SPF record%s", e.domain, where),
			"remove the include or redirect, or ask its owner for the right name"
	}
	return fmt.Sprintf("the record of %s cannot be read: %v%s: %s", e.domain, err, where, res.Record),
		howToWrite
}

const howToWrite = "mend that term; a record is v=spf1, then terms such as ip4:203.0.113.7 or include:_spf.example.net, then ~all"
