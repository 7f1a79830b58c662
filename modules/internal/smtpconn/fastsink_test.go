package smtpconn

import (
	"bufio"
	"fmt"
	"net"
	"strings"
)

// fastSink takes every message, with PIPELINING and the extensions, until l is
// closed.
func fastSink(l net.Listener, extensions ...string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go sink(c, extensions)
	}
}

func sink(c net.Conn, extensions []string) {
	defer func() { _ = c.Close() }()
	r, w := bufio.NewReaderSize(c, 16<<10), bufio.NewWriter(c)
	say := func(s string) {
		_, _ = w.WriteString(s + "\r\n")
		if r.Buffered() == 0 {
			_ = w.Flush()
		}
	}
	say("220 sink.test")
	content := false
	for {
		b, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		switch line := string(b[:min(len(b), 4)]); {
		case content && line == ".\r\n":
			content = false
			say("250 ok")
		case content:
		case strings.HasPrefix(line, "EHLO"):
			say("250-sink.test")
			for _, x := range extensions {
				say("250-" + x)
			}
			say("250 PIPELINING")
		case strings.HasPrefix(line, "BDAT"):
			var n int
			if _, err := fmt.Sscanf(string(b), "BDAT %d LAST\r\n", &n); err != nil {
				return
			}
			if _, err := r.Discard(n); err != nil {
				return
			}
			say("250 ok")
		case strings.HasPrefix(line, "DATA"):
			content = true
			say("354 go")
		default:
			say("250 ok")
		}
	}
}
