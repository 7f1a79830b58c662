// Package disk keeps the queue, and the small facts of other modules, in one
// directory of one machine.
//
//	<path>/lock         held by the running server (flock); its process id
//	<path>/format       version of the layout; a newer one is refused untouched
//	<path>/queue/       Pebble: messages, small bodies, delivery state, schedule
//	<path>/bodies/      bodies of more than 256 KiB, one file each
//	<path>/values/      keys, certificates, accounts: plain files
//	<path>/quarantine/  what was found damaged, for a person to look at
//	<path>/snapshot/    links to all of it, while it is verified or saved
//	<path>/restoring/   a backup that is being restored; nothing starts on it
//	<path>/ballast      space that is given up when the disk is full
//
// # Durability
//
// Commit and Settle are one batch of Pebble each, synced to its log before
// they return; concurrent calls share the fsync. A body in a file is synced,
// renamed to its final name and its directory synced before the batch that
// names it: a power cut leaves at most a file that no record names, which the
// next Start removes.
//
// # State of a message, and what a crash makes of it
//
//	draft       memory, or bodies/.draft-*        gone; Start removes the file
//	renamed     bodies/<id>, no record            gone; Start removes the file
//	queued      records, body                     there
//	leased      the same; the lease is in memory  there, not leased
//	settled     records rewritten or removed      as settled
//	finished    no record; body may be there yet  gone; Start removes the file
//
// # Failure
//
// A disk that is nearly full (limits.min_free_disk) refuses drafts with
// [appliance.ErrFull]; queued mail goes on being delivered, from ballast if need be,
// and mail is accepted again as soon as there is space.
//
// An fsync that fails leaves nobody knowing what is on the disk, because a
// kernel may drop the data and report the error only once. The store then
// fails for good: every call returns an error, nothing on the disk is changed
// any more, Healthy says so, and a restart reads what is there. A message
// whose Commit failed like this may be found there: it is delivered although
// its client was told 451, and may come twice.
//
// A record carries a checksum of itself and its key. One that is damaged
// costs its message and no other: all that is left of the message goes to
// quarantine/<id>, and the log and a metric say so. A file of Pebble that is
// damaged is not the end of the queue either: table by table and log by log,
// everything that can be read is carried over to a new one, on Start or while
// the store runs, whenever the damage is found.
//
// # Snapshots
//
// Verify and Backup look at one moment of the store: a checkpoint of Pebble
// and hard links to bodies and values, which are made in no time. They never
// disturb what they look at, and an error of theirs is theirs alone.
//
// docs/storage.md and docs/durability.md say the same to administrators.
package disk
