package smtpserver

import (
	"bufio"
	"io"
	"strings"
	"testing"
)

// BenchmarkDataReader reads the content of a message that is in memory, as the
// pipeline does, with what is looked for in it: text, base64, and a text of
// which each line begins with a dot.
func BenchmarkDataReader(b *testing.B) {
	text := strings.Repeat("x", 62) + "\r\n"
	for _, c := range []struct{ name, line string }{
		{"text", text}, {"base64", strings.Repeat("QUJD", 19) + "\r\n"}, {"dots", "." + text},
	} {
		content := strings.Repeat(c.line, (64<<10)/len(c.line)) + ".\r\n"
		b.Run(c.name, func(b *testing.B) {
			src := strings.NewReader(content)
			r := bufio.NewReaderSize(src, readBuffer)
			p := make([]byte, 32<<10)
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				src.Reset(content)
				r.Reset(src)
				d := newDataReader(r)
				for {
					if _, err := d.Read(p); err == io.EOF {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkChecker looks at the octets of a chunk, which has no lines of its own.
func BenchmarkChecker(b *testing.B) {
	content := []byte(strings.Repeat(strings.Repeat("x", 62)+"\r\n", 1<<10))
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		var c checker
		if c.scan(content); c.fault != nil {
			b.Fatal(c.fault)
		}
	}
}
