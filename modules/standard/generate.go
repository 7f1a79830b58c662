package standard

//go:generate go test -run TestFields -update .
