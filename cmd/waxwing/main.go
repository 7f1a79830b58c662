// Waxwing is a mail appliance: it takes mail in over SMTP submission, proves
// who sent it, signs it with DKIM, keeps it safe on disk and delivers it.
//
//	waxwing demo       shows all of that on this machine
//	waxwing run        is the server
//	waxwing help       lists the other commands
//
// # A build of your own
//
// What a configuration can use is what is linked into the program. This file
// is the whole program: copy it, add the import paths of your modules below
// the standard ones, and build.
package main

import (
	"github.com/waxwing-mail/waxwing/cmd"

	// Every module type of the project registers itself.
	_ "github.com/waxwing-mail/waxwing/modules/standard"
)

func main() { cmd.Main() }
