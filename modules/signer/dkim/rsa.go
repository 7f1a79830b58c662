package dkim

import (
	"crypto"
	"crypto/rsa"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/modules/internal/libcrypto"
)

// rsaSigners gives RSA keys the fastest signer that there is: the libcrypto of
// the system in a program that is built with it, else crypto/rsa. Both make
// the same signatures.
type rsaSigners struct {
	log       *zap.Logger
	library   string // "OpenSSL 3.0.22 25 Aug 2026"; "" is crypto/rsa
	reason    error  // why it is crypto/rsa
	open      func(k *rsa.PrivateKey, failed func(error)) (crypto.Signer, error)
	fallbacks prometheus.Counter

	mu   sync.Mutex
	said time.Time // when a failure was last logged; guarded by mu
}

func newRSASigners(log *zap.Logger) *rsaSigners {
	r := &rsaSigners{
		log: log,
		open: func(k *rsa.PrivateKey, failed func(error)) (crypto.Signer, error) {
			return libcrypto.New(k, failed)
		},
		fallbacks: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "waxwing_dkim_rsa_fallbacks_total",
			Help: "RSA signatures that libcrypto could not make and crypto/rsa made instead.",
		}),
	}
	r.library, r.reason = libcrypto.Version()
	return r
}

// info is a metric that names who makes RSA signatures.
func (r *rsaSigners) info() prometheus.Collector {
	library := r.library
	if library == "" {
		library = "crypto/rsa"
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "waxwing_dkim_rsa_info",
		Help:        "Always 1; its label names the library that makes RSA signatures.",
		ConstLabels: prometheus.Labels{"library": library},
	})
	info.Set(1)
	return info
}

// announce says who makes RSA signatures, where that was a question.
func (r *rsaSigners) announce() {
	switch {
	case r.library != "":
		r.log.Info("RSA signatures are made by libcrypto", zap.String("library", r.library))
	case !errors.Is(r.reason, libcrypto.ErrNotBuilt):
		r.log.Warn("libcrypto cannot be used: RSA signatures are made by crypto/rsa, which takes more processor time", zap.Error(r.reason))
	}
}

// provide makes libcrypto sign with a key that nobody uses yet, if it can. name
// is for the log.
func (r *rsaSigners) provide(k *Key, name string) {
	private, ok := k.private.(*rsa.PrivateKey)
	if !ok || r.library == "" {
		return
	}
	s, err := r.open(private, r.failed)
	if err != nil {
		r.log.Warn("libcrypto does not sign with this key: crypto/rsa does", zap.String("key", name), zap.Error(err))
		return
	}
	k.signer = s
}

// failed is told of a signature that crypto/rsa makes because libcrypto could
// not. It says so once an hour.
func (r *rsaSigners) failed(err error) {
	r.fallbacks.Inc()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.said.IsZero() && time.Since(r.said) < complainEvery {
		return
	}
	r.said = time.Now()
	r.log.Warn("libcrypto has failed: crypto/rsa signs what it does not", zap.Error(err))
}
