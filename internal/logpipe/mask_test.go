package logpipe

import (
	"strings"
	"testing"

	"github.com/pharos-stack/pharos/internal/logrule"
)

func TestMasks(t *testing.T) {
	for _, c := range []struct{ what, in, want string }{
		{"mobile", "tel=13812345678,", "tel=138****5678,"},
		{"mobile at both ends", "13812345678", "138****5678"},
		{"mobile in groups", "call 138-1234-5678 or 139 1234 5678", "call 138-****-5678 or 139 **** 5678"},
		{"mobile with country", "+8613812345678 008613912345678", "+86138****5678 0086139****5678"},
		{"mobile after letters", "电话：13812345678转x", "电话：138****5678转x"},
		{"two after each other", "13812345678 13912345678", "138****5678 139****5678"},
		{"mobile beside a time", "2026-11-23 19:24:59 13812345678 2026-11-23", "2026-11-23 19:24:59 138****5678 2026-11-23"},
		{"no mobile: 12 in front", "12812345678", "12812345678"},
		{"no mobile: more digits", "138123456789 913812345678", "138123456789 913812345678"},
		{"id card", "id 11010519491231002X", "id 110***********002X"},
		{"id card of digits", "440308199901010012 ok", "440***********0012 ok"},
		{"id card with small x", "11010519491231002x.", "110***********002x."},
		{"mistyped id card", "110105194912310021", "110***********0021"},
		{"no id card: no date", "110105194913310021", "110105194913310021"},
		{"no id card: 19 digits", "1101051949123100211", "1101051949123100211"},
		{"visa", "card 4111111111111111;", "card 411111******1111;"},
		{"unionpay of 19", "6222021234567890128", "622202*********0128"},
		{"card in groups", "4111 1111 1111 1111", "4111 11** **** 1111"},
		{"card with hyphens", "pan=4111-1111-1111-1111", "pan=4111-11**-****-1111"},
		{"amex", "3782 822463 10005", "3782 82**** *0005"},
		{"no card: wrong check digit", "4111111111111112", "4111111111111112"},
		{"no card: time in milliseconds", "1763926000007 1763926000015", "1763926000007 1763926000015"},
		{"no card: time written out", "20261123192459122 20261123192459130", "20261123192459122 20261123192459130"},
		{"no card: part of more digits", "41111111111111110000000000", "41111111111111110000000000"},
		{"mail", "from zhang.san+x@mail.example.com to <b@c.cn>", "from z***@mail.example.com to <b***@c.cn>"},
		{"mail of other letters", "张三@example.com", "张***@example.com"},
		{"mail at the end of a sentence", "ask a@example.com.", "ask a***@example.com."},
		{"no mail", "@home me@localhost a@.com @x.y user@ a@b..c", "@home me@localhost a@.com @x.y user@ a@b..c"},
		{"a long run of digits", strings.Repeat("7", 100) + " 13812345678", strings.Repeat("7", 100) + " 138****5678"},
		{"a long run of groups", strings.Repeat("77 ", 100) + "13812345678", strings.Repeat("77 ", 100) + "138****5678"},
		{"all of a line", "u=a@b.cn,13812345678,11010519491231002X,4111111111111111", "u=a***@b.cn,138****5678,110***********002X,411111******1111"},
		{"nothing", "GET /item/42 200 3.14159265358979", "GET /item/42 200 3.14159265358979"},
		{"empty", "", ""},
	} {
		m, err := newMasker(logrule.Masking{})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(m.mask([]byte(c.in))); got != c.want {
			t.Errorf("%s: %q becomes %q, want %q", c.what, c.in, got, c.want)
		}
	}
	const line = "t=abc13812345678 a@b.cn 11010519491231002X 4111111111111111"
	for _, c := range []struct {
		m    logrule.Masking
		want string
	}{
		{logrule.Masking{Without: []logrule.Mask{"mobile"}}, "t=abc13812345678 a***@b.cn 110***********002X 411111******1111"},
		{logrule.Masking{Without: []logrule.Mask{"id_card", "email"}}, "t=abc138****5678 a@b.cn 11010519491231002X 411111******1111"},
		{logrule.Masking{Without: []logrule.Mask{"bank_card"}}, "t=abc138****5678 a***@b.cn 110***********002X 4111111111111111"},
		{logrule.Masking{Without: logrule.Masks}, line},
		{logrule.Masking{Replace: []logrule.Replacement{{Pattern: `t=(\w)\w*`, With: "t=$1…"}, {Pattern: "…", With: "..."}}}, "t=a... a***@b.cn 110***********002X 411111******1111"},
	} {
		m, err := newMasker(c.m)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(m.mask([]byte(line))); got != c.want {
			t.Errorf("%+v: %q, want %q", c.m, got, c.want)
		}
	}
}

// FuzzMask looks for a mobile number that gets through, wherever it stands.
func FuzzMask(f *testing.F) {
	f.Add("a", "b")
	f.Add("4111 1111 1111 ", " 1111")
	f.Add(strings.Repeat("1 ", 30), "-2")
	f.Fuzz(func(t *testing.T, before, after string) {
		if b := []byte(before); len(b) > 0 && digit(b[len(b)-1]) || len(after) > 0 && digit(after[0]) {
			t.Skip("not a number of its own")
		}
		m, err := newMasker(logrule.Masking{})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(m.mask([]byte(before + "13812345678" + after))); strings.Contains(got, "13812345678") {
			t.Errorf("%q got through", got)
		}
	})
}
