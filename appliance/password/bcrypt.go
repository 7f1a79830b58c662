package password

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// maxBcryptCost is about five seconds of an ordinary processor.
const maxBcryptCost = 16

// bcryptLength is $2y$, two digits, $, 22 characters of salt and 31 of hash.
const bcryptLength = 60

type bcryptHash []byte

func isBcrypt(s string) bool {
	return strings.HasPrefix(s, "$2a$") || strings.HasPrefix(s, "$2b$") || strings.HasPrefix(s, "$2y$")
}

func parseBcrypt(s string) (bcryptHash, error) {
	const alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	if len(s) != bcryptLength || s[6] != '$' || strings.Trim(s[7:], alphabet) != "" {
		return nil, fmt.Errorf("is not a complete bcrypt hash of %d characters"+
			" (was it cut by a shell that expanded the dollar signs?)", bcryptLength)
	}
	cost, err := strconv.Atoi(s[4:6])
	if err != nil || cost < bcrypt.MinCost || cost > maxBcryptCost {
		return nil, fmt.Errorf("is a bcrypt hash whose cost is not from %02d to %d", bcrypt.MinCost, maxBcryptCost)
	}
	return bcryptHash(s), nil
}

func (bcryptHash) memory() int64 { return 4 }

// matches follows bcrypt in that octets after the 72nd do not count.
func (b bcryptHash) matches(password string) bool {
	return bcrypt.CompareHashAndPassword(b, []byte(password)) == nil
}
