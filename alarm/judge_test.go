package alarm

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/logrule"
)

// TestJudge runs the cases of testdata/judge.txt.
func TestJudge(t *testing.T) {
	text, err := os.ReadFile("testdata/judge.txt")
	if err != nil {
		t.Fatal(err)
	}
	cases := strings.Split(string(text), "\ncase ")[1:]
	for _, c := range cases {
		name, body, _ := strings.Cut(c, "\n")
		t.Run(name, func(t *testing.T) { runJudgeCase(t, body) })
	}
	if len(cases) < 19 {
		t.Fatalf("only %d cases were read", len(cases))
	}
}

func runJudgeCase(t *testing.T, body string) {
	spec := alarmrule.Spec{}.WithDefaults()
	var inputs []Input
	missing := map[int]bool{}
	number := func(s string) float64 {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	wants := 0
	for line := range strings.Lines(body) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		switch f[0] {
		case "join":
			spec.Join = alarmrule.Join(f[1])
		case "cond":
			spec.Conditions = append(spec.Conditions, alarmrule.Condition{Method: alarmrule.Current, Op: alarmrule.Op(f[1]), Threshold: new(number(f[2]))})
			kind := logrule.StatKind(f[3])
			if f[3] == "expr" {
				kind = ""
			}
			in := Input{Kind: kind, Values: map[string]float64{}, noIsFalse: kind == ""}
			if kind.Additive() {
				in.absent = new(0.0)
			}
			missing[len(inputs)] = true
			inputs = append(inputs, in)
		case "data":
			i := 0
			for i < len(inputs)-1 && !missing[i] {
				i++
			}
			delete(missing, i)
			inputs[i].Completeness = number(f[1])
			for _, pair := range f[2:] {
				object, value, _ := strings.Cut(pair, "=")
				if object == "*" {
					object = ""
				}
				inputs[i].Values[object] = number(value)
			}
		case "want":
			wants++
			if got := judge(spec, inputs, f[1]).Truth.String(); got != f[2] {
				t.Errorf("%s is %s, want %s", f[1], got, f[2])
			}
		default:
			t.Fatalf("unknown line %q", line)
		}
	}
	if wants == 0 {
		t.Fatal("the case wants nothing")
	}
}

// TestAdvanceInvariants checks the run counters on random verdicts: firing
// needs For true checks in a row, recovery RecoverAfter false ones, and unknown
// changes nothing.
func TestAdvanceInvariants(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		spec := alarmrule.Spec{For: 1 + rng.IntN(4), RecoverAfter: 1 + rng.IntN(4)}.WithDefaults()
		var o alarmstate.Object
		trueRun, falseRun := 0, 0
		for range 100 {
			before := o.FalseRun
			runBefore := o.Runs[""]
			truth := Truth(rng.IntN(3))
			got, _ := advance(spec, &o, Verdict{Truth: truth, Classes: map[alarmrule.Class]Truth{"": truth}}, 0)
			want := stays
			switch truth {
			case Unknown:
				if o.Runs[""] != runBefore || o.FalseRun != before {
					t.Fatal("unknown counted")
				}
			case True:
				trueRun, falseRun = trueRun+1, 0
				if o.AlertID != "" {
					want = keepsFiring
				} else if trueRun >= spec.For {
					want = fires
				}
			case False:
				trueRun, falseRun = 0, falseRun+1
				if o.AlertID != "" && falseRun >= spec.RecoverAfter {
					want = recovers
				}
			}
			if got != want {
				t.Fatalf("step is %d, want %d (true run %d, false run %d, %+v)", got, want, trueRun, falseRun, spec)
			}
			switch got {
			case fires:
				o.AlertID = "a"
			case recovers:
				o = alarmstate.Object{}
				trueRun, falseRun = 0, 0
			}
		}
	}
}
