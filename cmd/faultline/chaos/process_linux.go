package chaos

import (
	"os/user"
	"strconv"
	"syscall"
)

// attributes of a process that ends with us, whatever ends us, run as the named user ("" is ours).
func attributes(name string) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // a Ctrl-C is for us alone
	if u, err := user.Lookup(name); name != "" && err == nil {
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		a.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return a
}

const (
	sigStop = syscall.SIGSTOP
	sigCont = syscall.SIGCONT
)
