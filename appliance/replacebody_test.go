package appliance

import (
	"errors"
	"io"
	"testing"
)

// TestReplaceBodyLate: once the signers have their turn the body is what it is.
func TestReplaceBodyLate(t *testing.T) {
	tx := &Transaction{Message: Message{Body: BytesBody("\r\nx\r\n")}}
	err := tx.ReplaceBody(t.Context(), func(w io.Writer) error { t.Error("asked to write"); return nil })
	if !errors.Is(err, errLateBody) || tx.Message.Body.Size() != 5 {
		t.Errorf("%v", err)
	}
}

func TestHeaderReplace(t *testing.T) {
	h, err := ParseHeader([]byte("A: 1\r\nb: 2\r\nB: 3\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !h.Replace(NewField("B", "4")) || string(h.Bytes()) != "A: 1\r\nB: 4\r\nB: 3\r\n" {
		t.Errorf("%q", h.Bytes())
	}
	if h.Replace(NewField("C", "5")) || h.Count("C") != 0 {
		t.Error("a field that was not there is replaced")
	}
}
