package embedded

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// A shard's index names its files in one file for each of its parts, which the engine writes without
// syncing it. After a loss of power that file may be empty, and then the engine neither reads nor writes
// anything of the shard, for ever. The points and their write-ahead log are synced; the index is made of
// them again where it is not there.

const (
	indexDir   = "index"
	manifest   = "MANIFEST"
	fieldsFile = "fields.idx" // with it, the engine takes the index for complete
)

// repairIndexes removes every index that cannot be opened, so that it is made anew, and tells which.
func repairIndexes(dataDir string) (repaired []string, err error) {
	shards, err := filepath.Glob(filepath.Join(dataDir, "*", "*", "*", indexDir))
	if err != nil {
		return nil, err
	}
	for _, index := range shards {
		parts, err := os.ReadDir(index)
		if err != nil {
			return repaired, err
		}
		broken := false
		for _, p := range parts {
			ok, err := readable(filepath.Join(index, p.Name()))
			if err != nil {
				return repaired, err
			}
			broken = broken || !ok
		}
		if !broken {
			continue
		}
		shard := filepath.Dir(index)
		// The fields first: an index that is gone beside them would be taken for an empty one.
		if err := os.Remove(filepath.Join(shard, fieldsFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return repaired, err
		}
		if err := os.RemoveAll(index); err != nil {
			return repaired, err
		}
		repaired = append(repaired, shard)
	}
	return repaired, nil
}

// readable tells whether a part of an index names its files.
func readable(part string) (bool, error) {
	b, err := os.ReadFile(filepath.Join(part, manifest))
	if errors.Is(err, fs.ErrNotExist) {
		files, err := os.ReadDir(part)
		return len(files) == 0, err
	}
	return json.Valid(b), err
}
