package logrule

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

func TestParseTranslation(t *testing.T) {
	got, err := ParseTranslation(`
// results
200 => Y
^5\d\d$ ~> server_error
[100,200) #> informational
/api/ ^> "an => api"
.png $> picture
timeout *> slow
"*" => star
" x " => "// not a comment"
* => other
`)
	want := Translation{Default: DefaultConstant, Constant: "other", Entries: []TranslationEntry{
		{MatchExact, "200", "Y"}, {MatchRegex, `^5\d\d$`, "server_error"}, {MatchRange, "[100,200)", "informational"}, {MatchPrefix, "/api/", "an => api"},
		{MatchSuffix, ".png", "picture"}, {MatchContains, "timeout", "slow"}, {MatchExact, "*", "star"}, {MatchExact, " x ", "// not a comment"}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := ParseTranslation("a => b\n* => !drop_line"); err != nil || got.Default != DefaultDropLine || got.Constant != "" {
		t.Errorf("%+v, %v", got, err)
	}
	for script, want := range map[string]string{
		"a b":                "line 1: \"a b\" has no arrow",
		"\n\"a => b":         "line 2: ",
		"\"a\" b => c":       "no arrow after the value",
		"a => \"b\" c":       `has " c" after the new value`,
		"* => a\n* => b":     "line 2: \"* => b\" is a second default",
		"a => \"b":           "quote that does not end",
		"x => 1\ny\nz => \"": "line 2: ",
	} {
		if _, err := ParseTranslation(script); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", script, err, want)
		}
	}
}

// TestScriptsAreLossless writes random translations and reads them back.
func TestScriptsAreLossless(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	texts := []string{"", "a", "*", " a", "a ", `"`, `say "x"`, "//", "a//b", "=>", "a ~> b", "!drop_line", "中文", "tab\t", "new\nline", `\d+`, `back\`, "a=>b", "#", "\xff"}
	kinds := []TranslationMatch{MatchExact, MatchPrefix, MatchSuffix, MatchContains, MatchRegex, MatchRange}
	pick := func() string { return texts[rng.IntN(len(texts))] }
	for range 3000 {
		want := Translation{Default: []TranslationDefault{DefaultKeep, DefaultDropLine, DefaultConstant}[rng.IntN(3)]}
		if want.Default == DefaultConstant {
			want.Constant = pick()
		}
		for range rng.IntN(5) {
			want.Entries = append(want.Entries, TranslationEntry{kinds[rng.IntN(len(kinds))], pick(), pick()})
		}
		script := WriteTranslation(want)
		if got, err := ParseTranslation(script); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v becomes\n%sand is read as\n%+v, %v", want, script, got, err)
		}
	}
}

func TestRanges(t *testing.T) {
	for _, c := range []struct {
		text    string
		in, out []float64
	}{
		{"[100,200)", []float64{100, 150, 199.99}, []float64{99, 200}},
		{"(0,1]", []float64{0.5, 1}, []float64{0, 1.1}},
		{"[500,)", []float64{500, 1e300}, []float64{499}},
		{"( , -1)", []float64{-2}, []float64{-1, 0}},
		{"[3,3]", []float64{3}, []float64{2.9}},
	} {
		r, err := ParseRange(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
		}
		for _, v := range c.in {
			if !r.Has(v) {
				t.Errorf("%s does not have %v", c.text, v)
			}
		}
		for _, v := range c.out {
			if r.Has(v) {
				t.Errorf("%s has %v", c.text, v)
			}
		}
	}
	for _, bad := range []string{"", "1-2", "[1 2]", "[2,1]", "(1,1)", "[a,2]", "[1,NaN]", "{1,2}"} {
		if _, err := ParseRange(bad); err == nil {
			t.Errorf("%q is a range", bad)
		}
	}
}
