// Package cmd is the command line of Waxwing. It is a package and not a
// program, so that a build with modules of your own is a main package of a few
// lines: see cmd/waxwing, which is also the pattern to copy.
//
//	run        is the server: load, start, reload on SIGHUP, stop on SIGTERM
//	reload, stop, send, selftest, queue, capture, events, health, status, tls,
//	dkim list|show|rotate|retire
//	           ask the running server through its admin socket
//	dns        asks the server, or goes by the file if none runs
//	storage    asks the server, or works on the directory of one that does not run
//	validate, fmt, modules, docs, hash-password, dkim generate, demo
//	           work without one
//
// # Which file, which server
//
// The configuration file is the first that is named or exists: --config,
// $WAXWING_CONFIG, ./mail.hcl, /etc/waxwing/mail.hcl. The data directory is
// what the file says, or $WAXWING_DATA_DIR, or /var/lib/waxwing for root, or
// $XDG_DATA_HOME/waxwing (~/.local/share/waxwing). A command that asks the
// server looks where the file says that its admin socket is, or where --admin
// or $WAXWING_ADMIN say.
//
// # Exit status
//
//	0  done
//	1  failed: refused, bounced, not ready, not in the queue …
//	2  the command line is wrong
//	3  the configuration does not load, or there is none
//	4  no server answers
//
// Standard output has what was asked for, standard error what went wrong, and
// the log of "run".
package cmd
