//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package embedded

import "os"

// lockFile only opens the file: on the remaining systems there is no lock that dies with its process,
// and a stale one would keep a crashed program from starting again.
func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
}
