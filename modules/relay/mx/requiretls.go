package mx

// HonoursRequireTLS implements [appliance.TLSAssurer]: what cannot be assured
// for a domain is returned, and what is handed on is so by the rule of the
// fallback.
func (m *MX) HonoursRequireTLS() bool { return m.Fallback.HonoursRequireTLS() }
