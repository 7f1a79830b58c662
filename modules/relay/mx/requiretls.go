package mx

// HonoursRequireTLS implements [appliance.TLSAssurer]: what cannot be assured
// for a domain is returned, and the queue hands nothing of it to a fallback that
// cannot assure it.
func (*MX) HonoursRequireTLS() bool { return true }
