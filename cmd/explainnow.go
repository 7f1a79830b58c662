package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

// explainNowTime bounds the questions to the running server.
const explainNowTime = 5 * time.Second

// explainNow asks the running server how the destination of a message does.
// That there is none is an answer, too.
func (p *program) explainNow(ctx context.Context, x *appliance.Explanation) []explained {
	ctx, cancel := context.WithTimeout(ctx, explainNowTime)
	defer cancel()
	now := func(text string) explained { return explained{Topic: "now", Text: text, Server: true} }
	client, err := p.client()
	if err != nil {
		return []explained{now("cannot be asked: " + err.Error())}
	}
	suspensions, err := client.Suspensions(ctx)
	if errors.Is(err, admin.ErrUnreachable) {
		return []explained{now("does not answer: whether the mail would have to wait is not known")}
	}
	var sites admin.SitePage
	if err == nil {
		sites, err = client.Sites(ctx)
	}
	if err != nil {
		return []explained{now("does not say: " + err.Error())}
	}
	var all []explained
	for _, s := range suspensions.Suspensions {
		if concerns(s.Name, x) {
			all = append(all, now(suspensionWords(s)))
		}
	}
	if text, known := siteWords(x, sites.Sites); known || len(all) == 0 {
		all = append(all, now(text))
	}
	return all
}

// concerns says whether a suspension of this name is one of the destination.
func concerns(name string, x *appliance.Explanation) bool {
	return slices.ContainsFunc([]string{x.Destination, x.Site}, func(whole string) bool {
		_, hop, _ := strings.Cut(whole, "/")
		return whole != "" && (strings.EqualFold(name, whole) || strings.EqualFold(name, hop))
	})
}

func suspensionWords(s appliance.Suspension) string {
	text := s.Name + " is suspended since " + clock(s.Since)
	if s.Until.IsZero() {
		text += " until it is resumed"
	} else {
		text += " until " + clock(s.Until)
	}
	if s.Reason != "" {
		text += ": " + s.Reason
	}
	return text
}

// siteWords says how the site of a message does. The queue knows those that it
// has something to deliver to.
func siteWords(x *appliance.Explanation, all []appliance.SiteState) (text string, known bool) {
	i := slices.IndexFunc(all, func(s appliance.SiteState) bool { return s.Name == x.Site || s.Name == x.Destination })
	if i < 0 {
		return "nothing is being delivered there, and nothing is known against it", false
	}
	s := all[i]
	text = fmt.Sprintf("%s gets %d of %s at a time, %d under way", s.Name, s.Limit, number(s.Connections, "delivery", "deliveries"), s.InFlight)
	if s.Rate != "" {
		text += ", " + s.Rate
	}
	if state := siteState(&s, time.Now()); !s.Suspended && !s.Down.IsZero() {
		text += "; left alone until " + clock(s.Down)
	} else if state != siteWell {
		text += "; " + state
	}
	if s.Because != "" {
		text += ", because: " + s.Because
	}
	return text, true
}
