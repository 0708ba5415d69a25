package checkpoint

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func open(t *testing.T, dir string) (*Slots, []byte) {
	t.Helper()
	s, body, err := OpenSlots(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, body
}

func write(t *testing.T, s *Slots, body string) {
	t.Helper()
	if err := s.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
}

func TestNewestStateComesBack(t *testing.T) {
	dir := t.TempDir()
	s, body := open(t, dir)
	if body != nil || s.Sequence() != 0 {
		t.Fatalf("a new directory holds %q, sequence %d", body, s.Sequence())
	}
	for i := 1; i <= 5; i++ {
		write(t, s, fmt.Sprint("state ", i))
		again, body, err := OpenSlots(dir)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprint("state ", i); string(body) != want || again.Sequence() != uint64(i) {
			t.Fatalf("got %q, sequence %d, want %q", body, again.Sequence(), want)
		}
		again.Close()
	}
}

// A write that breaks off after any byte, or leaves any byte wrong, must give
// the state before, and the next write must not destroy that one.
func TestTornWriteCostsOnlyItself(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir)
	write(t, s, "first")
	write(t, s, "second, in slot b")
	slot := filepath.Join(dir, "checkpoint-a")
	old, err := os.ReadFile(slot)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, "third, longer than the first")
	whole, err := os.ReadFile(slot)
	if err != nil {
		t.Fatal(err)
	}
	length := headerSize + len("third, longer than the first")
	check := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(slot, content, 0o640); err != nil {
			t.Fatal(err)
		}
		s, body, err := OpenSlots(dir)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if string(body) != "second, in slot b" || s.Sequence() != 2 || s.next != 0 {
			t.Fatalf("%s: got %q, sequence %d, next slot %d", name, body, s.Sequence(), s.next)
		}
		s.Close()
	}
	for n := range length {
		torn := bytes.Clone(old)
		copy(torn, whole[:n])
		if bytes.Equal(torn, whole) {
			continue
		}
		check(fmt.Sprintf("torn after %d bytes", n), torn)
		wrong := bytes.Clone(whole)
		wrong[n] ^= 0x40
		check(fmt.Sprintf("byte %d wrong", n), wrong)
		check(fmt.Sprintf("cut after %d bytes", n), whole[:n])
	}
}

func TestStateLargerThanASlot(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir)
	large := bytes.Repeat([]byte("0123456789"), slotSize/4)
	write(t, s, string(large))
	write(t, s, "small")
	write(t, s, string(large[:len(large)-1]))
	if _, body := open(t, dir); !bytes.Equal(body, large[:len(large)-1]) {
		t.Fatalf("got %d bytes, want %d", len(body), len(large)-1)
	}
}

func records(t *testing.T, dir string, seq uint64) (*Spool, []string, []Handle) {
	t.Helper()
	var got []string
	var handles []Handle
	s, err := OpenSpool(dir, seq, func(h Handle, b []byte) error {
		got, handles = append(got, string(b)), append(handles, h)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, got, handles
}

func appendTo(t *testing.T, s *Spool, seq uint64, bodies ...string) {
	t.Helper()
	var b [][]byte
	for _, body := range bodies {
		b = append(b, []byte(body))
	}
	if _, err := s.Append(seq, b); err != nil {
		t.Fatal(err)
	}
}

func TestSpoolKeepsRecordsUntilDone(t *testing.T) {
	dir := t.TempDir()
	s, _, _ := records(t, dir, 0)
	appendTo(t, s, 1, "a", "b")
	appendTo(t, s, 2, "c")
	s, got, handles := records(t, dir, 2)
	if fmt.Sprint(got) != "[a b c]" {
		t.Fatalf("got %v", got)
	}
	appendTo(t, s, 3, "d")
	for _, h := range handles {
		if err := s.Done(h); err != nil {
			t.Fatal(err)
		}
	}
	if _, got, _ = records(t, dir, 3); fmt.Sprint(got) != "[d]" {
		t.Fatalf("after done, got %v", got)
	}
}

// What was spooled for a state that never became durable must not come back
// when another state takes its sequence.
func TestSpoolForgetsWhatBelongsToNoState(t *testing.T) {
	dir := t.TempDir()
	s, _, _ := records(t, dir, 0)
	appendTo(t, s, 1, "kept")
	appendTo(t, s, 2, "of a state that was never written")
	if _, got, _ := records(t, dir, 1); fmt.Sprint(got) != "[kept]" {
		t.Fatalf("got %v", got)
	}
	if _, got, _ := records(t, dir, 2); fmt.Sprint(got) != "[kept]" {
		t.Fatalf("after another state took the sequence, got %v", got)
	}
}

func TestSpoolTornAtEveryByte(t *testing.T) {
	dir := t.TempDir()
	s, _, _ := records(t, dir, 0)
	appendTo(t, s, 1, "first")
	appendTo(t, s, 2, "second")
	name := s.path(1)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	first := recordHeader + len("first")
	for n := first; n < len(whole); n++ {
		for _, content := range [][]byte{whole[:n], append(append(bytes.Clone(whole[:n]), whole[n]^1), whole[n+1:]...)} {
			if err := os.WriteFile(name, content, 0o640); err != nil {
				t.Fatal(err)
			}
			s, got, _ := records(t, dir, 2)
			if fmt.Sprint(got) != "[first]" {
				t.Fatalf("at byte %d: got %v", n, got)
			}
			appendTo(t, s, 2, "again")
			if _, got, _ := records(t, dir, 2); fmt.Sprint(got) != "[first again]" {
				t.Fatalf("at byte %d, written on: got %v", n, got)
			}
			if err := os.Remove(s.path(2)); err != nil {
				t.Fatal(err)
			}
		}
	}
}
