package prom

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
)

// moment reads a time: RFC 3339, or Unix seconds with a fraction.
func (p *Prom) moment(r *http.Request, name string, missing int64) (int64, error) {
	text := r.Form.Get(name)
	if text == "" {
		return missing, nil
	}
	if s, err := strconv.ParseFloat(text, 64); err == nil {
		if math.IsNaN(s) || math.Abs(s) > 1e12 {
			return 0, badData(fmt.Sprintf("invalid parameter %q: %q is not a time that can be", name, text))
		}
		return int64(math.Round(s * 1000)), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t.UnixMilli(), nil
	}
	return 0, badData(fmt.Sprintf("invalid parameter %q: cannot parse %q to a valid timestamp", name, text))
}

// duration reads a number of seconds, or a duration as Prometheus writes it.
func duration(r *http.Request, name string) (time.Duration, error) {
	text := r.Form.Get(name)
	if text == "" {
		return 0, nil
	}
	if s, err := strconv.ParseFloat(text, 64); err == nil {
		if math.IsNaN(s) || math.Abs(s) > 1e9 {
			return 0, badData(fmt.Sprintf("invalid parameter %q: %q is not a duration that can be", name, text))
		}
		return time.Duration(s * float64(time.Second)), nil
	}
	if d, err := model.ParseDuration(text); err == nil {
		return time.Duration(d), nil
	}
	return 0, badData(fmt.Sprintf("invalid parameter %q: cannot parse %q to a valid duration", name, text))
}

func limit(r *http.Request) (int, error) {
	text := r.Form.Get("limit")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, badData(fmt.Sprintf("invalid parameter \"limit\": %q is not a number of 0 or more", text))
	}
	return n, nil
}
