package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes, written with a unit: 64KiB, 1.5GB, 0B.
type Size int64

// Units of Size.
const (
	Byte Size = 1
	KiB       = 1024 * Byte
	MiB       = 1024 * KiB
	GiB       = 1024 * MiB
	TiB       = 1024 * GiB
)

var sizeUnits = []struct {
	name string
	size Size
}{
	{"TiB", TiB}, {"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"kB", 1e3}, {"B", 1},
}

// ParseSize reads a Size. A bare number, a negative one and one over 8 EiB are errors.
func ParseSize(text string) (Size, error) {
	for _, unit := range sizeUnits {
		number, ok := strings.CutSuffix(text, unit.name)
		if !ok {
			continue
		}
		number = strings.TrimSuffix(number, " ")
		if n, err := strconv.ParseUint(number, 10, 63); err == nil && n <= uint64(math.MaxInt64/unit.size) {
			return Size(n) * unit.size, nil
		}
		f, err := decimal(number)
		if err != nil || f*float64(unit.size) >= math.MaxInt64 {
			break
		}
		return Size(f * float64(unit.size)), nil
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return 0, fmt.Errorf("size %q has no unit", text)
	}
	return 0, fmt.Errorf("%q is not a size", text)
}

// String is the form that ParseSize reads, in the largest unit that divides it.
func (s Size) String() string {
	for _, unit := range sizeUnits {
		if s != 0 && s%unit.size == 0 {
			return strconv.FormatInt(int64(s/unit.size), 10) + unit.name
		}
	}
	return "0B"
}

// decimal reads digits with an optional fraction; no sign, exponent or special value.
func decimal(text string) (float64, error) {
	if text == "" || strings.Trim(text, "0123456789.") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseFloat(text, 64)
}

// ParseDuration reads a duration as Go writes it, and days: 5s, 1h30m, 7d. A bare number and a negative one are errors.
func ParseDuration(text string) (time.Duration, error) {
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return 0, fmt.Errorf("duration %q has no unit", text)
	}
	bad := fmt.Errorf("%q is not a duration", text)
	days, rest, found := strings.Cut(text, "d")
	if !found {
		days, rest = "0", text
	}
	n, err := decimal(days)
	if err != nil || n > 100_000 {
		return 0, bad
	}
	var d time.Duration
	if rest != "" {
		if d, err = time.ParseDuration(rest); err != nil || rest[0] < '0' || rest[0] > '9' {
			return 0, bad
		}
	} else if !found {
		return 0, bad
	}
	if sum := time.Duration(n*24*float64(time.Hour)) + d; sum >= 0 {
		return sum, nil
	}
	return 0, bad
}

// FormatDuration writes a duration without zero parts: 2m, 24h, 1m30s.
func FormatDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Rate is N starts in Per. The zero value is no limit.
type Rate struct {
	N   int
	Per time.Duration
}

// ParseRate reads 100/s, 10/m, 1000/h or 5/10s; empty is no limit.
func ParseRate(text string) (Rate, error) {
	if text == "" {
		return Rate{}, nil
	}
	bad := fmt.Errorf("%q is not a rate", text)
	number, per, ok := strings.Cut(text, "/")
	n, err := strconv.ParseUint(number, 10, 31)
	if !ok || err != nil || n == 0 || per == "" {
		return Rate{}, bad
	}
	if per[0] < '0' || per[0] > '9' {
		per = "1" + per
	}
	d, err := ParseDuration(per)
	if err != nil || d <= 0 {
		return Rate{}, bad
	}
	return Rate{N: int(n), Per: d}, nil
}

// String is the form that ParseRate reads.
func (r Rate) String() string {
	if r.N == 0 {
		return ""
	}
	per := FormatDuration(r.Per)
	if unit, ok := strings.CutPrefix(per, "1"); ok && strings.Trim(unit, "nµmsh") == "" {
		per = unit
	}
	return strconv.Itoa(r.N) + "/" + per
}
