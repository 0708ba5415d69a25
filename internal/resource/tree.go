package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/pharos-stack/pharos/internal/fielderr"
)

// node is a piece of YAML or JSON with its place in the text, so that a
// message can tell where a mistake stands.
type node struct {
	// kind is one of map, list, string, number, bool, null.
	kind string
	// at is "line 3, column 5: " or empty when the place does not help.
	at    string
	text  string
	keys  []*node // of a map, beside items
	items []*node
	// loose allows a number or bool to stand for its text, as in YAML.
	loose bool
}

// Parse reads resources from YAML, one or many documents, or from JSON: an
// object, a list of objects, or {"items": […]}. Every unknown field and wrong
// type is in the returned fielderr.Errors with its path, line and column. The
// specs are not validated; the Store does that.
func (ks Kinds) Parse(text []byte) ([]Object, error) {
	roots, err := parseYAML(text)
	if err != nil {
		return nil, fielderr.Errors{{Field: "", Code: "bad_yaml", Message: err.Error()}}
	}
	var objects []Object
	var es fielderr.Errors
	read := func(n *node, path string) {
		o, errs := ks.object(n, path)
		es = append(es, errs...)
		objects = append(objects, o)
	}
	for i, root := range roots {
		path := ""
		if len(roots) > 1 {
			path = fmt.Sprintf("documents[%d]", i)
		}
		list := root
		if items := root.child("items"); items != nil && root.child("kind") == nil {
			list = items
		}
		if list.kind != "list" {
			read(root, path)
			continue
		}
		for j, item := range list.items {
			read(item, fmt.Sprintf("%s[%d]", join(path, "items"), j))
		}
	}
	return objects, es.Err()
}

// object checks and reads one resource.
func (ks Kinds) object(n *node, path string) (Object, fielderr.Errors) {
	var es fielderr.Errors
	envelope := reflect.TypeFor[Object]()
	check(n, envelope, path, &es)
	kindName := n.child("kind")
	if kindName == nil {
		es.Add(join(path, "kind"), "required", "%sis missing; it is one of %s", n.at, ks.names())
	} else if k, ok := ks.Find(kindName.text); !ok {
		es.Add(join(path, "kind"), "bad_kind", "%s%q is not known; use one of %s", kindName.at, kindName.text, ks.names())
	} else if spec := n.child("spec"); spec == nil {
		es.Add(join(path, "spec"), "required", "%sis missing", n.at)
	} else {
		check(spec, k.Type, join(path, "spec"), &es)
	}
	version := n.child("apiVersion")
	if version == nil || version.text != APIVersion {
		at := n.at
		if version != nil {
			at = version.at
		}
		es.Add(join(path, "apiVersion"), "bad_api_version", "%swrite apiVersion: %s", at, APIVersion)
	}
	var o Object
	if len(es) > 0 {
		return o, es
	}
	if err := json.Unmarshal(n.json(), &o); err != nil {
		es.Add(path, "bad_value", "%s%v", n.at, err)
	}
	return o, es
}

// Strict checks raw, a JSON spec of the kind, for unknown fields and wrong
// types. Paths in the returned fielderr.Errors begin with "spec".
func (k Kind) Strict(raw json.RawMessage) error {
	n, err := parseJSON(raw)
	if err != nil {
		return fielderr.Errors{{Field: "spec", Code: "bad_json", Message: err.Error()}}
	}
	var es fielderr.Errors
	check(n, k.Type, "spec", &es)
	return es.Err()
}

func join(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}

func (n *node) child(key string) *node {
	for i, k := range n.keys {
		if k.text == key {
			return n.items[i]
		}
	}
	return nil
}

// json returns the node as JSON, with loose scalars as check has set them.
func (n *node) json() []byte {
	var b bytes.Buffer
	switch n.kind {
	case "map":
		b.WriteByte('{')
		for i, k := range n.keys {
			if i > 0 {
				b.WriteByte(',')
			}
			key, _ := json.Marshal(k.text) // a string always has a JSON form
			b.Write(key)
			b.WriteByte(':')
			b.Write(n.items[i].json())
		}
		b.WriteByte('}')
	case "list":
		b.WriteByte('[')
		for i, item := range n.items {
			if i > 0 {
				b.WriteByte(',')
			}
			b.Write(item.json())
		}
		b.WriteByte(']')
	case "string":
		text, _ := json.Marshal(n.text)
		b.Write(text)
	default:
		b.WriteString(n.text)
	}
	return b.Bytes()
}

// check compares n with the type it is to become.
func check(n *node, t reflect.Type, path string, es *fielderr.Errors) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n.kind == "null" || t == reflect.TypeFor[json.RawMessage]() {
		return
	}
	want := ""
	switch {
	case reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()):
		checkText(n, t, path, es)
		return
	case t.Kind() == reflect.Struct:
		want = "map"
	case t.Kind() == reflect.Map:
		want = "map"
	case t.Kind() == reflect.Slice:
		want = "list"
	case t.Kind() == reflect.String:
		want = "string"
	case t.Kind() == reflect.Bool:
		want = "bool"
	default:
		want = "number"
	}
	if want == "string" && n.loose && (n.kind == "number" || n.kind == "bool") {
		n.kind = "string"
	}
	if n.kind != want {
		es.Add(path, "bad_type", "%sis a %s; write a %s", n.at, n.kind, want)
		return
	}
	switch {
	case want == "number":
		if err := json.Unmarshal([]byte(n.text), reflect.New(t).Interface()); err != nil {
			es.Add(path, "bad_type", "%s%s does not fit; write %s", n.at, n.text, numberName(t))
		}
	case t.Kind() == reflect.Slice:
		for i, item := range n.items {
			check(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i), es)
		}
	case t.Kind() == reflect.Map:
		for i, k := range n.keys {
			check(n.items[i], t.Elem(), join(path, k.text), es)
		}
	case t.Kind() == reflect.Struct:
		checkStruct(n, t, path, es)
	}
}

func numberName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number that is not negative"
	}
	return "a whole number"
}

// checkText checks a type that reads itself from text, such as a duration.
func checkText(n *node, t reflect.Type, path string, es *fielderr.Errors) {
	if n.loose && n.kind == "number" {
		n.kind = "string"
	}
	if err := json.Unmarshal(n.json(), reflect.New(t).Interface()); err != nil {
		es.Add(path, "bad_value", "%s%v", n.at, err)
	}
}

func checkStruct(n *node, t reflect.Type, path string, es *fielderr.Errors) {
	fields := map[string]reflect.Type{}
	var names []string
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			fields[name] = f.Type
			names = append(names, name)
		}
	}
	seen := map[string]bool{}
	for i, k := range n.keys {
		ft, ok := fields[k.text]
		if !ok {
			es.Add(join(path, k.text), "unknown_field", "%sthere is no field %q here; use one of %s", k.at, k.text, strings.Join(names, ", "))
			continue
		}
		if seen[k.text] {
			es.Add(join(path, k.text), "duplicate_field", "%s%q is given twice", k.at, k.text)
			continue
		}
		seen[k.text] = true
		check(n.items[i], ft, join(path, k.text), es)
	}
}

// parseYAML returns the documents of text; JSON is read as JSON.
func parseYAML(text []byte) ([]*node, error) {
	if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') && json.Valid(trimmed) {
		n, err := parseJSON(text)
		return []*node{n}, err
	}
	var roots []*node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return roots, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read YAML: %w", err)
		}
		if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
			continue // an empty document
		}
		n, err := fromYAML(doc.Content[0], 0)
		if err != nil {
			return nil, err
		}
		roots = append(roots, n)
	}
}

func fromYAML(y *yaml.Node, depth int) (*node, error) {
	n := &node{at: fmt.Sprintf("line %d, column %d: ", y.Line, y.Column), text: y.Value, loose: true}
	if depth > 50 {
		return nil, fmt.Errorf("cannot read YAML: %sit is nested deeper than 50 levels", n.at)
	}
	switch y.Kind {
	case yaml.MappingNode:
		n.kind = "map"
		for i := 0; i+1 < len(y.Content); i += 2 {
			k, err := fromYAML(y.Content[i], depth+1)
			if err != nil {
				return nil, err
			}
			v, err := fromYAML(y.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			n.keys, n.items = append(n.keys, k), append(n.items, v)
		}
	case yaml.SequenceNode:
		n.kind = "list"
		for _, c := range y.Content {
			v, err := fromYAML(c, depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, v)
		}
	case yaml.ScalarNode:
		scalarFromYAML(y, n)
	default:
		// An alias could be expanded to any size.
		return nil, fmt.Errorf("cannot read YAML: %sanchors and aliases are not allowed; write the value out", n.at)
	}
	return n, nil
}

func scalarFromYAML(y *yaml.Node, n *node) {
	switch y.ShortTag() {
	case "!!null":
		n.kind, n.text = "null", "null"
	case "!!bool":
		n.kind, n.text = "bool", strings.ToLower(y.Value)
	case "!!int", "!!float":
		n.kind = "number"
		var v any
		if y.Decode(&v) == nil && !json.Valid([]byte(y.Value)) {
			if text, err := json.Marshal(v); err == nil {
				n.text = string(text) // such as 0x10 or +1
			} else {
				n.kind = "string" // .inf and .nan have no JSON form
			}
		}
	default:
		n.kind = "string"
	}
}

func parseJSON(text []byte) (*node, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	n, err := fromJSON(dec, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot read JSON at byte %d: %w", dec.InputOffset(), err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("cannot read JSON: there is more after its end at byte %d", dec.InputOffset())
	}
	return n, nil
}

func fromJSON(dec *json.Decoder, depth int) (*node, error) {
	if depth > 50 {
		return nil, errors.New("it is nested deeper than 50 levels")
	}
	token, err := dec.Token()
	if errors.Is(err, io.EOF) {
		return nil, io.ErrUnexpectedEOF
	} else if err != nil {
		return nil, err
	}
	n := &node{}
	switch v := token.(type) {
	case json.Delim:
		n.kind = map[json.Delim]string{'{': "map", '[': "list"}[v]
		for dec.More() {
			if n.kind == "map" {
				key, err := dec.Token()
				if err != nil {
					return nil, err
				}
				n.keys = append(n.keys, &node{kind: "string", text: key.(string)}) // the decoder allows nothing else
			}
			item, err := fromJSON(dec, depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item)
		}
		_, err = dec.Token() // the closing delimiter
	case string:
		n.kind, n.text = "string", v
	case json.Number:
		n.kind, n.text = "number", v.String()
	case bool:
		n.kind, n.text = "bool", fmt.Sprint(v)
	case nil:
		n.kind, n.text = "null", "null"
	}
	return n, err
}
