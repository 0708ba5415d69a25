package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// pingEvery keeps proxies from closing a quiet stream.
const pingEvery = 15 * time.Second

// Events writes server-sent events.
type Events struct {
	mu   sync.Mutex
	w    http.ResponseWriter
	r    *http.Request
	rc   *http.ResponseController
	stop chan struct{}
	done chan struct{}
}

// NewEvents begins a stream; the caller ends it with Close.
func NewEvents(ctx huma.Context) *Events {
	r, w := humago.Unwrap(ctx)
	e := &Events{w: w, r: r, rc: http.NewResponseController(w), stop: make(chan struct{}), done: make(chan struct{})}
	e.write(": begin\n\n")
	go e.ping()
	return e
}

func (e *Events) ping() {
	defer close(e.done)
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-e.stop:
			return
		case <-tick.C:
			e.write(": ping\n\n")
		}
	}
}

// write ignores errors: a caller that went away ends the request's context.
func (e *Events) write(text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	fmt.Fprint(e.w, text)
	e.rc.Flush()
}

// Send writes an event whose data is v as JSON.
func (e *Events) Send(name string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("api: an event of type %T has no JSON form: %v", v, err))
	}
	e.write("event: " + name + "\ndata: " + string(data) + "\n\n")
}

// Fail writes an event "error" in the form of every error.
func (e *Events) Fail(err error) {
	e.Send("error", FromError(err).localised(RequestID(e.r.Context()), e.r.Header.Get("Accept-Language")))
}

// Close ends the stream.
func (e *Events) Close() {
	close(e.stop)
	<-e.done
}

// Raw is a JSON body that the handler reads itself; T documents its form.
type Raw[T any] struct{ text json.RawMessage }

// Schema documents the body as a T.
func (Raw[T]) Schema(r huma.Registry) *huma.Schema { return r.Schema(reflect.TypeFor[T](), true, "") }

// UnmarshalJSON keeps the text.
func (b *Raw[T]) UnmarshalJSON(text []byte) error {
	b.text = append(json.RawMessage{}, text...)
	return nil
}

// Field returns a field of the body as it was sent.
func (b *Raw[T]) Field(name string) (json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b.text, &fields); err != nil {
		return nil, BadField("", "bad_value", "the body must be an object: %v", err)
	}
	if fields[name] == nil {
		return nil, BadField(name, "required", "is missing")
	}
	return fields[name], nil
}

// Value returns the body as a T; unknown fields are an error.
func (b *Raw[T]) Value() (T, error) {
	var v T
	dec := json.NewDecoder(bytes.NewReader(b.text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return v, BadField("", "bad_value", "%v", err)
	}
	return v, nil
}
