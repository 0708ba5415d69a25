package logrule

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestFormula(t *testing.T) {
	values := map[string]float64{"a": 6, "b": 4, "zero": 0, "ms total": 2500, "金额": 7.5, "min": 3}
	for text, want := range map[string]float64{
		"a":                 6,
		"a + b * 2":         14,
		"(a + b) * 2":       20,
		"a - b - 1":         1,
		"a / b / 2":         0.75,
		"-a + -(-b)":        -2,
		"--a":               6,
		"abs(b - a)":        2,
		"round(a / b)":      2,
		"min(a, b, zero)":   0,
		"max(a, b, 金额)":     7.5,
		`"ms total" / 1000`: 2.5,
		"金额*2":              15,
		"min + 1":           4, // a column may be called as a function
		".5*a":              3,
		" a\t*\n1.25 ":      7.5,
		strings.Repeat("(", 20) + "a" + strings.Repeat(")", 20): 6,
	} {
		f, err := ParseFormula(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var given []float64
		for _, c := range f.Columns() {
			given = append(given, values[c])
		}
		if got, ok := f.Value(given); !ok || math.Abs(got-want) > 1e-12 {
			t.Errorf("%s is %v, %t, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"a / zero", "zero / zero", "a / (b - 4)"} {
		f, err := ParseFormula(text)
		if err != nil {
			t.Fatal(err)
		}
		var given []float64
		for _, c := range f.Columns() {
			given = append(given, values[c])
		}
		if v, ok := f.Value(given); ok {
			t.Errorf("%s is %v", text, v)
		}
	}
	if f, err := ParseFormula("a + b / a"); err != nil || !slices.Equal(f.Columns(), []string{"a", "b"}) {
		t.Errorf("columns %v, %v", f, err)
	}
	for text, why := range map[string]string{
		"":                       "ends where",
		"1 + 2":                  "names no column",
		"a +":                    "ends where",
		"a b":                    `'b' at character 3`,
		"(a":                     "ends where",
		"a)":                     `')' at character 2`,
		"a % b":                  `'%' at character 3`,
		"round(a, b)":            "round has 2 arguments",
		"max(a)":                 "max has 1 arguments",
		`"a`:                     "lacks the end",
		"1.2.3 * a":              "character 1",
		"金额 ÷ 2":                 `'÷' at character 4`,
		strings.Repeat("(", 30):  "parentheses",
		strings.Repeat("a", 501): "at most 500",
	} {
		if _, err := ParseFormula(text); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want %q", text, err, why)
		}
	}
}

func FuzzFormula(f *testing.F) {
	f.Add(`max(a, "b c") / -(1.5 - d)`)
	f.Fuzz(func(t *testing.T, text string) {
		if parsed, err := ParseFormula(text); err == nil {
			parsed.Value(make([]float64, len(parsed.Columns())))
		}
	})
}
