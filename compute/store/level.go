package store

import (
	"fmt"
	"time"
)

// Level is how coarse the kept windows of a series are.
type Level uint8

const (
	// Base are windows as they settled, and raw samples.
	Base Level = iota
	// FiveMinutes are buckets of five minutes.
	FiveMinutes
	// OneHour are buckets of an hour.
	OneHour

	// Levels is how many there are.
	Levels = int(OneHour) + 1
)

// LengthMs is the length of a level's buckets; 0 for Base.
func (l Level) LengthMs() int64 {
	switch l {
	case FiveMinutes:
		return 5 * 60_000
	case OneHour:
		return 60 * 60_000
	}
	return 0
}

// Suits tells whether windows of a length fill the level's buckets without rest.
func (l Level) Suits(windowMs int64) bool {
	return l != Base && windowMs > 0 && l.LengthMs()%windowMs == 0
}

// Retention is how long each level is kept. The zero value of a field means its default.
type Retention struct {
	// Base is for windows and raw samples (default DefaultRetention).
	Base time.Duration
	// FiveMinutes and OneHour are for rollups (default 90 and 400 days, at least Base).
	FiveMinutes, OneHour time.Duration
}

// WithDefaults returns r with its zero fields set. It fails when a level is
// kept for less than a day, or shorter than a finer one.
func (r Retention) WithDefaults() (Retention, error) {
	if r.Base <= 0 {
		r.Base = DefaultRetention
	}
	if r.FiveMinutes <= 0 {
		r.FiveMinutes = max(90*24*time.Hour, r.Base)
	}
	if r.OneHour <= 0 {
		r.OneHour = max(400*24*time.Hour, r.FiveMinutes)
	}
	switch {
	case r.Base < 24*time.Hour:
		return r, fmt.Errorf("retention %s is less than a day", r.Base)
	case r.FiveMinutes < r.Base || r.OneHour < r.FiveMinutes:
		return r, fmt.Errorf("retention of rollups (%s, %s) is less than that of what is finer (%s)", r.FiveMinutes, r.OneHour, r.Base)
	}
	return r, nil
}

// Of returns the retention of a level.
func (r Retention) Of(l Level) time.Duration {
	switch l {
	case FiveMinutes:
		return r.FiveMinutes
	case OneHour:
		return r.OneHour
	}
	return r.Base
}

// ValidateRollup says why s can't be stored at a level.
func (s *WindowSample) ValidateRollup(l Level) error {
	if length := l.LengthMs(); length == 0 || s.WindowMs != length || s.StartMs < 0 || s.StartMs%length != 0 {
		return fmt.Errorf("series %s: there is no bucket of %d ms at %d in level %d", s.Labels, s.WindowMs, s.StartMs, l)
	}
	return nil
}
