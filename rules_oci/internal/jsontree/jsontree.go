// Package jsontree edits JSON documents without changing what it does not set: objects keep the order of their keys, numbers
// their digits. Its format and the semantics of Merge are those of jq 1.7, which rules_oci uses.
//
// A value is nil, a bool, a json.Number, a string, a []any or an *Object.
package jsontree

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// Object is a JSON object with ordered keys. The zero value is an empty object.
type Object struct {
	keys   []string
	values map[string]any
}

// Keys returns the keys in their order.
func (o *Object) Keys() []string { return o.keys }

// Get returns the value of a key, or nil.
func (o *Object) Get(key string) any { return o.values[key] }

// Set sets the value of a key. A new key is the last one.
func (o *Object) Set(key string, value any) {
	if _, ok := o.values[key]; !ok {
		o.keys = append(o.keys, key)
	}
	if o.values == nil {
		o.values = map[string]any{}
	}
	o.values[key] = value
}

// Delete removes a key.
func (o *Object) Delete(key string) {
	if _, ok := o.values[key]; !ok {
		return
	}
	delete(o.values, key)
	for i, k := range o.keys {
		if k == key {
			o.keys = append(o.keys[:i:i], o.keys[i+1:]...)
			return
		}
	}
}

// Object returns the object at a key. A missing or null value becomes an empty object.
func (o *Object) Object(key string) (*Object, error) {
	switch value := o.Get(key).(type) {
	case nil:
		object := &Object{}
		o.Set(key, object)
		return object, nil
	case *Object:
		return value, nil
	default:
		return nil, fmt.Errorf("%s: found %s, expected an object", key, kind(value))
	}
}

// Append appends a value to the array at a key. A missing or null value becomes an array.
func (o *Object) Append(key string, value any) error {
	switch array := o.Get(key).(type) {
	case nil:
		o.Set(key, []any{value})
	case []any:
		o.Set(key, append(array[:len(array):len(array)], value))
	default:
		return fmt.Errorf("%s: found %s, expected an array", key, kind(array))
	}
	return nil
}

// Strings returns the array of strings at a key, or nil.
func (o *Object) Strings(key string) ([]string, error) {
	switch array := o.Get(key).(type) {
	case nil:
		return nil, nil
	case []any:
		out := make([]string, len(array))
		for i, value := range array {
			s, ok := value.(string)
			if !ok {
				return nil, fmt.Errorf("%s: found %s in the array, expected a string", key, kind(value))
			}
			out[i] = s
		}
		return out, nil
	default:
		return nil, fmt.Errorf("%s: found %s, expected an array", key, kind(array))
	}
}

// Merge sets the keys of other. A value that is an object on both sides is merged.
func (o *Object) Merge(other *Object) {
	for _, key := range other.keys {
		value := other.values[key]
		into, isObject := o.Get(key).(*Object)
		if from, ok := value.(*Object); ok && isObject {
			into.Merge(from)
			continue
		}
		o.Set(key, value)
	}
}

// StringArray returns an array of strings as a value.
func StringArray(values []string) []any {
	array := make([]any, len(values))
	for i, value := range values {
		array[i] = value
	}
	return array
}

// ParseObject parses a document that is an object. Of equal keys the last value counts.
func ParseObject(data []byte) (*Object, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	value, err := parse(decoder)
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("found data after the JSON document")
	}
	object, ok := value.(*Object)
	if !ok {
		return nil, fmt.Errorf("found %s, expected an object", kind(value))
	}
	return object, nil
}

func parse(decoder *json.Decoder) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	switch token {
	case json.Delim('['):
		array := []any{}
		for decoder.More() {
			value, err := parse(decoder)
			if err != nil {
				return nil, err
			}
			array = append(array, value)
		}
		_, err := decoder.Token()
		return array, err
	case json.Delim('{'):
		object := &Object{}
		for decoder.More() {
			key, err := decoder.Token()
			if err != nil {
				return nil, err
			}
			value, err := parse(decoder)
			if err != nil {
				return nil, err
			}
			object.Set(key.(string), value)
		}
		_, err := decoder.Token()
		return object, err
	}
	return token, nil
}

// Format returns the document with an indentation of two spaces and no final newline.
func Format(value any) []byte { return appendValue(nil, value, "\n") }

// appendValue appends a value. newline is a newline and the indentation.
func appendValue(b []byte, value any, newline string) []byte {
	switch value := value.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, value)
	case json.Number:
		return append(b, formatNumber(string(value))...)
	case string:
		return appendString(b, value)
	case []any:
		if len(value) == 0 {
			return append(b, "[]"...)
		}
		for i, element := range value {
			b = append(b, opening('[', i)...)
			b = append(b, newline+"  "...)
			b = appendValue(b, element, newline+"  ")
		}
		return append(append(b, newline...), ']')
	case *Object:
		if len(value.keys) == 0 {
			return append(b, "{}"...)
		}
		for i, key := range value.keys {
			b = append(b, opening('{', i)...)
			b = append(b, newline+"  "...)
			b = appendString(b, key)
			b = append(b, ": "...)
			b = appendValue(b, value.values[key], newline+"  ")
		}
		return append(append(b, newline...), '}')
	default:
		panic(fmt.Sprintf("jsontree: a %T is no value", value))
	}
}

func opening(bracket byte, i int) string {
	if i > 0 {
		return ","
	}
	return string(bracket)
}

// appendString quotes s. In contrast to encoding/json it escapes no characters but quotes, backslashes and controls.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch r {
		case '"', '\\':
			b = append(b, '\\', byte(r))
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			if r < ' ' || r == 0x7f {
				b = fmt.Appendf(b, `\u%04x`, r)
			} else {
				b = utf8.AppendRune(b, r)
			}
		}
	}
	return append(b, '"')
}

// kind names the type of a value in errors.
func kind(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "an array"
	default:
		return "an object"
	}
}
