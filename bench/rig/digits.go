package rig

import (
	"fmt"
	"math"
	"strings"
)

// Digits writes three significant digits, and thousands with a comma.
func Digits(v float64) string {
	if v == 0 {
		return "0"
	}
	scale := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-2)
	v = math.Round(v/scale) * scale
	text := fmt.Sprintf("%.*f", max(0, 2-int(math.Floor(math.Log10(math.Abs(v)*(1+1e-9))))), v)
	for i := len(text) - 3; i > 0 && text[i-1] != '-' && !strings.Contains(text, "."); i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
