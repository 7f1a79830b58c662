package appliance

import (
	"math"
	"strings"
	"testing"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0":                   0,
		"1":                   1,
		"512B":                512,
		"64KiB":               64 << 10,
		"25MiB":               25 << 20,
		"25 MiB":              25 << 20,
		"1GiB":                1 << 30,
		"2TiB":                2 << 40,
		"1KB":                 1000,
		"25MB":                25_000_000,
		"1GB":                 1_000_000_000,
		"1TB":                 1_000_000_000_000,
		"8388607TiB":          8388607 << 40,
		"9223372036854775807": math.MaxInt64,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "B", "KiB", "-1", "-1KiB", "1.5GiB", "1kib", "1K", "1M", "1 GiB B", "MiB25", "0x10",
		"9223372036854775808", "8388608TiB", "9223372036854775807KiB", "1e3",
	} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q is %d, want an error", text, got)
		} else if !strings.Contains(err.Error(), `"64KiB"`) {
			t.Errorf("%q: %v does not say what to write", text, err)
		}
	}
}

func TestSizeString(t *testing.T) {
	for size, want := range map[Size]string{
		0: "0B", 1: "1B", 1000: "1000B", 1024: "1KiB", 1025: "1025B", 25 << 20: "25MiB",
		1 << 30: "1GiB", 3 << 39: "1536GiB", 1 << 40: "1TiB",
	} {
		if got := size.String(); got != want {
			t.Errorf("%d is written %q, want %q", int64(size), got, want)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"0", "64KiB", "25 MiB", "1GB", "9223372036854775807", "8388607TiB", "+1B"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := ParseSize(text)
		if err != nil {
			return
		}
		if n < 0 {
			t.Fatalf("%q is %d", text, n)
		}
		if again, err := ParseSize(n.String()); err != nil || again != n {
			t.Fatalf("%q is %d, written %q, read as %d, %v", text, n, n, again, err)
		}
	})
}

// TestDefaultSettings: the defaults make sense together.
func TestDefaultSettings(t *testing.T) {
	s := DefaultSettings()
	q, l := s.Queue, s.Limits
	switch {
	case s.Mode != ModeLive:
		t.Errorf("mode %q", s.Mode)
	case q.WarnAfter >= q.Lifetime:
		t.Errorf("warn_after %v, lifetime %v", q.WarnAfter, q.Lifetime)
	case q.DestinationConcurrency >= q.Concurrency:
		t.Errorf("destination_concurrency %d, concurrency %d", q.DestinationConcurrency, q.Concurrency)
	case l.MaxRecipients < 100: // RFC 5321, section 4.5.3.1.8
		t.Errorf("max_recipients %d", l.MaxRecipients)
	case l.MaxHeader >= l.MaxMessageSize:
		t.Errorf("max_header %v, max_message_size %v", l.MaxHeader, l.MaxMessageSize)
	case l.MaxConnectionsPerIP >= l.MaxConnections:
		t.Errorf("max_connections_per_ip %d, max_connections %d", l.MaxConnectionsPerIP, l.MaxConnections)
	}
}
