// Package site serves the built web UI: hashed assets for ever, index.html for
// every address that is a page of the UI, all compressed where it helps.
package site

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp"
)

// Site serves the files of the UI.
type Site struct {
	files fs.FS
	index []byte
}

// New returns a Site; files holds index.html.
func New(files fs.FS) (*Site, error) {
	index, err := fs.ReadFile(files, "index.html")
	if err != nil {
		return nil, fmt.Errorf("cannot read the web UI, build it first: %w", err)
	}
	return &Site{files: files, index: index}, nil
}

// Compress compresses answers of 1 KiB or more, streams excepted.
func Compress(next http.Handler) http.Handler {
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(1024), gzhttp.ExceptContentTypes([]string{"text/event-stream", "image/png", "font/woff2", "image/jpeg"}))
	if err != nil {
		panic("site: " + err.Error()) // the options are constants
	}
	return wrap(next)
}

func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	text, err := fs.ReadFile(s.files, name)
	if name == "" || err != nil {
		// A missing file is an error; any other address is a page of the UI.
		if name != "" && (!missing(err) || strings.HasPrefix(name+"/", "assets/") || path.Ext(name) != "") {
			http.Error(w, "not found", http.StatusNotFound)
			return
		}
		name, text = "index.html", s.index
	}
	if strings.HasPrefix(name, "assets/") {
		// The build puts a hash of the content into these names.
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		w.Header().Set("Cache-Control", "no-cache")
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		w.Header().Set("Content-Type", t)
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(text))
}

// missing reports whether there is no such file; a directory counts as none.
func missing(err error) bool {
	_, ok := errors.AsType[*fs.PathError](err)
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) || ok
}
