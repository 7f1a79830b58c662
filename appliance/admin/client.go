package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// ErrUnreachable means that no server answers at the address.
var ErrUnreachable = errors.New("no server answers")

// maxAnswer is the largest answer a client reads, in octets, apart from
// messages and live views.
const maxAnswer = 256 << 20

// A Client asks a running server. Its methods return an *[Error] when the
// server says no, and an error that is [ErrUnreachable] when none answers.
type Client struct {
	address string
	base    string
	token   appliance.Secret
	http    *http.Client
}

// NewClient returns a client of the server at an admin address.
func NewClient(address string, token appliance.Secret) *Client {
	network, rest := appliance.SplitNetwork(address)
	c := &Client{address: address, base: "http://localhost", token: token}
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, rest)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
			}
			return conn, nil
		},
		DisableKeepAlives: true, // a command asks once or twice
	}
	if network != "unix" {
		c.base = "http://" + rest
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // the token belongs to this server alone
	}}
	return c
}

// Address is where the client looks for the server.
func (c *Client) Address() string { return c.address }

// Version asks what runs.
func (c *Client) Version(ctx context.Context) (v Version, err error) {
	return v, c.get(ctx, "/v1/version", nil, &v)
}

// Ready asks whether mail can be accepted, signed and stored. If not, the
// error is an *[Error] with the reasons.
func (c *Client) Ready(ctx context.Context) error { return c.get(ctx, "/readyz", nil, nil) }

// Posture asks what the server does for whom.
func (c *Client) Posture(ctx context.Context) (p appliance.Posture, err error) {
	return p, c.get(ctx, "/v1/posture", nil, &p)
}

// Reload has the configuration read again; with plan, it only says what that
// would change.
func (c *Client) Reload(ctx context.Context, plan bool) (r Reloaded, err error) {
	return r, c.post(ctx, "/v1/reload", ReloadRequest{plan}, &r)
}

// Stop asks the server to end. It answers before it has.
func (c *Client) Stop(ctx context.Context) (v Version, err error) {
	return v, c.post(ctx, "/v1/stop", struct{}{}, &v)
}

// Queue lists messages of the queue.
func (c *Client) Queue(ctx context.Context, f Filter) (page QueuePage, err error) {
	return page, c.get(ctx, "/v1/queue", f.query(), &page)
}

// Queued returns one message of the queue.
func (c *Client) Queued(ctx context.Context, id appliance.QueueID) (m QueuedMessage, err error) {
	return m, c.get(ctx, "/v1/queue/"+url.PathEscape(string(id)), nil, &m)
}

// Summary counts what a filter selects, by one of [SummaryKeys].
func (c *Client) Summary(ctx context.Context, f Filter, by string) (sum QueueSummary, err error) {
	q := f.query()
	q.Set("by", by)
	return sum, c.get(ctx, "/v1/queue/summary", q, &sum)
}

// Change does something to queued deliveries.
func (c *Client) Change(ctx context.Context, want ChangeRequest) (done Changed, err error) {
	return done, c.post(ctx, "/v1/queue/change", want, &done)
}

// Certificates lists what the tls blocks serve and wait for.
func (c *Client) Certificates(ctx context.Context) (page CertificatePage, err error) {
	return page, c.get(ctx, "/v1/tls", nil, &page)
}

// Renew asks for new certificates and waits for them. name is one of the names
// of a certificate, or the address of a tls block.
func (c *Client) Renew(ctx context.Context, name string) (page CertificatePage, err error) {
	return page, c.post(ctx, "/v1/tls/renew", RenewRequest{name}, &page)
}

// Captured lists captured messages.
func (c *Client) Captured(ctx context.Context) (page CapturedPage, err error) {
	return page, c.get(ctx, "/v1/captured", nil, &page)
}

// OpenCaptured returns a captured message.
func (c *Client) OpenCaptured(ctx context.Context, id string) (io.ReadCloser, error) {
	resp, err := c.do(ctx, http.MethodGet, "/v1/captured/"+url.PathEscape(id), nil, "", nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// A Submission is what [Client.Send] sends besides the message.
type Submission struct {
	From     string // a mailbox; "" is the null reverse-path
	To       []string
	Pipeline string // "" is the one that users send by
}

func (s Submission) query() url.Values {
	q := url.Values{"from": {s.From}, "to": s.To}
	if s.Pipeline != "" {
		q.Set("pipeline", s.Pipeline)
	}
	return q
}

// Send hands in a message.
func (c *Client) Send(ctx context.Context, s Submission, message io.Reader) (sent Sent, err error) {
	resp, err := c.do(ctx, http.MethodPost, "/v1/send", s.query(), typeMessage, message)
	if err != nil {
		return sent, err
	}
	return sent, decode(resp, &sent)
}

// Follow hands in a message and returns what becomes of it, as it happens,
// until every recipient has a final outcome.
func (c *Client) Follow(ctx context.Context, s Submission, message io.Reader) (Sent, iter.Seq2[Event, error], error) {
	var sent Sent
	q := s.query()
	q.Set("wait", "true")
	resp, err := c.do(ctx, http.MethodPost, "/v1/send", q, typeMessage, message)
	if err != nil {
		return sent, nil, err
	}
	d := json.NewDecoder(resp.Body)
	if err := d.Decode(&sent); err != nil {
		return sent, nil, errors.Join(err, resp.Body.Close())
	}
	return sent, eventsOf(d, resp.Body), nil
}

// Events returns what happens to mail, as it happens; of one message, if id
// is given. It ends when the server stops; until then it must be ranged over,
// or ctx be cancelled.
func (c *Client) Events(ctx context.Context, id appliance.QueueID) (iter.Seq2[Event, error], error) {
	q := make(url.Values)
	if id != "" {
		q.Set("id", string(id))
	}
	resp, err := c.do(ctx, http.MethodGet, "/v1/events", q, "", nil) //nolint:bodyclose // eventsOf does
	if err != nil {
		return nil, err
	}
	return eventsOf(json.NewDecoder(resp.Body), resp.Body), nil
}

// eventsOf reads events until the stream ends, and closes it.
func eventsOf(d *json.Decoder, body io.Closer) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		defer body.Close()
		for {
			var line struct {
				Event
				Error string `json:"error"`
			}
			err := d.Decode(&line)
			if errors.Is(err, io.EOF) {
				return
			}
			if err == nil && line.Error != "" {
				err = &Error{Status: http.StatusOK, Message: line.Error}
			}
			if !yield(line.Event, err) || err != nil {
				return
			}
		}
	}
}

func (c *Client) get(ctx context.Context, path string, q url.Values, into any) error {
	resp, err := c.do(ctx, http.MethodGet, path, q, "", nil)
	if err != nil {
		return err
	}
	return decode(resp, into)
}

func (c *Client) post(ctx context.Context, path string, body, into any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	resp, err := c.do(ctx, http.MethodPost, path, nil, typeJSON, bytes.NewReader(b))
	if err != nil {
		return err
	}
	return decode(resp, into)
}

// do makes a request. An answer that is no 2xx becomes an error.
func (c *Client) do(ctx context.Context, method, path string, q url.Values, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path+query(q), body)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if token := c.token.Reveal(); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, bare(err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, errors.Join(failure(resp), resp.Body.Close())
	}
	return resp, nil
}

func query(q url.Values) string {
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// bare is err without the URL that net/http puts around it: nobody has typed it.
func bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

func failure(resp *http.Response) error {
	e := &Error{Status: resp.StatusCode}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil || json.Unmarshal(b, e) != nil || e.Message == "" {
		e.Message = "the server answered " + strings.ToLower(resp.Status)
	}
	return e
}

func decode(resp *http.Response, into any) error {
	defer resp.Body.Close()
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(into); err != nil {
		return fmt.Errorf("the answer of the server cannot be read: %w", err)
	}
	return nil
}
