package logpipe

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/partial"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// FuzzSplitByte compares the word-wise splitter with bytes.Split.
func FuzzSplitByte(f *testing.F) {
	f.Add([]byte("2026-11-23 10:00:01,a,b,c"), byte(','), uint8(3), uint8(0))
	f.Add([]byte(strings.Repeat("x,", 200)), byte(','), uint8(150), uint8(70))
	f.Add([]byte("\x80\x7f\x00\xff,\xac"), byte(0x80), uint8(2), uint8(9))
	f.Add([]byte(""), byte(0), uint8(1), uint8(64))
	f.Fuzz(func(t *testing.T, line []byte, delim byte, need, after uint8) {
		if need == 0 {
			return
		}
		room := append(append([]byte{}, line...), bytes.Repeat([]byte{delim}, int(after))...)
		ends := make([]int32, int(need)+1)
		n := splitByte(room[:len(line)], room, delim, ends)
		want := bytes.Split(line, []byte{delim})
		if n != min(len(want)-1, int(need)) {
			t.Fatalf("%d delimiters, want %d", n, len(want)-1)
		}
		for i := 0; i <= n && i < int(need); i++ {
			if got := line[ends[i]+1 : ends[i+1]]; !bytes.Equal(got, want[i]) {
				t.Fatalf("field %d is %q, want %q", i, got, want[i])
			}
		}
	})
}

// FuzzMarkerGB compares the search in GB18030 with one in the decoded text.
func FuzzMarkerGB(f *testing.F) {
	f.Add("亅|丄|乗", "|")
	f.Add("a\\b城\\市", "\\")
	f.Add("0㐂1𠀋2", "2")
	f.Add("食品食品", "品")
	f.Fuzz(func(t *testing.T, text, sep string) {
		enc := func(s string) (string, bool) {
			out, err := simplifiedchinese.GB18030.NewEncoder().String(s)
			back, err2 := simplifiedchinese.GB18030.NewDecoder().String(out)
			return out, err == nil && err2 == nil && back == s && !strings.ContainsRune(s, '\uFFFD')
		}
		gb, ok1 := enc(text)
		_, ok2 := enc(sep)
		if !ok1 || !ok2 || sep == "" {
			return
		}
		m := newMarker(sep)
		want := strings.Split(text, sep)
		from := 0
		for i, w := range want {
			at, size := m.find([]byte(gb), from, true)
			if (at < 0) != (i == len(want)-1) {
				t.Fatalf("field %d of %q by %q: found at %d", i, text, sep, at)
			}
			end := at
			if at < 0 {
				end = len(gb)
			}
			got, bad := appendGB(nil, []byte(gb[from:end]))
			if string(got) != w || bad != 0 {
				t.Fatalf("field %d of %q by %q is %q, want %q (%d bad)", i, text, sep, got, w, bad)
			}
			from = end + size
		}
	})
}

var fuzzNow = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// FuzzTime compares the time parsers with regexp and time.Parse, each text
// also after another one, so that what is remembered is tried.
func FuzzTime(f *testing.F) {
	for _, s := range []string{"2016-12-13 10:00:14", "2012-11-1111:11:11", "2016-12-13T10:00:14.627Z", "2016-12-13T10:00:14,316+08:00", "08/May/2017 01:13:52",
		"08/May/2017:01:13:52 +0800", "1476064860000", "1476064860.5", "May 08 01:13:52", "Feb 29 01:13:52", "05-25-2017 18:28:42", "05-25-201718:28:42", "May 8 2017 01:13:52", "May  8 2017 01:13:52",
		"2016-02-30 10:00:14", "0000-01-01 00:00:00", "2026-03-29 02:30:00", "2026-10-25 02:30:00", "9999-12-31 23:59:59", "2016-12-13 10:00:60"} {
		f.Add(s, "2016-12-13 10:00:14,x")
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text, before string) {
		for _, format := range timeFormats {
			if format == logrule.TimeReceive {
				continue
			}
			for _, loc := range []*time.Location{time.UTC, berlin} {
				p := newTimeParser(logrule.TimeRule{Format: format}, loc)
				p.sec([]byte(before), fuzzNow.UnixMilli())
				ms, ok := p.sec([]byte(text), fuzzNow.UnixMilli())
				want, wantOK := refTime(format, text, loc, fuzzNow.In(loc))
				if ok != wantOK || ok && ms != want.UnixMilli() {
					t.Fatalf("%s %q in %s after %q: %d %v, want %v %v", format, text, loc, before, ms, ok, want, wantOK)
				}
				full, ok := p.full([]byte(text), fuzzNow.UnixMilli())
				if ok != wantOK || ok && (full.size > len(text) || full.ms-full.ms%1000 != ms-ms%1000) {
					t.Fatalf("%s %q: full is %+v %v", format, text, full, ok)
				}
			}
		}
	})
}

// FuzzNumber compares the number parsers with big.Rat.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"0", "-1", "+7", "12345678", "123456789", "1,234,567.89", "12,34", "1e3", "1.5E-6", "1e-7", "999999999999", "9223372036854.775807", "9223372036854.775808",
		"0.1234567", "1.2000000000", "1.", ".5", ".", "-", "", "1e", "0x10", "NaN", "Inf", "1e400", "1_000", "00000000000000000000001", "１"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 60 {
			return
		}
		room := append([]byte(s), "12345678"...)
		micro := shortNumber(room, len(s))
		m, v, kind := parseNumber([]byte(s))
		if micro != noMicro && (kind != microNumber || m != micro) {
			t.Fatalf("%q: short way %d, long way %d %v", s, micro, m, kind)
		}
		if i := strings.IndexAny(s, "eE"); i >= 0 && len(s) > i+5 {
			return // the reference takes too long
		}
		want, ok := refNumber(s)
		if ok {
			if f, _ := want.Float64(); f > 1e308 || f < -1e308 {
				return
			}
		}
		if ok != (kind != noNumber) {
			t.Fatalf("%q: kind %d, want %v", s, kind, ok)
		}
		switch kind {
		case microNumber:
			if new(big.Rat).SetFrac64(m, partial.Micro).Cmp(want) != 0 {
				t.Fatalf("%q is %d millionths", s, m)
			}
		case floatNumber:
			if exact, _ := want.Float64(); exact != v {
				t.Fatalf("%q is %v, want %v", s, v, exact)
			}
		}
	})
}

// FuzzProcess feeds anything to all kinds of rules, and compares with the
// reference.
func FuzzProcess(f *testing.F) {
	f.Add([]byte(randomLines(rand.New(rand.NewPCG(3, 3)), 8, ",", true)), uint8(0))
	f.Add([]byte("2026-11-23 10:00:01,a,b,c,1,Y,200\r\n\n\r\n,,,"), uint8(7))
	f.Add([]byte("\xef\xbb\xbf2026-11-23 10:00:01,a,\xe3\x80\x80b\xff,c,1,Y,200"), uint8(3))
	specs := propertySpecs(",")
	f.Fuzz(func(t *testing.T, log []byte, which uint8) {
		s := specs[int(which)%len(specs)].WithDefaults()
		s.Encoding = logrule.EncodingUTF8
		task := mustTask(t, s)
		g, fs := NewGroup([]*Task{task}), &FileState{}
		g.Process(fs, log, propertyNow.UnixMilli())
		g.Flush(fs, propertyNow.UnixMilli())
		ref := newReference(s, time.UTC, propertyNow)
		var lines []string
		for i, l := range strings.Split(string(log), "\n") {
			if i < strings.Count(string(log), "\n") || l != "" {
				lines = append(lines, strings.TrimPrefix(strings.TrimSuffix(l, "\r"), string(byteOrderMark)))
			}
		}
		ref.lines(lines)
		for _, w := range ref.windows {
			for _, n := range w.total.nums {
				for _, v := range []*big.Rat{n.sum, n.min, n.max} {
					if micro := new(big.Rat).Mul(v, big.NewRat(partial.Micro, 1)); !micro.IsInt() || v.Num().BitLen() > 60 {
						return // beyond millionths
					}
				}
			}
		}
		compare(t, "fuzz", task, ref)
	})
}
