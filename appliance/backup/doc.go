// Package backup is the form in which what a store keeps is saved: a directory
// of plain files, or the same files in a tar archive (POSIX.1-2001, pax).
//
//	queue/…, bodies/…, values/…, format   the files of the store
//	report.json                           appliance.StorageReport: what is in them
//	SHA256SUMS                            a line for each file, as sha256sum(1) reads it
//
// SHA256SUMS is written last, and nothing without it is taken for a backup: an
// archive that ends early, or a directory that was not finished, is refused
// instead of restored. Both can also be checked and unpacked without Waxwing:
//
//	sha256sum --check SHA256SUMS
//
// A backup holds the private keys and the mail of the server. Files are made
// for their owner alone (0600, directories 0700).
//
// Names are checked when they are written and when they are read: a path in
// the backup never leads out of it, and of a directory nothing but regular
// files is opened. What is read is compared with its checksum as it is read;
// who takes the files must not use them before the end has come without error.
package backup
