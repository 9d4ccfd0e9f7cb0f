package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/faultline-iot/faultline"
)

// Size is a number of bytes, written as 500MB, 8GiB or a plain number.
type Size int64

// Rate is bytes a second, written as 64kB/s.
type Rate int64

var units = []struct {
	name  string
	bytes float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(b []byte) error {
	text := strings.TrimSpace(string(b))
	number, factor := text, 1.0
	for _, u := range units {
		if n, ok := strings.CutSuffix(text, u.name); ok {
			number, factor = strings.TrimSpace(n), u.bytes
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(v) || v < 0 || v*factor > 1<<60 {
		return fmt.Errorf("%w: %q is no size: write it as 500MB, 8GiB or a number of bytes", faultline.ErrInvalid, text)
	}
	*s = Size(v * factor)
	return nil
}

// UnmarshalText reads a rate.
func (r *Rate) UnmarshalText(b []byte) error {
	text := strings.TrimSpace(string(b))
	bytes, ok := strings.CutSuffix(text, "/s")
	var s Size
	if !ok || s.UnmarshalText([]byte(bytes)) != nil {
		return fmt.Errorf("%w: %q is no rate: write it as 64kB/s", faultline.ErrInvalid, text)
	}
	*r = Rate(s)
	return nil
}

// String writes a size as people read it.
func (s Size) String() string {
	switch v := float64(s); {
	case s >= 1<<30:
		return strconv.FormatFloat(v/(1<<30), 'f', 1, 64) + " GiB"
	case s >= 1<<20:
		return strconv.FormatFloat(v/(1<<20), 'f', 1, 64) + " MiB"
	case s >= 1<<10:
		return strconv.FormatFloat(v/(1<<10), 'f', 1, 64) + " KiB"
	}
	return strconv.FormatInt(int64(s), 10) + " bytes"
}
