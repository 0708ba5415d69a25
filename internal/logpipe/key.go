package logpipe

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

// short is the longest value in bytes that is held in two words, zero-padded.
// Keys of short values are compared as words, and found without looking at
// each byte.
const short = 16

// words is a short value.
type words struct {
	lo, hi uint64
	n      uint64
}

// shortMask has the bytes that a value of n bytes takes of its two words. It
// is longer than need be so that n&31 is within its bounds.
var shortMask = func() (m [32][2]uint64) {
	for n := range short + 1 {
		m[n][0] = 1<<(8*min(n, 8)) - 1
		m[n][1] = 1<<(8*max(n-8, 0)) - 1
	}
	return m
}()

// loadShort reads a value of n bytes, 1 to 16, from room, which has at least
// 16.
func loadShort(room []byte, n int) words {
	b := (*[16]byte)(room)
	m := &shortMask[n&31]
	return words{binary.LittleEndian.Uint64(b[:8]) & m[0], binary.LittleEndian.Uint64(b[8:]) & m[1], uint64(n)}
}

// wordsOf returns a value as words; ok is false if it is not short.
func wordsOf(v []byte) (w words, ok bool) {
	if len(v) > short {
		return words{}, false
	}
	var room [short]byte
	copy(room[:], v)
	return words{binary.LittleEndian.Uint64(room[:8]), binary.LittleEndian.Uint64(room[8:]), uint64(len(v))}, true
}

const hash0, hash1 = 0x9e3779b97f4a7c15, 0xd6e8feb86659fd93

// hashSeed is random, so that nobody can write a log whose keys collide.
var hashSeed = rand.Uint64()

// hashWords mixes a short value into a hash: the two halves of a 128-bit
// product, as wyhash does.
func hashWords(h uint64, w words) uint64 {
	hi, lo := bits.Mul64(w.lo^h^hash0, w.hi^bits.RotateLeft64(h, 32)^hash1^w.n)
	return hi ^ lo
}

// hashValue mixes any value into a hash.
func hashValue(h uint64, v []byte) uint64 {
	for len(v) > short {
		h = hashWords(h, words{binary.LittleEndian.Uint64(v), binary.LittleEndian.Uint64(v[8:]), short + 1})
		v = v[short:]
	}
	w, _ := wordsOf(v)
	return hashWords(h, w)
}

// hashNext joins the hash of a key's next value to that of those before.
func hashNext(h, next uint64) uint64 {
	hi, lo := bits.Mul64(h^hash1, next^hash0)
	return hi ^ lo
}

// hashKey joins the i-th value of a key to the hash of those before.
func hashKey(h uint64, i int, value uint64) uint64 {
	if i == 0 {
		return value
	}
	return hashNext(h, value)
}

func (g *Group) noteKey(r *run, w *Window) {
	for _, s := range r.groups {
		g.noteText(r, w, s)
	}
}

var emptyValue = []byte(emptyKey)

func (g *Group) sameKey(r *run, w *Window, row int) bool {
	for k, s := range r.groups {
		v := g.value(s)
		if len(v) == 0 {
			v = emptyValue
		}
		if string(w.value(row, k)) != string(v) {
			return false
		}
	}
	return true
}
