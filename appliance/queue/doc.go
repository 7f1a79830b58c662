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
// # Destinations and sites
//
// A destination is a relay and a next hop. The engine keeps one record for
// each destination that has mail, and reads the mail itself only when it is
// due and its turn has come. So memory grows with destinations and work in
// flight, not with messages.
//
// A site is the servers behind destinations: a relay that is a
// [appliance.SitedRelay] says that many domains are served by the same ones.
// Limits and health are those of the site. Without such a relay, or while
// nobody knows, a destination is a site of its own. Sites are looked up before
// the first attempt, many at a time and beside everything else; a backlog
// whose look-ups take long does not delay what comes in now. See [locator].
//
//	destination   waits for mail to become due     engine.agenda
//	              has work, waits for its turn     stream.line
//	site          waits for its pace               engine.paced
//	stream        could begin, waits for a slot    engine.lanes
//	              its site has no room             nowhere: an attempt that ends places it
//
// All of these places follow from the state alone: [engine.place] and
// [engine.placeSite] can be called at any time, and are whenever something has
// changed.
//
// # Whose turn it is
//
// What a site gets of one sender is a [stream], and so is what it gets of the
// backlog, that is, of all that was not delivered when it came in. The
// destinations of a stream take turns, one delivery at a time; the senders have
// equal shares, at one site and over all of them: see [flows]. What comes in is
// remembered by its key, so that it need not wait until all that its destination
// had due before is leased: see [newcomer]. Streams wait in [lane]s, which have a
// part of the slots each, so that hosts that do not answer delay nobody else:
// one dead domain with 50,000 messages does not delay the others (N19), and
// neither do a thousand dead domains. Nothing that waits for a turn, a limit, a
// pace or a person has been attempted.
//
// A site begins with two deliveries at a time, and each answer adds one. When
// it says that it has enough (421, or a reply that is about rate), or is lost
// in the middle of a message, the number is halved, and then there are pauses:
// see [load]. Servers that cannot be reached at all are left alone: see
// [outage]. What concerns a domain alone, such as its DNS, is kept with its
// destination. A rate is kept exactly: see [pace].
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
// Recipients that a relay could not serve go to its fallback in the same
// attempt, if it is a [appliance.FallbackRelay] and says so: what the fallback
// answers counts, and the first answer is remembered beside it. It is asked
// although the next hop is left alone, within the limits of both, and
// is not asked when the message may have been delivered. See [handover].
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
