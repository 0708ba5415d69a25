package api

import (
	"bytes"
	"encoding/json"
)

// Document returns the OpenAPI document as indented JSON.
func Document(a *API) ([]byte, error) {
	text, err := json.Marshal(a.OpenAPI())
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
