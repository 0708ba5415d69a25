package window

// Decision says whether a window settles, and who has not reported it.
type Decision struct {
	Settle bool
	// Missing agents have no watermark at or after the window's end. When the
	// window doesn't settle, only the first of them is told.
	Missing []string
}

// Decide says whether a window that ends at endMs settles at nowMs: when all
// expected agents have reported it (their watermark is at or after its end), or
// at its deadline. A window never settles before its end.
func Decide(endMs, deadlineMs, nowMs int64, expected []string, mark func(agent string) int64) Decision {
	if nowMs < endMs {
		return Decision{}
	}
	var d Decision
	for _, agent := range expected {
		if mark(agent) >= endMs {
			continue
		}
		d.Missing = append(d.Missing, agent)
		if nowMs < deadlineMs {
			return d
		}
	}
	d.Settle = true
	return d
}

// StillMissing returns those of missing that have not reported yet.
func StillMissing(endMs int64, missing []string, mark func(agent string) int64) []string {
	var still []string
	for _, agent := range missing {
		if mark(agent) < endMs {
			still = append(still, agent)
		}
	}
	return still
}

// Completeness is the share of expected agents that have reported. Where
// none is expected, nothing is missing.
func Completeness(expected, missing int) float64 {
	if expected == 0 {
		return 1
	}
	return float64(expected-missing) / float64(expected)
}
