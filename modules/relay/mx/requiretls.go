package mx

// HonoursRequireTLS implements [appliance.TLSAssurer]: what cannot be assured
// for a domain is returned.
func (*MX) HonoursRequireTLS() bool { return true }
