package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// parse decodes a manifest of any version. It rejects unknown fields, because they may carry meaning, names in another case,
// duplicate fields, and null, which would decode as 0.
func parse(file string, content []byte) (*Manifest, error) {
	if err := checkJSON(file, content); err != nil {
		return nil, err
	}
	// The strict decoder below reports a wrong type of the object or of the version.
	var versioned struct {
		SchemaVersion jsontext.Value `json:"schema_version"`
	}
	_ = json.Unmarshal(content, &versioned)
	switch found := string(versioned.SchemaVersion); {
	case found == "3":
		m := &Manifest{}
		return m, decode(file, content, m, 3)
	case found == "2":
		var v manifestV2
		if err := decode(file, content, &v, 2); err != nil {
			return nil, err
		}
		return v.upgrade(file)
	case versioned.SchemaVersion.Kind() == '0' && found != "1":
		return nil, versionError(file, found)
	}
	var v manifestV1
	if err := decode(file, content, &v, 1); err != nil {
		return nil, err
	}
	if v.SchemaVersion != 1 {
		return nil, versionError(file, strconv.Itoa(v.SchemaVersion))
	}
	return v.upgrade().upgrade(file)
}

func versionError(file, found string) error {
	return &Error{File: file, Field: "schema_version", Found: found, Expected: fmt.Sprintf("1 to %d", SchemaVersion)}
}

// checkJSON checks that content is one JSON object without duplicate fields and without null.
func checkJSON(file string, content []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(content))
	for d.InputOffset() == 0 || d.StackDepth() > 0 {
		token, err := d.ReadToken()
		syntax, isSyntax := errors.AsType[*jsontext.SyntacticError](err)
		switch {
		case isSyntax && errors.Is(err, jsontext.ErrDuplicateName):
			return &Error{File: file, Field: fieldPath(syntax.JSONPointer), Found: "a duplicate field", Expected: "each field once"}
		case isSyntax && isNotFinite(content[d.InputOffset():]):
			return &Error{File: file, Field: fieldPath(syntax.JSONPointer), Found: "a number that is not finite", Expected: "a finite number"}
		case err != nil:
			return &Error{File: file, Err: fmt.Errorf("invalid JSON: %w", err)}
		}
		if token.Kind() == 'n' {
			return &Error{File: file, Field: fieldPath(d.StackPointer()), Found: "null", Expected: "a value, or the field left out"}
		}
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return &Error{File: file, Found: "data after the JSON value", Expected: "the end of the file"}
	}
	if kind := jsontext.Value(content).Kind(); kind != '{' {
		return &Error{File: file, Found: describeJSON(kind, nil), Expected: "an object"}
	}
	return nil
}

// isNotFinite reports whether the next value is one that Python's json module writes for a number that JSON does not have.
func isNotFinite(rest []byte) bool {
	rest = bytes.TrimLeft(rest, " \t\r\n:,")
	return slices.ContainsFunc([]string{"NaN", "Infinity", "-Infinity"}, func(word string) bool { return bytes.HasPrefix(rest, []byte(word)) })
}

// decode decodes content, which checkJSON accepts, into a manifest of that schema version.
func decode(file string, content []byte, manifest any, version int) error {
	err := json.Unmarshal(content, manifest, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	semantic, ok := errors.AsType[*json.SemanticError](err)
	pointer := jsontext.Pointer("")
	for ok {
		pointer += semantic.JSONPointer
		inner, nested := errors.AsType[*json.SemanticError](semantic.Err) // Of Numbers and Bounds.
		if !nested {
			break
		}
		semantic = inner
	}
	switch {
	case !ok:
		return &Error{File: file, Err: fmt.Errorf("invalid JSON: %w", err)}
	case errors.Is(err, json.ErrUnknownName):
		return &Error{File: file, Field: fieldPath(pointer), Found: "an unknown field", Expected: fmt.Sprintf("a field of schema version %d", version)}
	}
	return &Error{
		File:     file,
		Field:    fieldPath(pointer),
		Found:    describeJSON(semantic.JSONKind, semantic.JSONValue),
		Expected: describeType(semantic.GoType),
	}
}

// describeJSON names the type of a JSON value. A number is shown: its type may be right and its value out of range.
func describeJSON(kind jsontext.Kind, value jsontext.Value) string {
	switch kind {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case '0':
		if value == nil {
			return "a number"
		}
		return "the number " + string(value)
	}
	return "a boolean"
}

// describeType names the JSON type that decodes into a Go type.
func describeType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.String:
		return "a string"
	case reflect.Float64:
		return "a number"
	}
	return fmt.Sprintf("an integer in the range of %s", t)
}

// fieldPath formats the place of a value in a manifest, for example graphs.policy.inputs[0].name.
func fieldPath(pointer jsontext.Pointer) string {
	var b strings.Builder
	for token := range pointer.Tokens() {
		switch _, err := strconv.Atoi(token); {
		case err == nil:
			b.WriteString("[" + token + "]")
		case b.Len() > 0:
			b.WriteString("." + token)
		default:
			b.WriteString(token)
		}
	}
	return b.String()
}
