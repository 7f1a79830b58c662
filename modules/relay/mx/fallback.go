package mx

import "github.com/waxwing-mail/waxwing/appliance"

var _ appliance.FallbackRelay = (*MX)(nil)

// Instead implements appliance.FallbackRelay.
func (m *MX) Instead(attempt int, r *appliance.Result) (appliance.Ref[appliance.Relay], bool) {
	return m.Fallback.Instead(attempt, r)
}
