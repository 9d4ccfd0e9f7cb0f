//go:build !linux

package main

import "os"

// hideInput is for Linux only: elsewhere a password comes from a file, or is set by a one-time link.
func hideInput(*os.File) (show func(), ok bool) { return nil, false }
