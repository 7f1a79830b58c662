package compare

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/waxwing-mail/waxwing/bench/peers"
)

// keys are what all peers sign and encrypt with, made once for a run.
type keys struct {
	peers.Keys
	rsa   *rsa.PrivateKey
	trust *tls.Config // of a client
}

// newKeys makes them in a directory. They guard nothing and can be read by
// everybody: some peers give up root before they read them.
func newKeys(dir string) (*keys, error) {
	k := &keys{Keys: peers.Keys{
		DKIMPKCS1: filepath.Join(dir, "dkim.pkcs1.pem"), DKIMPKCS8: filepath.Join(dir, "dkim.pkcs8.pem"),
		TLSCert: filepath.Join(dir, "tls.crt"), TLSKey: filepath.Join(dir, "tls.key"),
	}}
	return k, errors.Join(k.makeDKIM(), k.makeTLS())
}

func (k *keys) makeDKIM() (err error) {
	if k.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k.rsa)
	if err != nil {
		return err
	}
	return errors.Join(
		writePEM(k.DKIMPKCS1, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k.rsa)),
		writePEM(k.DKIMPKCS8, "PRIVATE KEY", pkcs8))
}

// record is the TXT record of the key (RFC 6376, section 3.6.1).
func (k *keys) record() (string, error) {
	public, err := x509.MarshalPKIXPublicKey(&k.rsa.PublicKey)
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(public), err
}

func (k *keys) makeTLS() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: peers.Hostname},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		DNSNames: []string{peers.Hostname, "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	k.trust = &tls.Config{ServerName: peers.Hostname, RootCAs: x509.NewCertPool()}
	k.trust.RootCAs.AddCert(cert)
	return errors.Join(writePEM(k.TLSCert, "CERTIFICATE", der), writePEM(k.TLSKey, "PRIVATE KEY", pkcs8))
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644)
}

// verify says whether messages carry a valid signature of the key.
func (k *keys) verify(messages [][]byte) error {
	record, err := k.record()
	if err != nil {
		return err
	}
	if len(messages) == 0 {
		return errors.New("no message was kept to verify its signature")
	}
	lookup := func(name string) ([]string, error) {
		if name != peers.Selector+"._domainkey."+peers.SenderDomain {
			return nil, fmt.Errorf("a signature names %s", name)
		}
		return []string{record}, nil
	}
	for _, m := range messages {
		found, err := dkim.VerifyWithOptions(bytes.NewReader(m), &dkim.VerifyOptions{LookupTXT: lookup})
		if err != nil {
			return err
		}
		if len(found) != 1 || found[0].Domain != peers.SenderDomain {
			return fmt.Errorf("a message arrived with %d signatures of %s", len(found), peers.SenderDomain)
		}
		if found[0].Err != nil {
			return fmt.Errorf("a signature does not verify: %w", found[0].Err)
		}
	}
	return nil
}
