//go:build !unix

package exec

import osexec "os/exec"

// ownGroup does nothing: here the program alone is killed.
func ownGroup(*osexec.Cmd) {}

func killGroup(*osexec.Cmd) {}
