package logrule

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/pharos-stack/pharos/internal/fielderr"
)

func TestMaskingUnderPolicies(t *testing.T) {
	own := Masking{Without: []Mask{MaskEmail, MaskMobile}, Replace: []Replacement{{Pattern: "own", With: "o"}}}
	got, err := json.Marshal(own.Under([]MaskingPolicy{
		{Always: []Mask{MaskMobile, MaskIDCard}},
		{Replace: []Replacement{{Pattern: "first", With: "f"}}},
	}))
	want := `{"without":["email"],"replace":[{"pattern":"first","with":"f"},{"pattern":"own","with":"o"}],"enforced":true}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if len(own.Without) != 2 || len(own.Replace) != 1 {
		t.Error("the monitor's own masking was changed")
	}
}

// TestPolicyPassesTheAgent: a spec under policies is what an agent is sent, and it
// checks it.
func TestPolicyPassesTheAgent(t *testing.T) {
	many := MaskingPolicy{Title: "p"}
	for range MaxMasks {
		many.Replace = append(many.Replace, Replacement{Pattern: "x"})
	}
	for _, kind := range []Type{Minute, RowTop} {
		s := Spec{Title: "m", Type: kind, Paths: []string{"/x"}, Time: TimeRule{Format: TimeNormal}, Columns: []Column{{Name: "c", Line: true}}}
		if kind == RowTop {
			s.SortColumn = "c"
		}
		s.Masking = s.Masking.Under([]MaskingPolicy{many, many})
		if err := s.WithDefaults().Validate("spec"); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestMaskingPolicyIsChecked(t *testing.T) {
	for _, c := range []struct {
		policy MaskingPolicy
		want   string
	}{
		{MaskingPolicy{Title: "t", Always: []Mask{MaskEmail}}, ""},
		{MaskingPolicy{Title: "t"}, "spec masks_required"},
		{MaskingPolicy{Always: []Mask{"face"}}, "spec.title bad_title, spec.always[0] bad_mask"},
		{MaskingPolicy{Title: "t", Replace: []Replacement{{Pattern: "("}, {Pattern: "a", With: strings.Repeat("x", 201)}}}, "spec.replace[0].pattern bad_regex, spec.replace[1].with too_long"},
		{MaskingPolicy{Title: "t", Replace: make([]Replacement, 11)}, "spec.replace too_many"},
	} {
		var text []string
		var es fielderr.Errors
		if errors.As(c.policy.Validate("spec"), &es) {
			for _, e := range es {
				text = append(text, e.Field+" "+e.Code)
			}
		}
		if got := strings.Join(text, ", "); got != c.want && !(c.want == "spec.replace too_many" && strings.HasPrefix(got, c.want)) {
			t.Errorf("%+v: %s, want %s", c.policy, got, c.want)
		}
	}
}
