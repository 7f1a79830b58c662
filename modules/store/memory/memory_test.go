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

// R16: what is finished, and the report of an outcome that comes too late,
// leave nothing behind.
func TestRoomIsGivenBackR16(t *testing.T) {
	s := New()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	message := func(id appliance.QueueID) appliance.Accepted {
		d, err := s.Draft(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Write([]byte("\r\nbody\r\n")); err != nil {
			t.Fatal(err)
		}
		h, err := appliance.ParseHeader([]byte("Subject: x\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		to := appliance.Recipient{Mailbox: appliance.Mailbox{Local: "a", Domain: "example.net"}}
		return appliance.Accepted{ID: id, Header: h, Draft: d, Deliveries: []appliance.Delivery{
			{Destination: "mx/example.net", Recipients: []appliance.RecipientState{{Recipient: to}}},
		}}
	}
	if err := s.Commit(t.Context(), message("one")); err != nil {
		t.Fatal(err)
	}
	if want := int64(len("Subject: x\r\n\r\nbody\r\n")); s.used != want {
		t.Errorf("%d octets used by a message, want %d", s.used, want)
	}
	if n, err := s.Change(t.Context(), appliance.Filter{}, appliance.ChangeDrop); n != 1 || err != nil {
		t.Fatalf("dropped %d: %v", n, err)
	}
	late := appliance.Outcome{Key: appliance.DeliveryKey{ID: "one"}, Reports: []appliance.Accepted{message("report")}}
	if err := s.Settle(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	if s.used != 0 {
		t.Errorf("%d octets used by nothing", s.used)
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
