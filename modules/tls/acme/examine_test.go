package acme

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest/acmetest"
)

// TestExaminations: an authority that answers, one that does not, one that is
// none, and one that nobody vouches for.
func TestExaminations(t *testing.T) {
	ca := acmetest.Start(t, acmetest.Options{})
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/busy" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprint(w, "{}")
	}))
	defer other.Close()
	pem, err := os.ReadFile(ca.RootFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	trusted := roots.Clone()
	trusted.AddCert(other.Certificate())
	var a ACME
	a.plan.authorities = []authority{
		{source: "ours", directory: ca.Directory(), roots: roots},
		{source: "busy", directory: other.URL + "/busy", roots: trusted},
		{source: "none", directory: other.URL, roots: trusted},
		{source: "unknown", directory: other.URL, roots: roots},
		{source: "away", directory: "https://127.0.0.1:1/", roots: roots},
	}
	want := []string{"answers", "it answers 503 Service Unavailable", errNoDirectory.Error(), "certificate signed by unknown authority", "connection refused"}
	for i, x := range a.Examinations() {
		f := x.Run(t.Context())
		bad := i > 0
		if len(f) != 1 || x.Name != "authority "+a.plan.authorities[i].source || !strings.Contains(f[0].Text, want[i]) ||
			!strings.Contains(f[0].Text, a.plan.authorities[i].directory) || (f[0].Status == appliance.FoundWarn) != bad || (f[0].Fix != "") != bad {
			t.Errorf("%s: %+v", x.Name, f)
		}
	}
}
