// Package admin is the way of people and programs to a running appliance: an
// HTTP server on a unix socket, and the client that the waxwing commands use.
//
// # Who may ask
//
// The unix socket has mode 0600: who may open it is decided by the file
// system, and there is nothing else to configure. A TCP address needs a
// bearer token, which every request carries; without one of at least
// 16 octets the configuration does not load.
//
// No browser has any business here. A request is refused with 403 when it
// carries Origin or a Sec-Fetch field, or, on TCP, when its Host is neither an
// IP address, nor localhost, nor the name of the server: that is what DNS
// rebinding looks like. A POST has the content type its path asks for (415),
// at most 1 MiB, or for a message limits.max_message_size (413), and must
// arrive in time (408). A path is taken as it is written or not at all (404).
//
// # What can be asked
//
//	GET  /livez                the process answers
//	GET  /readyz               200 when mail can be accepted, signed and stored; 503 and the reasons
//	GET  /metrics              Prometheus text format
//	GET  /v1/version           Version
//	GET  /v1/posture           appliance.Posture: what the server does for whom
//	POST /v1/reload            ReloadRequest → Reloaded
//	POST /v1/stop              202; the server drains and ends
//	GET  /v1/queue             QueuePage; id, sender, recipient, destination, held, older, class and limit select
//	GET  /v1/queue/summary     QueueSummary; by is one of SummaryKeys, and the same select
//	GET  /v1/queue/{id}        QueuedMessage, with what is remembered of its attempts
//	GET  /v1/queue/sites       SitePage: the servers that mail goes to, with their limits
//	GET  /v1/queue/suspensions SuspensionPage: what a person lets wait
//	POST /v1/queue/suspend     SuspendRequest → SuspensionPage
//	POST /v1/queue/resume      ResumeRequest → SuspensionPage
//	POST /v1/queue/change      ChangeRequest → Changed
//	GET  /v1/tls               CertificatePage
//	POST /v1/tls/renew         RenewRequest → CertificatePage
//	GET  /v1/dkim              KeyPage: the keys of the signers, and what each waits for
//	POST /v1/dkim/rotate       RotateRequest → KeyPage of these domains
//	POST /v1/dkim/retire       RetireRequest → KeyPage of what is left of the key
//	GET  /v1/dns               records.List: the DNS records that the configuration needs; domain… selects
//	POST /v1/dns/check         RecordsRequest → records.Comparison with what the name servers say
//	POST /v1/dns/publish       PublishRequest → records.Publication: what was, or would be, written
//	GET  /v1/bans              BanPage: who is banned for failed log-ins, and which accounts are under attack
//	POST /v1/bans/clear        ClearRequest → Cleared
//	GET  /v1/doctor            doctor.Report: the check-up; name… narrows it, offline asks nobody outside
//	GET  /v1/storage           appliance.StorageReport: what is in the data directory, and what is wrong with it
//	GET  /v1/storage/backup    an archive of package backup; on the unix socket alone
//	POST /v1/selftest          a message; from, to…, user, bulk and pipeline in the query → selftest.Report; nobody gets it
//	POST /v1/send              a message (RFC 5322); from, to…, pipeline and wait in the query → Sent
//	GET  /v1/events            JSON lines of Event as mail is handled; id selects one message
//	GET  /v1/captured          CapturedPage
//	GET  /v1/captured/{id}     the message
//
// The first three are also served, without a token, on metrics.address, and
// nothing else is. Every other answer is JSON; an error is an [Error]. No
// answer holds a secret, but for a backup, which is for who may open the socket:
// none is ever handed to this package otherwise.
package admin
