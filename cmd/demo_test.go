package cmd

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	_ "github.com/waxwing-mail/waxwing/modules/standard"
)

func TestDemoOnce(t *testing.T) {
	var out bytes.Buffer
	if err := runDemo(t.Context(), &out, true); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		"over STARTTLS (TLS 1.3) with AUTH PLAIN",
		"  Subject: Your first message\n",
		"  DKIM-Signature: ",
		"  Message-ID: <",
		"DKIM: the signature of waxwing.example verifies",
		`waxwing._domainkey.waxwing.example. IN TXT "v=DKIM1; k=rsa; p=`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

// The demo says that a signature verifies only if it does.
func TestDemoVerifies(t *testing.T) {
	d := &demo{out: new(bytes.Buffer), arrived: make(chan appliance.QueueID, 1), password: demoSecret()}
	if err := d.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer d.appliance.Stop(context.WithoutCancel(t.Context()))
	if err := d.send(); err != nil {
		t.Fatal(err)
	}
	id, err := d.next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	message, err := d.read(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.verify(message); err != nil {
		t.Errorf("as it arrived: %v", err)
	}
	for name, changed := range map[string][]byte{
		"another subject": bytes.Replace(message, []byte("first message"), []byte("worst message"), 1),
		"a second From":   append([]byte("From: <ceo@waxwing.example>\r\n"), message...),
		"no signature":    bytes.Replace(message, []byte("DKIM-Signature"), []byte("X-Signature"), 1),
	} {
		if err := d.verify(changed); err == nil {
			t.Errorf("%s: verified", name)
		}
	}
}
