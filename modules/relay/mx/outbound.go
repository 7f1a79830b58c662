package mx

import (
	"cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

var _ appliance.OutboundRelay = (*MX)(nil)

// Outbound implements [appliance.OutboundRelay].
func (m *MX) Outbound() appliance.Outbound {
	o := appliance.Outbound{Families: m.families}
	for _, f := range m.families {
		for _, s := range m.sources[f] {
			o.Addresses = append(o.Addresses, s.addr)
			o.Names = append(o.Names, cmp.Or(s.name, m.hostname))
		}
	}
	return o
}
