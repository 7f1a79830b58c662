//go:build libcrypto && linux && (amd64 || arm64)

package libcrypto

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/ebitengine/purego"
	"golang.org/x/sync/semaphore"
)

// Pointers of C.
type (
	libraryContext uintptr // OSSL_LIB_CTX *
	provider       uintptr // OSSL_PROVIDER *
	digestMethod   uintptr // EVP_MD *
	privateKey     uintptr // EVP_PKEY *
	keyContext     uintptr // EVP_PKEY_CTX *
)

// functions are those of libcrypto that are called. Their names and types are
// those of its manual, section 3ossl; those that return an int32 return 1 when
// they succeed.
type functions struct {
	versionNumber func() uint64
	versionText   func(what int32) string
	initialize    func(options uint64, settings uintptr) int32

	newLibraryContext func() libraryContext
	loadProvider      func(libraryContext, string) provider
	fetchDigest       func(c libraryContext, name string, properties uintptr) digestMethod

	// readKey moves the address in der to the end of what it has read.
	readKey func(kind int32, reuse uintptr, der *uintptr, length int64, c libraryContext, properties uintptr) privateKey
	freeKey func(privateKey)

	newKeyContext  func(c libraryContext, k privateKey, properties uintptr) keyContext
	freeKeyContext func(keyContext)
	beginSigning   func(keyContext) int32
	setPadding     func(c keyContext, mode int32) int32
	setDigest      func(keyContext, digestMethod) int32
	sign           func(c keyContext, signature []byte, length *uintptr, digest []byte, digestLength uintptr) int32

	nextError   func() uint64
	errorText   func(code uint64, text []byte, size uintptr)
	clearErrors func()
}

type symbol struct {
	name     string
	function any
}

func (f *functions) symbols() []symbol {
	return []symbol{
		{"OpenSSL_version_num", &f.versionNumber},
		{"OpenSSL_version", &f.versionText},
		{"OPENSSL_init_crypto", &f.initialize},
		{"OSSL_LIB_CTX_new", &f.newLibraryContext},
		{"OSSL_PROVIDER_load", &f.loadProvider},
		{"EVP_MD_fetch", &f.fetchDigest},
		{"d2i_PrivateKey_ex", &f.readKey},
		{"EVP_PKEY_free", &f.freeKey},
		{"EVP_PKEY_CTX_new_from_pkey", &f.newKeyContext},
		{"EVP_PKEY_CTX_free", &f.freeKeyContext},
		{"EVP_PKEY_sign_init", &f.beginSigning},
		{"EVP_PKEY_CTX_set_rsa_padding", &f.setPadding},
		{"EVP_PKEY_CTX_set_signature_md", &f.setDigest},
		{"EVP_PKEY_sign", &f.sign},
		{"ERR_get_error", &f.nextError},
		{"ERR_error_string_n", &f.errorText},
		{"ERR_clear_error", &f.clearErrors},
	}
}

// Values of the header files of OpenSSL 3.
const (
	initNoConfig = 0x00000080 // OPENSSL_INIT_NO_LOAD_CONFIG
	initNoAtExit = 0x00080000 // OPENSSL_INIT_NO_ATEXIT
	kindRSA      = 6          // EVP_PKEY_RSA
	paddingPKCS1 = 1          // RSA_PKCS1_PADDING
	textVersion  = 0          // OPENSSL_VERSION
	version304   = 0x30000040
)

// A library is a libcrypto that is loaded. It stays so until the process ends:
// OpenSSL cannot be unloaded once a thread has used it.
type library struct {
	functions
	version string
	context libraryContext
	sha256  digestMethod
	slots   *semaphore.Weighted // as many as signatures are made at a time
}

// soname is OpenSSL 3 and no other: a version with another interface has
// another name.
const soname = "libcrypto.so.3"

// loaded is the library of the process.
var loaded = sync.OnceValues(func() (*library, error) { return load(soname) })

// load finds a library as the dynamic loader does, and makes it ready.
func load(name string) (*library, error) {
	l := &library{slots: semaphore.NewWeighted(int64(runtime.GOMAXPROCS(0)))}
	if err := l.link(name); err != nil {
		return nil, err
	}
	return l, l.prepare()
}

func (l *library) link(name string) error {
	handle, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return fmt.Errorf("the system has no usable OpenSSL 3: %w", err)
	}
	for _, s := range l.symbols() {
		address, err := purego.Dlsym(handle, s.name)
		if err != nil {
			return fmt.Errorf("%s is no OpenSSL 3: %w", name, err)
		}
		purego.RegisterFunc(s.function, address)
	}
	return nil
}

// prepare makes a context in which nothing is configured.
func (l *library) prepare() error {
	l.version = l.versionText(textVersion)
	if l.versionNumber() == version304 {
		return errors.New(l.version + " is not used, because it writes beyond its memory (CVE-2022-2274); install a later one")
	}
	// OpenSSL notes errors by thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if l.initialize(initNoConfig|initNoAtExit, 0) != 1 {
		return l.failure("OPENSSL_init_crypto")
	}
	if l.context = l.newLibraryContext(); l.context == 0 {
		return l.failure("OSSL_LIB_CTX_new")
	}
	if l.loadProvider(l.context, "default") == 0 {
		return l.failure("OSSL_PROVIDER_load")
	}
	if l.sha256 = l.fetchDigest(l.context, "SHA2-256", 0); l.sha256 == 0 {
		return l.failure("EVP_MD_fetch")
	}
	return nil
}

// failure is the first error that OpenSSL has noted on this thread. It forgets
// the others, so that the next failure does not find them.
func (l *library) failure(call string) error {
	text := make([]byte, 256) // what the manual of ERR_error_string asks for
	l.errorText(l.nextError(), text, uintptr(len(text)))
	l.clearErrors()
	end := max(0, bytes.IndexByte(text, 0))
	return fmt.Errorf("%s of %s: %s: %s", call, soname, l.version, text[:end])
}
