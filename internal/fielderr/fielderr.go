// Package fielderr describes what is wrong with user input: which field, which
// value, and how to mend it. All bad fields of one input are reported at once.
package fielderr

import (
	"fmt"
	"strings"
)

// Error is one bad field.
type Error struct {
	// Field is the path of the field in the input, such as "spec.columns[2].split.delimiter".
	Field string `json:"field"`
	// Code is a stable lower_snake identifier, such as "column_required".
	Code string `json:"code"`
	// Message says what is wrong with the value and how to mend it.
	Message string `json:"message"`
}

func (e Error) Error() string { return e.Field + ": " + e.Message }

// Errors collects the bad fields of one input. The zero value is ready for use.
type Errors []Error

// Add records a bad field.
func (es *Errors) Add(field, code, format string, args ...any) {
	*es = append(*es, Error{Field: field, Code: code, Message: fmt.Sprintf(format, args...)})
}

// Err returns es as an error, or nil when nothing is wrong.
func (es Errors) Err() error {
	if len(es) == 0 {
		return nil
	}
	return es
}

func (es Errors) Error() string {
	parts := make([]string, len(es))
	for i, e := range es {
		parts[i] = e.Error()
	}
	return strings.Join(parts, "; ")
}
