package cloudflare

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/waxwing-mail/waxwing/modules/dns/internal/provider"
)

const token = "Sn3lZJTBX6kkg7OdcBUAxOO963GEIyGQqnFTOFYY"

// A fake is the part of Cloudflare's API, version 4, that the module uses, as
// its documentation describes it: envelopes, pages, filters, error codes.
type fake struct {
	URL string

	mu      sync.Mutex
	zones   map[string]string            // id to name
	records map[string]map[string]record // zone id, record id
	next    int
	calls   []string // "METHOD path"
}

func newFake(t *testing.T, zones ...string) *fake {
	t.Helper()
	f := &fake{zones: make(map[string]string), records: make(map[string]map[string]record)}
	for _, z := range zones {
		id := f.id()
		f.zones[id], f.records[id] = z, make(map[string]record)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /client/v4/zones", f.listZones)
	mux.HandleFunc("GET /client/v4/zones/{zone}/dns_records", f.list)
	mux.HandleFunc("POST /client/v4/zones/{zone}/dns_records", f.create)
	mux.HandleFunc("POST /client/v4/zones/{zone}/dns_records/batch", f.batch)
	mux.HandleFunc("DELETE /client/v4/zones/{zone}/dns_records/{record}", f.delete)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.calls = append(f.calls, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/client/v4"))
		switch id := strings.Split(r.URL.Path+"////", "/")[4]; {
		case !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer "):
			no(w, http.StatusBadRequest, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers")
		case r.Header.Get("Authorization") != "Bearer "+token:
			no(w, http.StatusForbidden, 9109, "Invalid access token "+r.Header.Get("Authorization"))
		case id != "" && f.zones[id] == "":
			no(w, http.StatusNotFound, 7003, "Could not route to /zones/"+id+", perhaps your object identifier is invalid?")
		default:
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	f.URL = s.URL + "/client/v4"
	return f
}

func (f *fake) id() string {
	f.next++
	return fmt.Sprintf("%032x", f.next)
}

func no(w http.ResponseWriter, status, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"success": false, "errors": []apiError{{code, message}}, "messages": []any{}, "result": nil,
	})
}

func yes(w http.ResponseWriter, result any, info map[string]int) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"success": true, "errors": []any{}, "messages": []any{}, "result": result, "result_info": info,
	})
}

func (f *fake) listZones(w http.ResponseWriter, r *http.Request) {
	found := []zone{}
	for _, id := range slices.Sorted(maps.Keys(f.zones)) {
		if f.zones[id] == r.FormValue("name") {
			found = append(found, zone{id, f.zones[id]})
		}
	}
	yes(w, found, map[string]int{"page": 1, "per_page": 20, "count": len(found), "total_count": len(found), "total_pages": 1})
}

func (f *fake) list(w http.ResponseWriter, r *http.Request) {
	all := f.records[r.PathValue("zone")]
	found := []record{}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		rec := all[id]
		if name := r.FormValue("name.exact"); name != "" && rec.Name != name {
			continue
		}
		if kind := r.FormValue("type"); kind != "" && rec.Type != kind {
			continue
		}
		found = append(found, rec)
	}
	per, _ := strconv.Atoi(r.FormValue("per_page"))
	page, _ := strconv.Atoi(r.FormValue("page"))
	total, from := len(found), min((page-1)*per, len(found))
	part := found[from:min(from+per, total)]
	yes(w, part, map[string]int{"page": page, "per_page": per, "count": len(part), "total_count": total, "total_pages": (total + per - 1) / per})
}

// add checks a record as Cloudflare does. The code is 0 if it is added.
func (f *fake) add(zoneID string, rec record) (added record, code int, message string) {
	switch {
	case rec.TTL != 1 && rec.TTL < 60:
		return rec, 9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic."
	case strings.HasSuffix(rec.Name, ".") || !strings.HasSuffix("."+rec.Name, "."+f.zones[zoneID]):
		return rec, 9000, "DNS name is invalid."
	}
	if rec.Type == "TXT" {
		if _, err := provider.Unquote(rec.Content); err != nil || rec.Content[0] != '"' {
			return rec, 9207, "Content for TXT record must consist of quoted strings."
		}
	}
	for _, have := range f.records[zoneID] {
		if have.Name == rec.Name && have.Type == rec.Type && have.Content == rec.Content {
			return rec, 81058, "An identical record already exists."
		}
		if have.Name == rec.Name && (have.Type == "CNAME") != (rec.Type == "CNAME") {
			return rec, 81053, "An A, AAAA, or CNAME record with that host already exists."
		}
	}
	rec.ID = f.id()
	f.records[zoneID][rec.ID] = rec
	return rec, 0, ""
}

func (f *fake) create(w http.ResponseWriter, r *http.Request) {
	var rec record
	if err := json.NewDecoder(r.Body).Decode(&rec); err != nil {
		no(w, http.StatusBadRequest, 9207, "Request body is invalid.")
		return
	}
	rec, code, message := f.add(r.PathValue("zone"), rec)
	if code != 0 {
		no(w, http.StatusBadRequest, code, message)
		return
	}
	yes(w, rec, nil)
}

func (f *fake) delete(w http.ResponseWriter, r *http.Request) {
	records, id := f.records[r.PathValue("zone")], r.PathValue("record")
	if _, ok := records[id]; !ok {
		no(w, http.StatusNotFound, 81044, "Record does not exist.")
		return
	}
	delete(records, id)
	yes(w, recordID{id}, nil)
}

func (f *fake) batch(w http.ResponseWriter, r *http.Request) {
	var b batch
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil || len(b.Deletes)+len(b.Posts) == 0 {
		no(w, http.StatusBadRequest, 9207, "Request body is invalid.")
		return
	}
	zoneID := r.PathValue("zone")
	before := maps.Clone(f.records[zoneID])
	for _, d := range b.Deletes {
		if _, ok := f.records[zoneID][d.ID]; !ok {
			f.records[zoneID] = before
			no(w, http.StatusNotFound, 81044, "Record does not exist.")
			return
		}
		delete(f.records[zoneID], d.ID)
	}
	for _, rec := range b.Posts {
		if _, code, message := f.add(zoneID, rec); code != 0 {
			f.records[zoneID] = before
			no(w, http.StatusBadRequest, code, message)
			return
		}
	}
	yes(w, b, nil)
}

// txt are the values at a complete name.
func (f *fake) txt(t *testing.T, fqdn string) (values []string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, records := range f.records {
		for _, rec := range records {
			if rec.Name+"." != fqdn || rec.Type != "TXT" {
				continue
			}
			value, err := provider.Unquote(rec.Content)
			if err != nil {
				t.Error(err)
			}
			values = append(values, value)
		}
	}
	return values
}
