package memory

import (
	"errors"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

func TestStore(t *testing.T) {
	appliancetest.RunStore(t, appliancetest.StoreCase{
		Open: func(t *testing.T) appliance.Store {
			s := New()
			if err := s.Provision(new(appliance.Context)); err != nil {
				t.Fatal(err)
			}
			return s
		},
	})
}

// R16: memory is bounded, and what is over leaves room again.
func TestMaxSizeR16(t *testing.T) {
	s := New()
	s.MaxSize = 1 << 20
	if err := errors.Join(s.Validate(), s.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	first, err := s.Draft(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Write([]byte("x")); !errors.Is(err, appliance.ErrFull) {
		t.Errorf("an octet too many: %v", err)
	}
	if _, err := s.Draft(t.Context()); !errors.Is(err, appliance.ErrFull) {
		t.Errorf("another draft: %v", err)
	}
	if err := first.Abort(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Draft(t.Context()); err != nil {
		t.Errorf("after Abort: %v", err)
	}
}

func TestValidate(t *testing.T) {
	s := New()
	s.MaxSize = 1000
	var blame *appliance.AttrError
	if err := s.Validate(); !errors.As(err, &blame) || blame.Attr != "max_size" {
		t.Errorf("max_size of 1000: %v", err)
	}
}
