package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// disk is a small ext4 file system in a file, so that it can be full, and lose its power, alone.
type disk struct{ image, dir string }

// goingDown is EXT4_IOC_SHUTDOWN, the same as XFS_IOC_GOINGDOWN; noFlush drops everything that was not
// synced, as a loss of power does.
const (
	goingDown = 0x8004587d
	noFlush   = 2
)

const diskSize = 768 << 20

// newDisk makes and mounts a disk under dir. The error says why that is not possible here.
func newDisk(ctx context.Context, dir, name string) (*disk, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("needs root, for file systems in a file")
	}
	d := &disk{image: filepath.Join(dir, name+".img"), dir: filepath.Join(dir, name)}
	f, err := os.Create(d.image)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(diskSize); err != nil {
		return nil, err
	}
	// -m 0: nothing is kept back for root. No lazy initialisation, which would write behind our backs.
	if err := do(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", d.image); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, err
	}
	return d, d.mount(ctx)
}

func do(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (d *disk) mount(ctx context.Context) error {
	return do(ctx, "mount", "-o", "loop", d.image, d.dir)
}

// unmount waits for those who still hold it.
func (d *disk) unmount(ctx context.Context) (err error) {
	for range 50 {
		if err = do(ctx, "umount", d.dir); err == nil || ctx.Err() != nil {
			return err
		}
		pause(ctx, 100*time.Millisecond)
	}
	return err
}

func (d *disk) close() {
	_ = d.unmount(context.Background())
	_ = os.Remove(d.image)
}

// powerOff drops everything that was not synced; every write fails from now on.
func (d *disk) powerOff() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), goingDown, noFlush); err != nil {
		return fmt.Errorf("shut down the file system %s: %w", d.dir, err)
	}
	return nil
}

// powerOn mounts it again; its journal is replayed.
func (d *disk) powerOn(ctx context.Context) error {
	if err := d.unmount(ctx); err != nil {
		return err
	}
	return d.mount(ctx)
}

// fill takes all free space; free gives it back.
func (d *disk) fill() error {
	f, err := os.OpenFile(filepath.Join(d.dir, "ballast"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	at := int64(0)
	for step := int64(64 << 20); step >= 4096; {
		if err := unix.Fallocate(int(f.Fd()), 0, at, step); err == nil {
			at += step
		} else if errors.Is(err, unix.ENOSPC) {
			step /= 2
		} else {
			return fmt.Errorf("fill %s: %w", d.dir, err)
		}
	}
	return nil
}

func (d *disk) free() error { return os.Remove(filepath.Join(d.dir, "ballast")) }

// tryPower shows on a disk of its own that a loss of power loses what was not synced, and only that.
func tryPower(ctx context.Context, dir string) error {
	d, err := newDisk(ctx, dir, "power-test")
	if err != nil {
		return err
	}
	defer d.close()
	write := func(name string, sync bool) error {
		f, err := os.Create(filepath.Join(d.dir, name))
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err = f.WriteString(strings.Repeat("x", 100_000)); err == nil && sync {
			err = f.Sync()
		}
		return err
	}
	size := func(name string) int64 {
		if i, err := os.Stat(filepath.Join(d.dir, name)); err == nil {
			return i.Size()
		}
		return 0
	}
	if err := errors.Join(write("synced", true), write("unsynced", false), d.powerOff(), d.powerOn(ctx)); err != nil {
		return err
	}
	if a, b := size("synced"), size("unsynced"); a != 100_000 || b != 0 {
		return fmt.Errorf("after the shutdown of a test file system %d of 100000 synced bytes were there and %d unsynced ones: that is no loss of power", a, b)
	}
	return nil
}
