package dkim

import (
	"slices"

	"github.com/waxwing-mail/waxwing/appliance"
)

var _ appliance.SenderLister = (*DKIM)(nil)

// SenderDomains implements [appliance.SenderLister]: those that it signs for.
func (d *DKIM) SenderDomains() []string { return slices.Clone(d.plan.domains) }
