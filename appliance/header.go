package appliance

import (
	"io"
	"iter"
	"slices"
	"strings"
)

// A Header is a list of fields in wire order, kept byte for byte: what we did
// not add we do not change. The zero Header is empty.
type Header struct{ fields []Field }

// All ranges over the fields in wire order.
func (h *Header) All() iter.Seq[Field] { return slices.Values(h.fields) }

// Len is the length of the header in octets, without the empty line.
func (h *Header) Len() (n int) {
	for i := range h.fields {
		n += len(h.fields[i].Raw)
	}
	return n
}

// Get returns the value of the first field with the name, or "".
func (h *Header) Get(name string) string {
	for i := range h.fields {
		if strings.EqualFold(h.fields[i].Name, name) {
			return h.fields[i].Value()
		}
	}
	return ""
}

// Values returns the values of all fields with the name, in wire order.
func (h *Header) Values(name string) []string {
	var all []string
	for i := range h.fields {
		if strings.EqualFold(h.fields[i].Name, name) {
			all = append(all, h.fields[i].Value())
		}
	}
	return all
}

// Count says how many fields have the name.
func (h *Header) Count(name string) (n int) {
	for i := range h.fields {
		if strings.EqualFold(h.fields[i].Name, name) {
			n++
		}
	}
	return n
}

// Prepend puts f above all other fields, where trace fields and signatures
// belong (RFC 5321, section 4.4).
func (h *Header) Prepend(f Field) { h.fields = slices.Insert(h.fields, 0, f) }

// Append puts f below all other fields.
func (h *Header) Append(f Field) { h.fields = append(h.fields, f) }

// Remove removes the fields for which match is true and says how many.
func (h *Header) Remove(match func(Field) bool) int {
	n := len(h.fields)
	h.fields = slices.DeleteFunc(h.fields, match)
	return n - len(h.fields)
}

// Replace puts f where the first field of its name is, and says whether there
// was one.
func (h *Header) Replace(f Field) bool {
	for i := range h.fields {
		if strings.EqualFold(h.fields[i].Name, f.Name) {
			h.fields[i] = f
			return true
		}
	}
	return false
}

// Clone returns a copy whose list of fields is its own.
func (h *Header) Clone() Header { return Header{slices.Clone(h.fields)} }

// WriteTo writes all fields, without the empty line that ends a header.
func (h *Header) WriteTo(w io.Writer) (n int64, err error) {
	for i := range h.fields {
		k, err := w.Write(h.fields[i].Raw)
		n += int64(k)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Bytes is what WriteTo writes.
func (h *Header) Bytes() []byte {
	b := make([]byte, 0, h.Len())
	for i := range h.fields {
		b = append(b, h.fields[i].Raw...)
	}
	return b
}
