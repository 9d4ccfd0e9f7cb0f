// Package secret makes and checks what people and programs prove themselves with: passwords, as
// argon2id hashes, and random secrets of sessions, tokens and links, of which only a digest is kept.
package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/faultline-iot/faultline"
	"golang.org/x/crypto/argon2"
)

// Cost of a password's hash: one pass over 46 MiB, the first set of parameters that OWASP recommends
// for argon2id. A changed cost holds for new hashes; old ones carry theirs.
const (
	memory  = 46 * 1024 // KiB
	passes  = 1
	lanes   = 1
	keySize = 32
	salt    = 16
)

// What a stored hash may ask for, so that a forged one cannot exhaust the machine.
const (
	mostMemory = 256 * 1024 // KiB
	mostPasses = 10
	mostLanes  = 16
)

// Hash a password, in the PHC form $argon2id$v=19$m=…,t=…,p=…$salt$hash. It takes Memory bytes while it runs.
func Hash(password string) string {
	s := make([]byte, salt)
	_, _ = rand.Read(s) // never fails
	return format(hash{memory, passes, lanes, s, argon2.IDKey([]byte(password), s, passes, memory, lanes, keySize)})
}

// Memory that one Hash or Verify takes, in bytes.
const Memory = memory * 1024

type hash struct {
	memory, passes uint32
	lanes          uint8
	salt, key      []byte
}

func format(h hash) string {
	e := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.passes, h.lanes, e.EncodeToString(h.salt), e.EncodeToString(h.key))
}

// Verify tells whether the password is the one that was hashed. A hash that cannot be read verifies nothing.
func Verify(password, hashed string) (bool, error) {
	h, err := parse(hashed)
	if err != nil {
		return false, err
	}
	got := argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.lanes, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(got, h.key) == 1, nil
}

func parse(s string) (h hash, err error) {
	bad := func(what string) (hash, error) {
		return hash{}, fmt.Errorf("%w: stored hash of a password: %s", faultline.ErrInvalid, what)
	}
	parts := strings.Split(s, "$")
	if len(s) > 512 || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return bad("not argon2id of the version that is known")
	}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return bad("its cost is not m, t and p")
	}
	var n [3]uint64
	for i, name := range []string{"m=", "t=", "p="} {
		v, ok := strings.CutPrefix(costs[i], name)
		if n[i], err = strconv.ParseUint(v, 10, 32); !ok || err != nil {
			return bad("its cost is not m, t and p")
		}
	}
	if n[0] < 8*n[2] || n[0] > mostMemory || n[1] < 1 || n[1] > mostPasses || n[2] < 1 || n[2] > mostLanes {
		return bad("its cost is out of bounds")
	}
	h = hash{memory: uint32(n[0]), passes: uint32(n[1]), lanes: uint8(n[2])}
	e := base64.RawStdEncoding.Strict()
	if h.salt, err = e.DecodeString(parts[4]); err != nil || len(h.salt) < 8 || len(h.salt) > 64 {
		return bad("its salt cannot be read")
	}
	if h.key, err = e.DecodeString(parts[5]); err != nil || len(h.key) < 16 || len(h.key) > 64 {
		return bad("it cannot be read")
	}
	return h, nil
}

// New makes a secret of 256 random bits or more, as text that can stand in an address or a header.
func New() string { return rand.Text() + rand.Text() }

// ID makes a short name that opens nothing.
func ID() string { return strings.ToLower(rand.Text()[:10]) }

// Key is what is kept of a secret: its SHA-256 in hex. A secret of ours is random and long, so a slow
// hash would add nothing.
func Key(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// tokenMark is what API tokens begin with, so that scanners of repositories and logs find them.
const tokenMark = "flt_"

// NewToken makes the secret of an API token.
func NewToken() string { return tokenMark + New() }

// ParseBearer gives the token of an Authorization header; false if it holds none of ours.
func ParseBearer(header string) (token string, ok bool) {
	scheme, rest, found := strings.Cut(header, " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	rest = strings.TrimSpace(rest)
	body, marked := strings.CutPrefix(rest, tokenMark)
	if !marked || !plausible(body) {
		return "", false
	}
	return rest, true
}

// Plausible tells whether text from outside can be a secret of New at all; only then is it looked up.
func Plausible(s string) bool { return plausible(s) }

func plausible(s string) bool {
	if len(s) != 52 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}
