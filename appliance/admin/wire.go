package admin

import (
	"fmt"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/config"
)

// Version says what runs.
type Version struct {
	Version string    `json:"version"` // "v1.2.0", or "devel"
	Commit  string    `json:"commit,omitempty"`
	Go      string    `json:"go"`
	Tags    []string  `json:"tags,omitempty"` // of the build: "libcrypto"
	PID     int       `json:"pid,omitempty"`
	Started time.Time `json:"started,omitzero"`
}

// An Error is the answer to a request that failed.
type Error struct {
	Status      int                `json:"-"` // of HTTP
	Message     string             `json:"error"`
	Reply       *Reply             `json:"reply,omitempty"`       // a message was refused
	Diagnostics config.Diagnostics `json:"diagnostics,omitempty"` // a configuration does not load
	Reasons     []string           `json:"reasons,omitempty"`     // one by one: the server is not ready, a certificate was not renewed
}

func (e *Error) Error() string { return e.Message }

// A Reply is an SMTP reply.
type Reply struct {
	Code   int    `json:"code"`
	Status string `json:"status"` // "5.7.1"
	Text   string `json:"text"`
}

func (r *Reply) String() string { return fmt.Sprintf("%d %s %s", r.Code, r.Status, r.Text) }

func wireReply(r *appliance.Reply) *Reply {
	if r == nil || r.Code == 0 {
		return nil
	}
	return &Reply{r.Code, r.Status(), r.Text}
}

// A ReloadRequest asks for the configuration file to be read again.
type ReloadRequest struct {
	Plan bool `json:"plan"` // only say what would change
}

// Reloaded is what a reload did, or would do.
type Reloaded struct {
	Steps    []appliance.Step   `json:"steps"`
	Warnings config.Diagnostics `json:"warnings,omitempty"`
	Notes    []string           `json:"notes,omitempty"` // what takes effect only after a restart
}

// A CertificatePage is what tls blocks serve and wait for.
type CertificatePage struct {
	Certificates []appliance.ServedCertificate `json:"certificates"`
}

// filled is p with an empty list instead of none.
func (p CertificatePage) filled() CertificatePage {
	if p.Certificates == nil {
		p.Certificates = []appliance.ServedCertificate{}
	}
	return p
}

// A RenewRequest asks for a new certificate before the old one is due.
type RenewRequest struct {
	Name string `json:"name"` // one of its names, or the address of a tls block, which stands for all it has
}

// Sent is the answer to a message that was accepted.
type Sent struct {
	ID         appliance.QueueID `json:"id"`
	Recipients int               `json:"recipients"` // after the rewrites
}

// A CapturedPage is what the relays of the configuration captured, newest first.
type CapturedPage struct {
	Messages []CapturedMessage `json:"messages"`
}

// A CapturedMessage is a message that a relay keeps for viewing.
type CapturedMessage struct {
	Relay string `json:"relay"` // name of the relay
	appliance.Captured
}
