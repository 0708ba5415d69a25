package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/pharos-stack/pharos/internal/fielderr"
)

// MaxBody is the largest request body in bytes.
const MaxBody = 1 << 20

var requestIDs = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// Frame wraps the whole console: it gives each request an id (the caller's own
// X-Request-Id if it is sound), sets security headers, limits the body and
// turns a panic into a 500.
func Frame(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-Id")
		if !requestIDs.MatchString(id) {
			var b [8]byte
			rand.Read(b[:]) // never fails
			id = "req_" + hex.EncodeToString(b[:])
		}
		r = r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
		h := w.Header()
		h.Set("X-Request-Id", id)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		// The component library sets styles on elements, hence unsafe-inline for styles alone.
		h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "+
			"worker-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		if strings.HasPrefix(r.URL.Path, "/api/") || strings.HasPrefix(r.URL.Path, "/prometheus/") {
			h.Set("Cache-Control", "no-store")
		}
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares so, too
					panic(p)
				}
				log.Error("request panicked", "request_id", id, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				WriteError(w, r, code(http.StatusInternalServerError, "internal"))
			}
		}()
		if !limitBody(w, r) {
			return
		}
		next.ServeHTTP(w, r)
	})
}

// limitBody reads the body into memory, or answers 413, or 400 where it must
// be JSON and is not.
func limitBody(w http.ResponseWriter, r *http.Request) bool {
	if r.Body == nil || r.Body == http.NoBody {
		return true
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			WriteError(w, r, code(http.StatusRequestEntityTooLarge, "too_large"))
		} else {
			WriteError(w, r, code(http.StatusBadRequest, "bad_request"))
		}
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	if len(body) > 0 && strings.HasPrefix(r.URL.Path, "/api/") {
		var any json.RawMessage
		if err := json.Unmarshal(body, &any); err != nil {
			e := code(http.StatusBadRequest, "bad_request")
			at := ""
			if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
				at = fmt.Sprintf(" at byte %d", syntax.Offset)
			}
			e.Details = append(e.Details, fielderr.Error{Field: "", Code: "bad_json", Message: "the body is not JSON" + at + ": " + err.Error()})
			WriteError(w, r, e)
			return false
		}
		r.Header.Set("Content-Type", "application/json") // curl -d says form; it was just read as JSON
	}
	return true
}

// Mutation reports whether the request's method may change something.
func Mutation(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions
}

// Guard refuses changes from a browser's session that lack the header
// X-Pharos-Csrf: 1, which a page of another origin can't send. A POST to the
// Prometheus API is a question in a form and changes nothing.
func Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, err := Caller(r.Context()); err == nil && p.Session != "" && Mutation(r) && r.Header.Get("X-Pharos-Csrf") != "1" && !strings.HasPrefix(r.URL.Path, "/prometheus/") {
			WriteError(w, r, code(http.StatusForbidden, "csrf_required"))
			return
		}
		next.ServeHTTP(w, r)
	})
}
