// Package exact shows that counts are exact: writers produce lines over many
// files with every kind of rotation while all processes are killed with -9 and
// restarted at random, and in the end every window and key equals an
// independent recount of the written lines, to the last one.
package exact

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"time"
)

// total is what was written for one window and key.
type total struct {
	lines int64
	cents int64
}

// key of a total: window start in Unix seconds, the two group columns and the
// zone of the agent.
type key struct {
	window           int64
	goods, state, az string
}

// record is a line that was written.
type record struct {
	cents, ms int64
	file      string
	key       key
	text      string
}

// writer appends lines to one file and rotates it.
type writer struct {
	path   string
	az     string // of the agent that reads it
	rng    *rand.Rand
	copies bool // rotate by copy-truncate instead of renaming
	file   *os.File
	wrote  map[key]total
	ms     map[key][]float64  // the numbers behind percentiles
	dear   map[int64][]record // the lines behind the largest amounts, by window
	lines  int64
	size   int64
	order  int64
}

// generations is how many rotated copies stay.
const generations = 6

func newWriter(path, az string, seed uint64, copies bool) (*writer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	return &writer{path: path, az: az, ms: map[key][]float64{}, dear: map[int64][]record{}, rng: rand.New(rand.NewPCG(seed, 1)), copies: copies, file: f, wrote: map[key]total{}}, nil
}

var goods = []string{"clothes", "food", "home", "books", "中文"}
var states = []string{"Y", "N", "T"}

// write appends n lines with event times near at, in one to several writes
// that may end in the middle of a line.
func (w *writer) write(n int, at time.Time) error {
	var block []byte
	for range n {
		// Lines are somewhat out of order, as those of several threads are.
		when := at.Add(-time.Duration(w.rng.IntN(1500)) * time.Millisecond)
		k := key{when.Unix() / 60 * 60, goods[w.rng.IntN(len(goods))], states[w.rng.IntN(len(states))], w.az}
		ms := int(math.Exp(w.rng.NormFloat64()*1.5 + 3)) // most are quick, few very slow
		cents := int64(w.rng.IntN(1_000_000))
		w.order++
		line := fmt.Sprintf("%s,%012d,%s,trade,create,%d,%s,%d.%02d", when.Format("2006-01-02 15:04:05.000"), w.order, k.goods, ms, k.state, cents/100, cents%100)
		block = append(append(block, line...), '\n')
		w.dear[k.window] = append(w.dear[k.window], record{cents, when.UnixMilli(), w.path, k, line})
		t := w.wrote[k]
		w.wrote[k] = total{t.lines + 1, t.cents + cents}
		w.ms[k] = append(w.ms[k], float64(ms))
		w.lines++
	}
	for len(block) > 0 {
		n := len(block)
		if w.rng.IntN(4) == 0 {
			n = 1 + w.rng.IntN(len(block))
		}
		if _, err := w.file.Write(block[:n]); err != nil {
			return err
		}
		w.size += int64(n)
		block = block[n:]
	}
	return nil
}

// rotate moves the file to path.1, path.1 to path.2 and so on, and begins anew.
func (w *writer) rotate() error {
	for i := generations - 1; i >= 1; i-- {
		if err := os.Rename(fmt.Sprintf("%s.%d", w.path, i), fmt.Sprintf("%s.%d", w.path, i+1)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	w.size = 0
	if w.copies {
		if err := copyFile(w.path, w.path+".1"); err != nil {
			return err
		}
		return w.file.Truncate(0)
	}
	if err := os.Rename(w.path, w.path+".1"); err != nil {
		return err
	}
	if err := w.file.Close(); err != nil {
		return err
	}
	f, err := os.OpenFile(w.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	w.file = f
	return err
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(dst, 1<<20)
	if _, err := io.Copy(out, src); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return dst.Close()
}
