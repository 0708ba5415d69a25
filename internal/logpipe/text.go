package logpipe

import (
	"bytes"
	"encoding/binary"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/pharos-stack/pharos/internal/logrule"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// emptyKey stands for an empty value in a key.
const emptyKey = "-"

// maxValue is how many characters of a value are kept.
const maxValue = 256

// encoding is what a rule says about its files. GBK is read as GB18030, which
// contains it.
type encoding uint8

const (
	encUTF8 encoding = iota
	encGB
	encAuto
)

func encodingOf(e logrule.Encoding) encoding {
	switch e {
	case logrule.EncodingUTF8:
		return encUTF8
	case logrule.EncodingGBK, logrule.EncodingGB18030:
		return encGB
	}
	return encAuto
}

// toGB returns text as it stands in a GB18030 file; bytes that are no UTF-8
// (written as char(200)) stay as they are.
func toGB(text string) string {
	if !utf8.ValidString(text) {
		return text
	}
	out, err := simplifiedchinese.GB18030.NewEncoder().String(text)
	if err != nil {
		return text
	}
	return out
}

// isASCII reports whether no byte has its high bit set.
func isASCII(b []byte) bool {
	const high = 0x8080808080808080
	for len(b) >= 32 {
		if (binary.LittleEndian.Uint64(b)|binary.LittleEndian.Uint64(b[8:])|
			binary.LittleEndian.Uint64(b[16:])|binary.LittleEndian.Uint64(b[24:]))&high != 0 {
			return false
		}
		b = b[32:]
	}
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b)&high != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// gbLen is the length of the GB18030 character at the start of b, 0 if the
// bytes are none.
func gbLen(b []byte) int {
	if b[0] < 0x80 {
		return 1
	}
	if b[0] == 0x80 || b[0] == 0xFF || len(b) < 2 {
		return 0
	}
	switch c := b[1]; {
	case c >= 0x40 && c != 0x7F && c != 0xFF:
		return 2
	case c >= 0x30 && c <= 0x39 && len(b) >= 4 && b[2] >= 0x81 && b[2] <= 0xFE && b[3] >= 0x30 && b[3] <= 0x39:
		return 4
	}
	return 0
}

// validGB reports whether b consists of GB18030 characters.
func validGB(b []byte) bool {
	for len(b) > 0 {
		n := gbLen(b)
		if n == 0 {
			return false
		}
		b = b[n:]
	}
	return true
}

// looksGB reports whether a text that is valid UTF-8 is more likely GB18030:
// some common Chinese words in GBK, such as 食品, are also pairs of letters of
// two bytes in UTF-8. It is so when all there is beyond ASCII are runs of two
// or more common Chinese characters.
func looksGB(b []byte) bool {
	for len(b) > 0 {
		if b[0] < 0x80 {
			b = b[1:]
			continue
		}
		n := 0
		for len(b) >= 2 && b[0] >= 0x80 {
			if b[0] < 0xB0 || b[0] > 0xDF || b[1] < 0xA1 {
				return false
			}
			b = b[2:]
			n++
		}
		if n < 2 {
			return false
		}
	}
	return true
}

// gbStep is how far to go to the next character; a byte that begins none is
// passed on its own.
func gbStep(b []byte) int { return max(1, gbLen(b)) }

// gbTables maps characters of two and four bytes to the Basic Multilingual
// Plane; 0 means undefined. They are made from x/text at the first use, for a
// table look-up costs a tenth of a call of its decoder.
var gbTables = sync.OnceValue(func() *gbTable {
	t := &gbTable{}
	dec := simplifiedchinese.GB18030.NewDecoder()
	var out [8]byte
	char := func(src ...byte) uint16 {
		dec.Reset()
		n, _, err := dec.Transform(out[:], src, true)
		if err != nil {
			return 0
		}
		r, size := utf8.DecodeRune(out[:n])
		if size != n || r == utf8.RuneError || r > 0xFFFF {
			return 0
		}
		return uint16(r)
	}
	for lead := range t.two {
		for trail := range t.two[lead] {
			t.two[lead][trail] = char(byte(0x81+lead), byte(0x40+trail))
		}
	}
	for i := range t.four {
		t.four[i] = char(byte(0x81+i/12600), byte(0x30+i/1260%10), byte(0x81+i/10%126), byte(0x30+i%10))
	}
	return t
})

type gbTable struct {
	two  [126][191]uint16
	four [39420]uint16
}

// appendGB appends b, which is GB18030, as UTF-8. Undecodable bytes become
// U+FFFD each; bad says how many.
func appendGB(dst, b []byte) (out []byte, bad int) {
	var t *gbTable
	for len(b) > 0 {
		if b[0] < utf8.RuneSelf {
			dst = append(dst, b[0])
			b = b[1:]
			continue
		}
		if t == nil {
			t = gbTables()
		}
		n := gbLen(b)
		r := rune(0)
		switch n {
		case 2:
			r = rune(t.two[b[0]-0x81][b[1]-0x40])
		case 4:
			i := ((int(b[0]-0x81)*10+int(b[1]-0x30))*126+int(b[2]-0x81))*10 + int(b[3]-0x30)
			if i < len(t.four) {
				r = rune(t.four[i])
			} else if i >= 189000 && i-189000 <= 0xFFFFF {
				r = rune(i - 189000 + 0x10000)
			}
		}
		if r == 0 {
			r = utf8.RuneError
			bad++
		}
		dst = utf8.AppendRune(dst, r)
		b = b[max(1, n):]
	}
	return dst, bad
}

// appendUTF8 appends b with undecodable bytes replaced by U+FFFD.
func appendUTF8(dst, b []byte) (out []byte, bad int) {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			bad++
		}
		dst = utf8.AppendRune(dst, r)
		b = b[n:]
	}
	return dst, bad
}

// space reports whether c is a space of ASCII.
func space(c byte) bool { return c == ' ' || c-'\t' <= '\r'-'\t' }

// trim narrows b[start:end] by spaces of ASCII on both sides.
func trim(b []byte, start, end int) (int, int) {
	for start < end && b[start] <= ' ' && space(b[start]) {
		start++
	}
	for start < end && b[end-1] <= ' ' && space(b[end-1]) {
		end--
	}
	return start, end
}

// cutText trims a UTF-8 text and cuts it at maxValue characters.
func cutText(b []byte) (out []byte, cut bool) {
	b = bytes.TrimFunc(b, isSpace)
	if len(b) <= maxValue {
		return b, false
	}
	n := 0
	for i := range string(b) { // does not copy
		if n == maxValue {
			return bytes.TrimRightFunc(b[:i], isSpace), true
		}
		n++
	}
	return b, false
}

// isSpace reports whether values are trimmed of r. It is Unicode's idea,
// which has the wide space of Chinese text in it.
func isSpace(r rune) bool { return unicode.IsSpace(r) }
