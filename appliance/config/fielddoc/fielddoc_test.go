package fielddoc

import (
	"reflect"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/config"
)

type shared struct {
	// From a struct that
	// others embed.
	Address string
	Silent  string
}

func TestExtract(t *testing.T) {
	tree := &Tree{Module: "github.com/waxwing-mail/waxwing", Dir: "../../.."}
	// Structs of test files are no part of the manual: the pipeline is.
	texts, err := tree.Extract(config.DescribePipeline()...)
	if err != nil {
		t.Fatal(err)
	}
	pipeline := texts[keyOf(reflect.TypeFor[appliance.Pipeline]())]
	if got := pipeline["Relay"]; got != "Where mail goes when no route matches." {
		t.Errorf("relay: %q", got)
	}
	route := texts[keyOf(reflect.TypeFor[appliance.Route]())]
	if got := route["Reject"]; !strings.HasPrefix(got, "Or the reply that refuses them") {
		t.Errorf("reject: %q", got)
	}
	if len(texts) != 2 {
		t.Errorf("%d structs", len(texts))
	}
}

func TestExtractErrors(t *testing.T) {
	tree := &Tree{Module: "github.com/waxwing-mail/waxwing", Dir: "../../.."}
	owner := reflect.TypeFor[shared]()
	for want, a := range map[string]config.Attribute{
		"Silent has no comment":              {Name: "silent", Owner: owner, Field: "Silent"},
		"reflect.Value is not declared":      {Name: "x", Owner: reflect.TypeFor[reflect.Value]()},
		"appliance.Route.Relays has no comm": {Name: "relays", Owner: reflect.TypeFor[appliance.Route](), Field: "Relays"},
	} {
		if _, err := tree.Extract(a); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	if _, err := (&Tree{Module: "github.com/waxwing-mail/waxwing", Dir: t.TempDir()}).Extract(config.DescribePipeline()...); err == nil {
		t.Error("no source, and no error")
	}
}
