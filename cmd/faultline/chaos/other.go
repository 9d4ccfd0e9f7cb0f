//go:build !linux

package chaos

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
)

var errLinux = errors.New("needs Linux")

type network struct {
	field, site, hub, gateway string
	loss, passed, dropped     atomic.Int64
}

func newNetwork(context.Context) (*network, error) { return nil, errLinux }
func (*network) close()                            {}
func (*network) inside(f func() error) error       { return f() }

type disk struct{ dir string }

func newDisk(context.Context, string, string) (*disk, error) { return nil, errLinux }
func (*disk) close()                                         {}
func (*disk) powerOff() error                                { return errLinux }
func (*disk) powerOn(context.Context) error                  { return errLinux }
func (*disk) fill() error                                    { return errLinux }
func (*disk) free() error                                    { return errLinux }
func tryPower(context.Context, string) error                 { return errLinux }

func attributes(string) *syscall.SysProcAttr { return nil }

const (
	sigStop = syscall.SIGKILL // there is no stopping for a while
	sigCont = syscall.SIGKILL
)

const diskSize = 0
