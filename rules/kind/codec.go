package kind

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/faultline-iot/faultline"
)

// reader takes a snapshot apart. After the first fault it gives zeros; err tells.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad = true
		r.b = nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) float() float64 {
	if len(r.b) < 8 {
		r.bad = true
		r.b = nil
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(r.b))
	r.b = r.b[8:]
	return v
}

// end says whether everything could be read and nothing is left over.
func (r *reader) end(kind string) error {
	if r.bad || len(r.b) != 0 {
		return fmt.Errorf("%w: state of a %s rule is damaged", faultline.ErrInvalid, kind)
	}
	return nil
}

func putInt(dst []byte, v int64) []byte { return binary.AppendVarint(dst, v) }

func putFloat(dst []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
}
