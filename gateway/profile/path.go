package profile

import (
	"fmt"
	"strings"

	"github.com/faultline-iot/faultline"
)

// ParsePath splits the path of a value in a payload, such as "battery.cells.0.voltage", into its keys;
// a key of digits is an index where it meets an array. A dot within a key is written "\.". The empty
// path is the whole payload.
func ParsePath(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	var keys []string
	var key strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '\\' && i+1 < len(path) && (path[i+1] == '.' || path[i+1] == '\\'):
			i++
			key.WriteByte(path[i])
		case c == '.':
			keys = append(keys, key.String())
			key.Reset()
		default:
			key.WriteByte(c)
		}
	}
	keys = append(keys, key.String())
	for _, k := range keys {
		if k == "" {
			return nil, fmt.Errorf("%w: path %q has an empty key", faultline.ErrInvalid, path)
		}
	}
	return keys, nil
}
