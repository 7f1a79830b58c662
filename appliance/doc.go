// Package appliance is the vocabulary of Waxwing and the road a message takes
// through it.
//
// # Life of a message
//
//	connect   listener: Session           Pipeline.Connect       checks AtConnect
//	AUTH                                  Pipeline.Authenticate  wrong credentials 535, could not find out 454
//	                                      or AuthenticateExternal, by the certificate of the client
//	MAIL      Transaction begins          Pipeline.Mail          checks AtSender
//	RCPT      one Recipient               Pipeline.Rcpt          relay rule, routes, checks AtRecipient
//	DATA      io.Reader, once             Pipeline.Data:
//	            header into memory, body into a Draft of the Store
//	            checks AtContent, trace fields, rewrites in order, signers in order
//	            Spool.Commit              durable on disk        250 <queue id>
//	later     queue engine: due deliveries by destination, Relay.Deliver, one Result per recipient
//	            2yz done, 4yz next attempt, 5yz or too old: report, signed, committed from <>
//
// Calls are synchronous and return an error; there are no channels between
// the stages, so that errors, back pressure and a clean shutdown travel
// backwards. The durable store is the only hand-off.
//
// # Outcomes
//
// The one outcome type is [Reply]. An error that carries no Reply is our own
// fault and temporary: 451, never 5yz. See [ReplyTo].
//
// # Life of a module
//
// See [Module]. A module is a struct whose exported fields are its
// configuration; what it needs of other modules are [Ref] fields; what it
// needs of the house comes in its [Context]. Its package registers it:
//
//	func init() {
//		appliance.Register(appliance.Registration{
//			Kind: appliance.KindCheck, Name: "example", …
//		})
//	}
//
// # Configuration
//
// A [Graph] is a whole configuration with every reference bound. Package
// config makes it from HCL, [New] runs it, and [Appliance.Reload] goes from
// one to the next: instances whose fingerprint is the same survive.
//
// No exported identifier of this package mentions a type of a library, except
// *zap.Logger and prometheus.Registerer.
package appliance
