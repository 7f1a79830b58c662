package smtpserver

import "github.com/waxwing-mail/waxwing/appliance"

// Why REQUIRETLS is not taken.
var (
	// RFC 8689, section 2: the option is for sessions that are protected by TLS
	// themselves. The code is that of RFC 3207, section 4.
	errRequireTLSInClear = appliance.NewReply(530, 7, 0, "REQUIRETLS needs TLS from here on: issue STARTTLS first")
	// RFC 5321, section 4.1.1.11, for a parameter that cannot be implemented.
	errRequireTLS = appliance.NewReply(555, 5, 4,
		"REQUIRETLS is not offered here: this server could not assure TLS all the way; send the message without it")
)

// mayRequireTLS says why a message with REQUIRETLS is not taken in this session
// by p, or nil: the message has come over TLS, and every relay that it can go to
// sees to the rest.
func (s *session) mayRequireTLS(p *appliance.Pipeline) error {
	switch {
	case !p.HonoursRequireTLS(), s.info.TLS == nil && s.srv.tls == nil:
		return errRequireTLS
	case s.info.TLS == nil:
		return errRequireTLSInClear
	}
	return nil
}
