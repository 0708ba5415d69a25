package window

import "slices"

// KeyTTL is how long a key keeps its place after it was seen last.
const KeyTTL = 24 * 3600 * 1000

// keyGrainMs is how far a key's stored time lies ahead of when it was seen
// at most, so that it isn't stored for every window.
const keyGrainMs = 3600 * 1000

// Keys are the keys that a monitor knows (LOG-9): those seen in the last 24 h
// keep their place, new ones find one while there are fewer than the limit. It is not
// safe for concurrent use.
type Keys struct {
	seen  map[string]int64 // when a key was seen last, up to an hour more
	swept int64
}

// NewKeys returns an empty set.
func NewKeys() *Keys { return &Keys{seen: map[string]int64{}} }

// Load sets a key as it was stored.
func (k *Keys) Load(key string, seenMs int64) { k.seen[key] = seenMs }

// Len is the number of keys that have a place at a time.
func (k *Keys) Len(nowMs int64) int {
	n := 0
	for _, seen := range k.seen {
		if seen >= nowMs-KeyTTL {
			n++
		}
	}
	return n
}

// Admission is the outcome of Admit.
type Admission struct {
	// Stored are keys whose time is to be stored, with that time.
	Stored map[string]int64
	// Gone are keys to be forgotten.
	Gone []string
	// Dropped keys found no place.
	Dropped map[string]bool
}

// Admit gives places to the keys of a window, which are in order. With dry
// set nothing changes, and the outcome says what would be.
func (k *Keys) Admit(rows []*Row, windowMs, nowMs int64, limit int, dry bool) Admission {
	var a Admission
	var fresh []string
	for _, r := range rows {
		seen, known := k.seen[r.Key]
		if !known {
			fresh = append(fresh, r.Key)
			continue
		}
		if seen < windowMs && !dry {
			k.store(&a, r.Key, windowMs)
		}
	}
	if len(fresh) == 0 {
		return a
	}
	if len(k.seen)+len(fresh) > limit && !dry {
		k.sweep(&a, nowMs)
	}
	room := max(0, limit-len(k.seen))
	for _, key := range fresh[:min(room, len(fresh))] {
		if !dry {
			k.store(&a, key, windowMs)
		}
	}
	for _, key := range fresh[min(room, len(fresh)):] {
		if a.Dropped == nil {
			a.Dropped = map[string]bool{}
		}
		a.Dropped[key] = true
	}
	return a
}

func (k *Keys) store(a *Admission, key string, windowMs int64) {
	until := windowMs + keyGrainMs
	k.seen[key] = until
	if a.Stored == nil {
		a.Stored = map[string]int64{}
	}
	a.Stored[key] = until
	a.Gone = slices.DeleteFunc(a.Gone, func(gone string) bool { return gone == key })
}

// sweep forgets keys that were not seen for long, at most once a minute.
func (k *Keys) sweep(a *Admission, nowMs int64) {
	if nowMs-k.swept < 60_000 {
		return
	}
	k.swept = nowMs
	for key, seen := range k.seen {
		if seen < nowMs-KeyTTL {
			delete(k.seen, key)
			a.Gone = append(a.Gone, key)
		}
	}
}
