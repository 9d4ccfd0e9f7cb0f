//go:build !unix

package main

// freeDisk gives the bytes that this user may still write below dir; false if that cannot be told.
func freeDisk(string) (int64, bool) { return 0, false }
