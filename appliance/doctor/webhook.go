package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Limits of a webhook.
const (
	webhookTries = 3
	webhookTime  = 10 * time.Second // for one try
	webhookPause = 5 * time.Second  // before the second try; seven times that before the third
	webhookRead  = 64 << 10         // octets of an answer, so that the connection ends well
)

// A Notice is what a webhook gets.
type Notice struct {
	Hostname string             `json:"hostname"`
	Time     time.Time          `json:"time"`
	Status   appliance.Standing `json:"status"` // the worst of the changes
	Changes  []change           `json:"changes"`
}

// post tells the webhook of changes. The address may hold a token, so that no
// error and no log line has it.
func (w *Watch) post(ctx context.Context, s *Subject, changes []change) {
	address := s.Settings.Deliverability.Webhook.Reveal()
	if address == "" {
		return
	}
	all := appliance.Finding{Status: appliance.FoundSkipped}
	for _, c := range changes {
		all.Parts = append(all.Parts, c.Finding)
	}
	body, err := json.Marshal(Notice{s.Settings.Hostname, s.Now(), all.Worst(), changes})
	if err == nil {
		err = w.tellRepeatedly(ctx, address, body)
	}
	if err != nil {
		w.o.Log.Warn("the webhook of the deliverability block cannot be told of a change", zap.Int("changes", len(changes)), zap.Error(err))
	}
}

// tellRepeatedly tries three times. The error is that of the last.
func (w *Watch) tellRepeatedly(ctx context.Context, address string, body []byte) (err error) {
	for try := range webhookTries {
		if try > 0 && !pause(ctx, webhookPause*time.Duration(6*try-5)) { // 5s, 35s
			return err
		}
		if err = w.tell(ctx, address, body); err == nil {
			return nil
		}
	}
	return err
}

// pause waits, and is false if there is no time for it.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

var errAddress = errors.New("its address cannot be used")

// tell makes one request. A redirect is a refusal: what is told is for the host
// that the administrator has named.
func (w *Watch) tell(ctx context.Context, address string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, webhookTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return errAddress // err has the address
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "waxwing")
	client := http.Client{
		Transport:     w.o.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err // without the address
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, webhookRead)) // what it says matters to nobody
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return nil
}
