package provision

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
)

// kept is what a gateway remembers of its configuration. It is written whole or not at all: a crash while a
// new version is on trial leaves the one before, and the trial is made again.
type kept struct {
	Works   bus.GatewayConfig `json:"works"`
	Refused bus.GatewayConfig `json:"refused"`
	Why     string            `json:"why,omitempty"`
	Tried   bool              `json:"tried,omitempty"` // the refused one passed its check; a start does not try it again
}

func load(file string) (kept, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return kept{}, nil
	}
	if err != nil {
		return kept{}, fmt.Errorf("read the configuration that was kept: %w", err)
	}
	return parse(file, data)
}

func parse(file string, data []byte) (k kept, err error) {
	if err := json.Unmarshal(data, &k); err != nil {
		return kept{}, fmt.Errorf("%w: %s: it cannot be read; remove it, and the gateway begins with its own file: %w", faultline.ErrInvalid, file, err)
	}
	return k, nil
}

func save(file string, k kept) error {
	data, err := json.Marshal(k)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("keep the configuration: %w", err)
	}
	d, err := os.Open(filepath.Dir(file)) // the new name is safe once its directory is
	if err != nil {
		return err
	}
	_ = d.Sync() // not every system can
	return d.Close()
}
