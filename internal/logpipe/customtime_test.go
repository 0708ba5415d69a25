package logpipe

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/logrule"
)

func TestCustomTimes(t *testing.T) {
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 1, 0, 10, 0, 0, shanghai)
	for _, c := range []struct{ layout, text, want string }{ // want: RFC 3339, empty: no time
		{"yyyy/MM/dd HH:mm:ss", "2025/12/31 23:59:58 [error] 7#7", "2025-12-31T23:59:58+08:00"},
		{"yyyy/MM/dd HH:mm:ss.SSS", "2025/12/31 23:59:58.1234567", "2025-12-31T23:59:58.123+08:00"},
		{"dd-MMM-yyyy HH:mm:ss", "31-Dec-2025 23:59:58", "2025-12-31T23:59:58+08:00"},
		{"yyyyMMdd HHmmss", "20251231 235958,x", "2025-12-31T23:59:58+08:00"},
		{"yy.M.d H:mm", "25.12.1 7:05 x", "2025-12-01T07:05:00+08:00"},
		{"yyyy-MM-dd'T'HH:mm:ssZ", "2025-12-31T15:59:58Z", "2025-12-31T15:59:58Z"},
		{"yyyy-MM-dd HH:mm:ss Z", "2025-12-31 10:59:58 -05:00", "2025-12-31T15:59:58Z"},
		{"hh:mm:ss a", "11:59:58 PM", "2025-12-31T23:59:58+08:00"},
		{"hh:mm a", "12:05 am", "2026-01-01T00:05:00+08:00"},
		{"HH:mm:ss,SSS", "23:59:58,007 INFO", "2025-12-31T23:59:58.007+08:00"},
		{"HH:mm", "00:15", "2026-01-01T00:15:00+08:00"},
		{"MM-dd HH:mm:ss", "12-31 23:59:58", "2025-12-31T23:59:58+08:00"},
		{"MM-dd HH:mm:ss", "01-01 00:00:00", "2026-01-01T00:00:00+08:00"},
		{"'at' HH 'o''clock' mm", "at 00 o'clock 09", "2026-01-01T00:09:00+08:00"},
		{"yyyy/MM/dd HH:mm:ss", "2025/02/29 23:59:58", ""},
		{"yyyy/MM/dd HH:mm:ss", "2025/12/31 24:00:00", ""},
		{"yyyy/MM/dd HH:mm:ss", "2025/12/31 23:59", ""},
		{"yyyy/MM/dd HH:mm:ss", "2025-12-31 23:59:58", ""},
		{"MM-dd HH:mm", "02-30 00:00", ""},
		{"hh:mm a", "13:05 pm", ""},
		{"HH:mm Z", "13:05 nowhere", ""},
		{"HH:mm", "", ""},
	} {
		if _, err := logrule.ParseTimeLayout(c.layout); err != nil {
			t.Errorf("%s: %v", c.layout, err)
			continue
		}
		p := newTimeParser(logrule.TimeRule{Format: logrule.TimeCustom, Layout: c.layout}, shanghai)
		s, ok := p.full([]byte(c.text), now.UnixMilli())
		if c.want == "" {
			if ok {
				t.Errorf("%s: %q is %v", c.layout, c.text, time.UnixMilli(s.ms).In(shanghai))
			}
			continue
		}
		want, err := time.Parse(time.RFC3339Nano, c.want)
		if err != nil {
			t.Fatal(err)
		}
		if !ok || s.ms != want.UnixMilli() {
			t.Errorf("%s: %q is %v, %v; want %v", c.layout, c.text, time.UnixMilli(s.ms).In(shanghai), ok, want)
		}
		if sec, _ := p.sec([]byte(c.text), now.UnixMilli()); sec != want.Unix()*1000 {
			t.Errorf("%s: %q is %d without its fraction, want %d", c.layout, c.text, sec, want.Unix()*1000)
		}
	}
}

// TestCustomTimesAgreeWithPackageTime writes random times and reads them back.
func TestCustomTimesAgreeWithPackageTime(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for layout, goLayout := range map[string]string{
		"yyyy/MM/dd HH:mm:ss": "2006/01/02 15:04:05", "dd.MM.yy hh:mm:ssa": "02.01.06 03:04:05PM", "MMM d yyyy H:mm:ss.SSS Z": "Jan 2 2006 15:04:05.000 -0700",
		"yyyyMMddHHmmss": "20060102150405", "ss:mm:HH d/M/yyyy": "05:04:15 2/1/2006",
	} {
		p := newTimeParser(logrule.TimeRule{Format: logrule.TimeCustom, Layout: layout}, berlin)
		for range 2000 {
			at := time.Unix(1_000_000_000+rng.Int64N(800_000_000), 0).In(berlin)
			text := at.Format(goLayout)
			want, err := time.ParseInLocation(goLayout, text, berlin)
			if err != nil {
				t.Fatal(err)
			}
			if s, ok := p.full([]byte(text+" and more"), at.UnixMilli()); !ok || s.ms != want.UnixMilli() || s.size != len(text) {
				t.Fatalf("%s: %q is %v, %v, %d bytes; want %v", layout, text, time.UnixMilli(s.ms).In(berlin), ok, s.size, want)
			}
		}
	}
}
