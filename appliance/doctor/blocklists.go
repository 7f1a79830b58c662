package doctor

import "github.com/waxwing-mail/waxwing/appliance"

// reputation is about what others say of the addresses.
func (s *Subject) reputation() Group {
	return Group{Name: "reputation", Examinations: []appliance.Examination{}}
}
