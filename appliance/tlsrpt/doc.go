// Package tlsrpt reads where a domain wants to be told how TLS with its mail
// servers went (SMTP TLS Reporting, RFC 8460):
//
//	_smtp._tls.DOMAIN TXT "v=TLSRPTv1; rua=mailto:reports@example.org,https://example.org/v1/tlsrpt"
//
// [ParseRecords] picks the record among the TXT records of a name and returns
// its [Endpoint]s. A record that does not parse is as if it were not there:
// nobody sends a report, and nobody says so. The errors name what is wrong.
//
// The package asks nobody and sends nothing.
package tlsrpt
