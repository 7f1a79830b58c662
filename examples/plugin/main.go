// Markings is Waxwing with one more check. It is cmd/waxwing/main.go of the
// project with one more import: whatever is linked into the program, a
// configuration can use.
package main

import (
	"github.com/waxwing-mail/waxwing/cmd"

	// Every module type of the project registers itself.
	_ "github.com/waxwing-mail/waxwing/modules/standard"

	// And ours.
	_ "example.com/markings/markings"
)

func main() { cmd.Main() }
