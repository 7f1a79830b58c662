package smtpconn

import "strings"

// maxTranscript bounds what is remembered of a conversation, in octets.
const maxTranscript = 8 << 10

// A transcript remembers a conversation for the debug log and for errors. Of
// a long one the middle is missing: how it began and how it ended matter.
// Passwords and content never get here.
type transcript struct {
	head []byte // the first half of the room
	tail []string
	size int // of tail
	cut  bool
}

func (t *transcript) client(line string) { t.add("C: ", line) }
func (t *transcript) server(line string) { t.add("S: ", line) }
func (t *transcript) note(line string)   { t.add("-- ", line) }

func (t *transcript) add(who, line string) {
	if len(t.tail) == 0 && !t.cut && len(t.head)+len(who)+len(line) < maxTranscript/2 {
		t.head = append(append(append(t.head, who...), line...), '\n')
		return
	}
	line = who + line + "\n"
	t.tail = append(t.tail, line)
	t.size += len(line)
	for t.size > maxTranscript/2 && len(t.tail) > 1 {
		t.size -= len(t.tail[0])
		t.tail = t.tail[1:]
		t.cut = true
	}
}

// reset forgets everything, so that a reused connection tells of one attempt.
func (t *transcript) reset() { *t = transcript{head: t.head[:0]} }

func (t *transcript) String() string {
	gap := ""
	if t.cut {
		gap = "-- …\n"
	}
	return string(t.head) + gap + strings.Join(t.tail, "")
}
