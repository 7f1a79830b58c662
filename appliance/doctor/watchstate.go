package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"go.uber.org/zap"
)

// Where the watch keeps what it has said, and in which form.
const (
	stateKey     = "watch"
	stateVersion = 1
	maxState     = 1 << 20 // octets
	storeTime    = 10 * time.Second
)

// storedState is a state in the store.
type storedState struct {
	Version  int              `json:"version"`
	Findings []storedStanding `json:"findings"`
}

type storedStanding struct {
	key
	standing
}

// load reads what has been said. What cannot be read costs no more than that
// it is said again.
func (w *Watch) load(ctx context.Context) state {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	b, err := w.o.Values.Get(ctx, stateKey)
	if errors.Is(err, fs.ErrNotExist) {
		return make(state)
	}
	st, err := parseState(b, err)
	if err != nil {
		w.o.Log.Warn("what the watch of the DNS has said before cannot be read; it begins anew", zap.Error(err))
	}
	return st
}

var errForeign = errors.New("it is of another version, or too long")

// parseState reads a state; whatever is wrong with it, there is one.
func parseState(b []byte, err error) (state, error) {
	st := make(state)
	if err != nil {
		return st, err
	}
	var stored storedState
	if len(b) > maxState {
		return st, errForeign
	}
	if err := json.Unmarshal(b, &stored); err != nil {
		return st, err
	}
	if stored.Version != stateVersion {
		return st, errForeign
	}
	for _, f := range stored.Findings {
		st[f.key] = f.standing
	}
	return st, nil
}

// save keeps what has been said.
func (w *Watch) save(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	stored := storedState{Version: stateVersion, Findings: []storedStanding{}}
	for _, k := range w.state.sorted() {
		stored.Findings = append(stored.Findings, storedStanding{k, w.state[k]})
	}
	b, err := json.Marshal(stored)
	if err == nil {
		err = w.o.Values.Put(ctx, stateKey, b)
	}
	if err != nil && ctx.Err() == nil {
		w.o.Log.Warn("what the watch of the DNS has said cannot be kept: a restart will repeat it", zap.Error(err))
	}
}
