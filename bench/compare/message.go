package compare

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/bench/peers"
)

// numberField is how a message is known again. Its value has eight digits.
const (
	numberField  = "X-Bench-Number: "
	numberDigits = 8
)

// A message is one that can be sent again under another number. No line of
// it begins with a dot, so that what is sent is what arrives.
type message struct {
	wire    []byte // with the final dot
	body    int    // where the body begins
	numbers []int  // where the number stands
}

// newMessage makes a message of size octets, or a line more.
func newMessage(size int) *message {
	zero := strings.Repeat("0", numberDigits)
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: <%s>\r\nTo: <%s>\r\nSubject: Measured\r\n", peers.Sender, peers.Recipient)
	fmt.Fprintf(&b, "Date: %s\r\n", time.Now().Format(time.RFC1123Z))
	fmt.Fprintf(&b, "Message-ID: <%s.%x@%s>\r\n", zero, time.Now().UnixNano(), peers.SenderDomain)
	fmt.Fprintf(&b, "%s%s\r\n", numberField, zero)
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n")
	m := &message{body: b.Len()}
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "%07d The waxwing is a bird of the north that eats berries in winter.\r\n", i)
	}
	b.WriteString(".\r\n")
	m.wire = b.Bytes()
	for _, before := range []string{"Message-ID: <", numberField} {
		m.numbers = append(m.numbers, bytes.Index(m.wire, []byte(before))+len(before))
	}
	return m
}

// clone is the same message for another client.
func (m *message) clone() *message {
	return &message{wire: bytes.Clone(m.wire), body: m.body, numbers: m.numbers}
}

// text is the body as it has to arrive.
func (m *message) text() []byte { return m.wire[m.body : len(m.wire)-len(".\r\n")] }

func (m *message) setNumber(n int) {
	digits := fmt.Sprintf("%0*d", numberDigits, n)
	for _, at := range m.numbers {
		copy(m.wire[at:], digits)
	}
}

// numberOf is the number of a message that has arrived.
func numberOf(header []byte) (int, bool) {
	_, rest, ok := bytes.Cut(header, []byte("\n"+numberField))
	if !ok || len(rest) < numberDigits {
		return 0, false
	}
	n, err := strconv.Atoi(string(rest[:numberDigits]))
	return n, err == nil
}
