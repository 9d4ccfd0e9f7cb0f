//go:build unix

package main

import "golang.org/x/sys/unix"

// freeDisk gives the bytes that this user may still write below dir; false if that cannot be told.
func freeDisk(dir string) (int64, bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true
}
