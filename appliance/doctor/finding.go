package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"github.com/waxwing-mail/waxwing/appliance"
)

func ok(name, format string, args ...any) appliance.Finding {
	return appliance.Finding{Name: name, Status: appliance.FoundOK, Text: fmt.Sprintf(format, args...)}
}

func skipped(name, format string, args ...any) appliance.Finding {
	return appliance.Finding{Name: name, Status: appliance.FoundSkipped, Text: fmt.Sprintf(format, args...)}
}

func warn(name, text, fix string) appliance.Finding {
	return appliance.Finding{Name: name, Status: appliance.FoundWarn, Text: text, Fix: fix}
}

func fail(name, text, fix string) appliance.Finding {
	return appliance.Finding{Name: name, Status: appliance.FoundFail, Text: text, Fix: fix}
}

// about says whose record findings are about, and which.
func about(domain, record string, all []appliance.Finding) []appliance.Finding {
	for i := range all {
		all[i].Domain, all[i].Record = domain, record
	}
	return all
}

// one is an examination with a single finding.
func one(name string, f func(ctx context.Context, name string) appliance.Finding) appliance.Examination {
	return appliance.Examination{Name: name, Run: func(ctx context.Context) []appliance.Finding {
		return []appliance.Finding{f(ctx, name)}
	}}
}

// each looks at several things at the same time, and keeps their order.
func each[T any](things []T, look func(T) []appliance.Finding) []appliance.Finding {
	found := make([][]appliance.Finding, len(things))
	var all sync.WaitGroup
	for i, thing := range things {
		all.Go(func() { found[i] = look(thing) })
	}
	all.Wait()
	return slices.Concat(found...)
}

// isNotFound says whether the DNS has answered that there is none.
func isNotFound(err error) bool {
	e, ok := errors.AsType[*net.DNSError](err)
	return ok && e.IsNotFound
}

// unknown is that the DNS has not answered.
func unknown(name string, err error) appliance.Finding {
	return skipped(name, "the DNS does not say: %v", err)
}

// worst says whether a is worse than b.
func worst(a, b appliance.Standing) bool {
	f := appliance.Finding{Status: b, Parts: []appliance.Finding{{Status: a}}}
	return f.Worst() != b
}
