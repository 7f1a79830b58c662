// Package libcrypto makes RSA signatures with the OpenSSL of the system, which
// takes a third of the processor time that crypto/rsa takes where it has
// assembly for the processor (AVX-512 IFMA), and two thirds elsewhere.
//
// # The build
//
// It is an option of the build:
//
//	go build -tags libcrypto ./cmd/waxwing
//
// on Linux, amd64 or arm64, with or without cgo. Such a program is no longer
// static: it is loaded by the dynamic loader of glibc, and finds
// libcrypto.so.3 (OpenSSL 3) as the loader finds libraries. It does not start
// on a system with another C library, such as musl. Without the tag the
// package has the same functions, which return [ErrNotBuilt], and nothing of
// C is linked.
//
// # What is promised
//
// A [New] signer has signed a test message, and crypto/rsa has verified that.
// Signatures are PKCS #1 v1.5 with SHA-256 and are the same octets as those of
// crypto/rsa: the scheme is deterministic (RFC 8017, section 8.2.1). What
// libcrypto cannot sign later, crypto/rsa signs; a signer fails only where
// crypto/rsa fails, too.
//
// Against faults of memory or processor, which could give away the key (Boneh,
// DeMillo and Lipton, 1997), OpenSSL raises the result of its CRT computation
// to the public exponent and compares, as crypto/rsa does; so signatures are
// not verified once more, which would cost a tenth.
//
// # OpenSSL's own ways
//
// The signers have a library context of their own, with the built-in default
// provider and nothing else. openssl.cnf and the variable OPENSSL_CONF are not
// read: a file that a mail server does not know of must not load engines and
// providers into it. So a FIPS provider, or a security level, that is
// configured there does not take part either.
//
// OpenSSL 3.0.4 is refused: it writes beyond its memory where it is fast
// (CVE-2022-2274).
//
// # Threads and memory
//
// A signature occupies a thread while it is made, which Go's scheduler cannot
// take away. No more of them are made at a time than there were processors for
// Go at the start (GOMAXPROCS); the others wait as goroutines. A key is freed
// when its signer has become garbage. C is lent Go memory for the time of a
// call and keeps none.
package libcrypto
