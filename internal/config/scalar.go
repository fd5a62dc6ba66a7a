package config

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	namePattern   = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)
	nodePattern   = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`) // it becomes part of the names of streams
	secretPattern = regexp.MustCompile(`\$\{env:([^}]*)\}`)
)

// mistake is a value that does not fit its key; the hint is the way to write it.
type mistake struct{ what, hint string }

func (m *mistake) Error() string { return m.what }

func wrong(hint, format string, args ...any) error {
	return &mistake{what: fmt.Sprintf(format, args...), hint: hint}
}

// parse reads the text of one value of the key's type.
func (k key) parse(text string, t reflect.Type) (reflect.Value, error) {
	v := reflect.New(t).Elem()
	switch {
	case t == durationType:
		d, err := ParseDuration(text)
		if err != nil {
			return v, wrong("write a number and a unit of ns, us, ms, s, m, h or d, as in 5s", "%v", err)
		}
		v.SetInt(int64(d))
	case t == sizeType:
		s, err := ParseSize(text)
		if err != nil {
			return v, wrong("write a number and a unit of B, KB, KiB, MB, MiB, GB, GiB, TB or TiB, as in 64KiB", "%v", err)
		}
		v.SetInt(int64(s))
	case t == rateType:
		r, err := ParseRate(text)
		if err != nil {
			return v, wrong("write a count and a time, as in 100/s, 10/m or 5/10s", "%v", err)
		}
		v.Set(reflect.ValueOf(r))
	case t.Kind() == reflect.Int:
		n, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 10, 64)
		if err != nil {
			return v, wrong("write a whole number", "%q is not a whole number", text)
		}
		v.SetInt(n)
	case t.Kind() == reflect.Float64:
		f, err := decimal(text)
		if err != nil {
			return v, wrong("write a number, as in 0.5", "%q is not a number", text)
		}
		v.SetFloat(f)
	case t.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return v, wrong("write true or false", "%q is not true or false", text)
		}
		v.SetBool(text == "true")
	default:
		v.SetString(text)
	}
	return v, nil
}

// check holds a value against the bounds and patterns of the key's tags.
func (k key) check(v reflect.Value) error {
	if low := k.tag.Get("min"); low != "" {
		if bound, _ := k.parse(low, v.Type()); number(v) < number(bound) {
			return wrong("write "+low+" or more", "%s is below the least value %s", format(v), low)
		}
	}
	if high := k.tag.Get("max"); high != "" {
		if bound, _ := k.parse(high, v.Type()); number(v) > number(bound) {
			return wrong("write "+high+" or less", "%s is above the largest value %s", format(v), high)
		}
	}
	if allowed := k.tag.Get("enum"); allowed != "" {
		words := strings.Split(allowed, ",")
		if !slices.Contains(words, v.String()) {
			hint := "write one of " + strings.Join(words, ", ")
			if near := Nearest(v.String(), words); near != "" {
				hint = "write " + near
			}
			return wrong(hint, "%q is not one of %s", v.String(), strings.Join(words, ", "))
		}
	}
	switch k.tag.Get("pattern") {
	case "node":
		if !nodePattern.MatchString(v.String()) {
			return wrong("write a lower case letter, then letters, digits, - or _, at most 32 in all", "%q is not a name of a node", v.String())
		}
	case "address":
		return checkAddress(v.String())
	case "optional-address":
		if v.String() != "" {
			return checkAddress(v.String())
		}
	}
	return nil
}

func checkAddress(text string) error {
	const hint = "write host:port or :port, as in 127.0.0.1:8080"
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return wrong(hint, "%q is not an address to listen on", text)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return wrong("write a port from 0 to 65535", "%q is not a port", port)
	}
	return nil
}

func number(v reflect.Value) float64 {
	if v.CanFloat() {
		return v.Float()
	}
	return float64(v.Int())
}

// format is the text that parse reads.
func format(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return FormatDuration(x)
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	default:
		return fmt.Sprint(x)
	}
}

// expand replaces ${env:NAME} in a text of a file.
func expand(text string, env map[string]string) (string, error) {
	var missing error
	text = secretPattern.ReplaceAllStringFunc(text, func(match string) string {
		name := secretPattern.FindStringSubmatch(match)[1]
		value, ok := env[name]
		if !ok && missing == nil {
			missing = wrong("export "+name+", or write the value", "environment variable %q is not set", name)
		}
		return value
	})
	return text, missing
}

// reveal reads a secret that is given as file:NAME.
func reveal(text, base string) (string, error) {
	name, ok := strings.CutPrefix(text, "file:")
	if !ok {
		return text, nil
	}
	data, err := os.ReadFile(relative(base, name))
	if err != nil {
		return "", wrong("write the name of a file that can be read after file:", "%v", err)
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}

// relative takes a path of a configuration file in folder base.
func relative(base, path string) string {
	if path == "" || base == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(base, path)
}
