package appliance

// A Secret is a string that does not print: not with fmt, not in JSON, not in
// a log. Reveal is the only way to it, which makes every use easy to find.
//
// The pointer is there for fmt, which calls no methods on unexported fields
// and would print a plain string.
type Secret struct{ p *string }

// NewSecret wraps v.
func NewSecret(v string) Secret { return Secret{&v} }

// Reveal returns the string. The zero Secret is "".
func (s Secret) Reveal() string {
	if s.p == nil {
		return ""
	}
	return *s.p
}

// IsSet says whether there is a secret, be it an empty one.
func (s Secret) IsSet() bool { return s.p != nil }

func (Secret) String() string { return "(secret)" }

// GoString keeps %#v from printing it.
func (Secret) GoString() string { return "(secret)" }

// MarshalText keeps encoders from printing it.
func (Secret) MarshalText() ([]byte, error) { return []byte("(secret)"), nil }

// UnmarshalText takes the secret from the configuration.
func (s *Secret) UnmarshalText(b []byte) error { *s = NewSecret(string(b)); return nil }
