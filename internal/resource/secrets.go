package resource

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/pharos-stack/pharos/internal/secret"
)

// secrets maps the path of a secret field, such as "mail.password", to its value.
type secrets map[string]string

// walkSecrets calls fn for every string field tagged secret:"true" of the
// struct v points to.
func walkSecrets(v reflect.Value, path string, fn func(path string, field reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			walkSecrets(v.Elem(), path, fn)
		}
	case reflect.Slice:
		for i := range v.Len() {
			walkSecrets(v.Index(i), fmt.Sprintf("%s[%d]", path, i), fn)
		}
	case reflect.Struct:
		for f, fv := range v.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.IsExported() || name == "-" {
				continue
			}
			if f.Tag.Get("secret") == "true" && fv.Kind() == reflect.String {
				fn(join(path, name), fv)
				continue
			}
			walkSecrets(fv, join(path, name), fn)
		}
	}
}

// fillSecrets returns a copy of spec in which empty secret fields have the kept values.
func fillSecrets(spec any, kept secrets) any {
	p := clone(spec)
	walkSecrets(p, "", func(path string, field reflect.Value) {
		if field.String() == "" {
			field.SetString(kept[path])
		}
	})
	return p.Elem().Interface()
}

// takeSecrets returns a copy of spec without its secrets, and the secrets.
func takeSecrets(spec any) (any, secrets) {
	p, taken := clone(spec), secrets{}
	walkSecrets(p, "", func(path string, field reflect.Value) {
		if field.String() != "" {
			taken[path] = field.String()
			field.SetString("")
		}
	})
	return p.Elem().Interface(), taken
}

// clone returns a pointer to a copy of spec that shares no structs with it.
func clone(spec any) reflect.Value {
	p := reflect.New(reflect.TypeOf(spec))
	text, err := json.Marshal(spec)
	if err == nil {
		err = json.Unmarshal(text, p.Interface())
	}
	if err != nil {
		panic(fmt.Sprintf("resource: a spec of type %T does not survive JSON: %v", spec, err))
	}
	return p
}

// hideSecrets returns the JSON of a spec whose secrets were taken, without the
// then empty secret fields.
func hideSecrets(spec any) (json.RawMessage, error) {
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	var paths []string
	walkSecrets(clone(spec), "", func(path string, _ reflect.Value) { paths = append(paths, path) })
	if len(paths) == 0 {
		return text, nil
	}
	n, err := parseJSON(text)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		n.remove(path)
	}
	return n.json(), nil
}

// remove deletes the field at a path of map keys.
func (n *node) remove(path string) {
	key, rest, more := strings.Cut(path, ".")
	for i, k := range n.keys {
		if k.text != key {
			continue
		}
		if more {
			n.items[i].remove(rest)
			return
		}
		n.keys, n.items = append(n.keys[:i], n.keys[i+1:]...), append(n.items[:i], n.items[i+1:]...)
		return
	}
}

func (s secrets) seal(box *secret.Box, id string) ([]byte, error) {
	if len(s) == 0 {
		return []byte{}, nil
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return box.Seal(text, id), nil
}

func openSecrets(box *secret.Box, sealed []byte, id string) (secrets, error) {
	if len(sealed) == 0 {
		return secrets{}, nil
	}
	text, err := box.Open(sealed, id)
	if err != nil {
		return nil, err
	}
	var s secrets
	return s, json.Unmarshal(text, &s)
}
