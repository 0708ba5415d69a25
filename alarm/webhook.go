package alarm

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/channel"
)

// payload is the JSON of spec 05 §11.4, as far as this version has its parts.
type payload struct {
	Version       string                 `json:"version"`
	EventID       string                 `json:"event_id"`
	Type          string                 `json:"type"`
	AlertID       string                 `json:"alert_id"`
	Sequence      int                    `json:"sequence"`
	Workspace     string                 `json:"workspace"`
	Level         string                 `json:"level"`
	LevelColor    string                 `json:"level_color"`
	Title         string                 `json:"title"`
	Content       string                 `json:"content"`
	Rule          payloadRule            `json:"rule"`
	Object        map[string]string      `json:"object"`
	StartedAt     time.Time              `json:"started_at"`
	OccurredAt    time.Time              `json:"occurred_at"`
	RecoveredAt   *time.Time             `json:"recovered_at"`
	DurationS     int64                  `json:"duration_s"`
	Conditions    []alarmstate.Condition `json:"conditions"`
	Channels      []string               `json:"channels"`
	HeldBack      int                    `json:"held_back"`
	Completeness  float64                `json:"completeness"`
	EmergencyText string                 `json:"emergency_text"`
	EmergencyLink string                 `json:"emergency_link"`
	Links         map[string]string      `json:"links"`
}

type payloadRule struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Join string `json:"join"`
}

func (a *Alarm) newPayload(e alarmstate.Event, channelName string) payload {
	colour := "normal"
	switch e.Level {
	case "P0":
		colour = "red"
	case "P1":
		colour = "orange"
	}
	at := time.UnixMilli(e.TimeMs).UTC()
	p := payload{Version: "1", EventID: e.ID, Type: e.Type, AlertID: e.AlertID, Sequence: e.Sequence, Workspace: e.Workspace, Level: e.Level,
		LevelColor: colour, Title: e.Title, Content: e.Message, Rule: payloadRule{e.RuleID, e.Rule, e.Join}, Object: e.Labels,
		StartedAt: time.UnixMilli(e.StartedMs).UTC(), OccurredAt: at, DurationS: (e.TimeMs - e.StartedMs) / 1000, Conditions: e.Conditions,
		Channels: []string{channelName}, HeldBack: e.HeldBack, Completeness: e.Completeness, EmergencyText: e.EmergencyText, EmergencyLink: e.EmergencyLink,
		Links: map[string]string{}}
	if e.Type == alarmstate.EventRecovered {
		p.RecoveredAt = &at
	}
	if link := a.link(e); link != "" {
		p.Links["history"] = link
	}
	return p
}

// sendWebhook posts one event. With keys it is signed: X-Signature-256 is the
// hexadecimal HMAC-SHA256(secret_key, timestamp + "." + body).
func (a *Alarm) sendWebhook(ctx context.Context, c channel.Webhook, name string, e alarmstate.Event) (string, error) {
	body, err := json.Marshal(a.newPayload(e, name))
	if err != nil {
		return "", permanent{fmt.Errorf("cannot write payload: %w", err)}
	}
	header := http.Header{}
	contentType := "text/plain; charset=UTF-8"
	for k, v := range c.Headers {
		if http.CanonicalHeaderKey(k) == "Content-Type" {
			contentType = v
			continue
		}
		header.Set(k, v)
	}
	header.Set("X-Event-Id", e.ID)
	if c.AccessKey != "" {
		timestamp := strconv.FormatInt(a.o.Now().Unix(), 10)
		header.Set("X-Access-Key", c.AccessKey)
		header.Set("X-Timestamp", timestamp)
		header.Set("X-Signature-256", webhookSign(c.SecretKey, timestamp, body))
	}
	return a.post(ctx, c.URL, contentType, header, body)
}

func webhookSign(secret, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// encodeJSON writes v as it reads: < and & stand for themselves.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, permanent{fmt.Errorf("cannot write message: %w", err)}
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// post is request with POST.
func (a *Alarm) post(ctx context.Context, target, contentType string, header http.Header, body []byte) (string, error) {
	return a.request(ctx, http.MethodPost, target, contentType, header, body)
}

// request sends body and returns the beginning of the answer. Refusals that a
// further attempt won't change are permanent. Errors never contain the URL,
// which may hold a token.
func (a *Alarm) request(ctx context.Context, method, target, contentType string, header http.Header, body []byte) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return "", permanent{errors.New("cannot make request: the channel's URL is not valid")}
	}
	if header != nil {
		req.Header = header
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("User-Agent", "pharos")
	if channel.ForbiddenHost(req.URL.Hostname()) {
		return "", permanent{errors.New("the channel's URL points to a link-local address")}
	}
	resp, err := a.o.HTTP.Do(req)
	if err != nil {
		var outer *url.Error
		if errors.As(err, &outer) {
			err = outer.Err
		}
		return "", &busy{err: fmt.Errorf("cannot reach %s: %w", req.URL.Host, err)}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return string(answer), fmt.Errorf("cannot read answer of %s: %w", req.URL.Host, err)
	}
	if resp.StatusCode/100 == 2 {
		return string(answer), nil
	}
	err = fmt.Errorf("%s answered %s: %s", req.URL.Host, resp.Status, cut(strings.TrimSpace(string(answer)), 200))
	switch after := a.retryAfterHeader(resp.Header.Get("Retry-After")); {
	case after > 0 || resp.StatusCode == http.StatusTooManyRequests:
		err = &busy{err, after}
	case resp.StatusCode/100 == 4 && resp.StatusCode != http.StatusRequestTimeout:
		err = permanent{err}
	}
	return string(answer), err
}

// retryAfterHeader reads the header of that name, seconds or a date; 0 is none.
func (a *Alarm) retryAfterHeader(text string) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 {
		return min(time.Duration(seconds)*time.Second, time.Hour)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(a.o.Now()), 0), time.Hour)
	}
	return 0
}

func basicAuth(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}
