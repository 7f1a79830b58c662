// Package doctor is the check-up of a mail server: everything outside of it,
// and a little inside, that decides whether its mail arrives.
//
// # What there is
//
// An [appliance.Examination] looks at one thing and says what it found as one
// or more of [appliance.Finding]: ok, warn or fail, with the record, the value
// and the place in words, and what to do. Modules have their own by being an
// [appliance.Examiner]. Those of this package are functions of a [Subject],
// which is plain data about a server and the few ways out that they need: a
// resolver, a dialler, a clock. So a test writes a subject as a literal, and
// nothing here knows whether a server runs or a command looks at a file.
//
//	subject := doctor.SubjectOf(appliance)
//	report, err := subject.Report(ctx, words)
//
// Groups come in the order in which a person would look: this machine, the way
// out, the listeners, names and addresses, each domain, reputation,
// certificates, modules. Examinations run at the same time, a few at once; the
// report keeps their order.
//
// # What the words mean
//
//	ok       nothing to do
//	warn     mail goes out, and something will hurt it
//	fail     mail does not go out, or many receivers refuse or suspect it
//	skipped  could not be looked at, or need not be
//
// What cannot be found out never fails: a DNS server that does not answer says
// nothing about a record. Only the resolver's own examination minds.
//
// # What it does to others
//
// It asks the DNS, the echo servers and blocklists of the deliverability
// block, connects to port 25 of three large receivers, or to the smarthosts,
// reads the greeting and leaves, and talks to the server's own listeners. It
// sends no mail, logs in nowhere, and changes nothing. A Subject that is
// Offline asks nobody but this machine.
//
// # The watch
//
// A [Watch] does the part that is about the DNS again and again, and says when
// something has changed: see there.
package doctor
