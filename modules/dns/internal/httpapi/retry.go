package httpapi

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"
)

const (
	maxTries   = 4
	retryAfter = time.Second // where the server does not say
)

// retry says whether a request may be sent once more, and after what time. A
// server that is too busy has done nothing (RFC 6585, section 4; RFC 9110,
// section 15.6.4); what became of a request that failed otherwise is not
// known, so that only those that change nothing are repeated.
func retry(method string, a *Answer, err error) (time.Duration, bool) {
	harmless := method == http.MethodGet
	if err != nil {
		_, network := errors.AsType[net.Error](err)
		return retryAfter, harmless && network
	}
	switch a.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return after(a.Header.Get("Retry-After")), true
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return retryAfter, harmless
	}
	return 0, false
}

// after reads Retry-After: seconds, or a date (RFC 9110, section 10.2.3).
func after(text string) time.Duration {
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		return max(time.Duration(n)*time.Second, retryAfter)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(time.Until(at), retryAfter)
	}
	return retryAfter
}

// pause waits, and says that there is still time afterwards. It does not
// begin to wait in vain.
func pause(ctx context.Context, wait time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= wait {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
