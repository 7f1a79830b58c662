// Package queue delivers what the store holds: it is the engine behind
// [appliance.Engine]. It is pure logic over a Store, a Router and a clock.
//
// # States
//
// The state of a message is in the store and nowhere else. What the engine
// knows is a hint for when to ask:
//
//	waiting   in the store, due at some time          a crash changes nothing
//	leased    read by the engine, in this process     a crash gives it back, unattempted or not
//	settling  attempted, the outcome not yet durable  a crash repeats the attempt (P4)
//	settled   the outcome is in the store             delivered recipients are never tried again
//
// An outcome that cannot be made durable, because the disk is full for
// instance, is kept and tried again with back-off until it is; its delivery
// keeps one of the Concurrency slots meanwhile, so that what cannot be recorded
// is not attempted in a loop, and no more than that many outcomes ever wait
// (R3). The slot of its destination is free for the next delivery as soon as
// the next hop has answered: a slow disk does not make a next hop slow (R5).
//
// # Destinations
//
// A destination is a relay and a next hop. The engine keeps one record for
// each destination that has mail, and reads the mail itself only when it is
// due and its turn has come. So memory grows with destinations and work in
// flight, not with messages. Due destinations take turns, one delivery at a
// time, and none holds more than DestinationConcurrency of the Concurrency
// slots: one dead domain with 50,000 messages does not delay the others (N19).
//
// A destination begins with two deliveries at a time; each answer of the next
// hop adds one, a reply of 421 or a connection lost in the middle of a message
// halves it, and a next hop that cannot be reached at all takes it back to one.
// See [health].
//
// # Attempts
//
// An attempt finds the route of each waiting recipient by the configuration of
// now, and calls the relay once for each destination among them. 2yz is
// delivered, 5yz failed, and 4yz waits for [appliance.Schedule]. A recipient
// that is older than Lifetime fails only after one more attempt, so that a
// clock that jumps expires nothing by itself (R11). Whatever is wrong with
// ourselves – a pipeline that is gone, a module that panics – is a temporary
// failure.
//
// A next hop that could not be reached is left alone for a while: for what the
// schedule says, at most five minutes. What becomes due in the meantime shares
// the failure without a connection of its own, and one delivery is the probe
// when the time is over.
//
// What is put back because the server stops, or because its route leads
// elsewhere now, has not been attempted.
//
// # Reports
//
// Failed recipients whose sender wants to know get one report for each
// delivery, made in the same durable step as their failure: there is neither
// a failure without its report nor a second report (P7). A report that cannot
// be made for now leaves its recipients waiting; they are not attempted again
// but reported as soon as it can. A report that fails itself is logged, and
// that is its end. Who asked for NOTIFY=SUCCESS is told by the next hop, or,
// if that offers no DSN, told here that the message was passed on.
//
// # Clock
//
// Times in the store are wall-clock times. The engine never sleeps longer than
// a minute, compares the wall clock with the monotonic one each time it wakes
// up, and makes everything due when the wall clock has gone back: otherwise
// mail would wait until the clock has caught up. See [clock].
package queue
