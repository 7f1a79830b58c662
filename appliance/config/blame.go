package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/waxwing-mail/waxwing/appliance"
)

// validate asks the instance whether its values make sense together.
func (d *decoder) validate(n *instance) {
	v, ok := n.target.(appliance.Validator)
	if !ok {
		return
	}
	for _, err := range flatten(v.Validate()) {
		d.failed = true
		d.add(blame(n, err, "is not valid"))
	}
}

// flatten takes joined errors apart.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, flatten(e)...)
		}
		return all
	}
	return []error{err}
}

// blame makes a finding of the error of an instance, at the attribute that an
// AttrError names.
func blame(n *instance, err error, what string) finding {
	f := finding{
		severity: SeverityError, where: n.header().span,
		summary: n.addr.String() + " " + what, detail: sentence(err.Error()),
	}
	a, ok := errors.AsType[*appliance.AttrError](err)
	if !ok {
		return f
	}
	f.summary, f.detail = fmt.Sprintf("%s: invalid %s", n.addr, a.Attr), strings.TrimSuffix(a.Error(), ".")+"."
	if where := locate(n.body, strings.Split(a.Attr, ".")); !where.isZero() {
		f.where, f.context = where, n.heading()
	}
	return f
}

// locate finds an attribute or block by its name, or by its way from the
// outside, such as user.app.password: attribute, block or label at each step.
func locate(body *hclsyntax.Body, path []string) span {
	if attr, ok := body.Attributes[path[0]]; ok {
		return spanOf(attr.Expr.Range())
	}
	var found span
	for _, b := range body.Blocks {
		if b.Type != path[0] {
			continue
		}
		rest, ok := cutLabels(path[1:], b.Labels)
		if !ok {
			if found.isZero() { // the labels may have been left out
				found = locate(b.Body, path[1:])
			}
			continue
		}
		if found.isZero() {
			found = spanOf(b.DefRange())
		}
		if len(rest) == 0 {
			return found
		}
		if inner := locate(b.Body, rest); !inner.isZero() {
			return inner
		}
	}
	return found
}

// cutLabels takes the labels of a block off a path, if the path names them. A
// label with dots in it, such as an address, is several steps.
func cutLabels(path, labels []string) (rest []string, ok bool) {
	for _, l := range labels {
		if len(path) == 0 {
			return nil, true
		}
		steps := strings.Split(l, ".")
		if len(path) < len(steps) || !slices.Equal(path[:len(steps)], steps) {
			return nil, false
		}
		path = path[len(steps):]
	}
	return path, true
}
