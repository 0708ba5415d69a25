package access

import (
	"sync"
	"time"
)

// The limits of failed sign-ins within limitWindow.
const (
	limitWindow  = 15 * time.Minute
	limitPerPair = 10 // one user from one address
	limitPerIP   = 100
)

// limiter counts failed sign-ins. It is kept in memory: a restart forgives.
type limiter struct {
	mu       sync.Mutex
	failures map[string][]time.Time
}

func newLimiter() *limiter { return &limiter{failures: map[string][]time.Time{}} }

// wait returns how long to wait before another attempt is taken, 0 if none.
func (l *limiter) wait(ip, user string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var longest time.Duration
	for key, limit := range map[string]int{ip: limitPerIP, ip + " " + user: limitPerPair} {
		recent := l.failures[key]
		for len(recent) > 0 && now.Sub(recent[0]) >= limitWindow {
			recent = recent[1:]
		}
		if len(recent) == 0 {
			delete(l.failures, key)
		} else {
			l.failures[key] = recent
		}
		if len(recent) >= limit {
			longest = max(longest, limitWindow-now.Sub(recent[len(recent)-limit]))
		}
	}
	return longest
}

func (l *limiter) failed(ip, user string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failures) > 100_000 { // an attack from many addresses must not take all memory
		clear(l.failures)
	}
	for _, key := range []string{ip, ip + " " + user} {
		l.failures[key] = append(l.failures[key], now)
	}
}

func (l *limiter) succeeded(ip, user string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.failures, ip+" "+user)
}
