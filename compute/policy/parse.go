package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// manifestV1 is a manifest of schema version 1.
type manifestV1 struct {
	SchemaVersion  int               `json:"schema_version"`
	Name           string            `json:"name"`
	Robot          string            `json:"robot"`
	Files          map[string]string `json:"files"`
	JointOrder     []string          `json:"joint_order"`
	DefaultPoseRad []float64         `json:"default_pose_rad"`
	ActionScale    float64           `json:"action_scale"`
	Observation    Observation       `json:"observation"`
	ControlRateHz  float64           `json:"control_rate_hz"`
	Input          Tensor            `json:"input"`
	Output         Tensor            `json:"output"`
	Provenance     Provenance        `json:"provenance"`
}

// upgrade returns v in the form of the newest schema. SchemaVersion stays 1.
func (v *manifestV1) upgrade() *Manifest {
	return &Manifest{
		SchemaVersion: v.SchemaVersion, Name: v.Name, Robot: v.Robot, Files: v.Files, JointOrder: v.JointOrder,
		DefaultPoseRad: v.DefaultPoseRad, ActionScale: v.ActionScale, Observation: v.Observation, ControlRateHz: v.ControlRateHz,
		Graphs: map[string]Graph{
			PolicyGraph: {File: ModelFile, Inputs: []Tensor{v.Input}, Outputs: []Tensor{v.Output}},
		},
		Provenance: v.Provenance,
	}
}

// parse decodes a manifest of version 1 or SchemaVersion. It rejects unknown fields, because they may carry meaning, names
// in another case, duplicate fields, and null, which would decode as 0.
func parse(file string, content []byte) (*Manifest, error) {
	if err := checkJSON(file, content); err != nil {
		return nil, err
	}
	// The strict decoder below reports a wrong type of the object or of the version.
	var versioned struct {
		SchemaVersion jsontext.Value `json:"schema_version"`
	}
	_ = json.Unmarshal(content, &versioned)
	switch found := versioned.SchemaVersion; {
	case string(found) == strconv.Itoa(SchemaVersion):
		var m Manifest
		if err := decode(file, content, &m, SchemaVersion); err != nil {
			return nil, err
		}
		return &m, nil
	case found.Kind() == '0' && string(found) != "1":
		return nil, versionError(file, string(found))
	}
	var v manifestV1
	if err := decode(file, content, &v, 1); err != nil {
		return nil, err
	}
	if v.SchemaVersion != 1 {
		return nil, versionError(file, strconv.Itoa(v.SchemaVersion))
	}
	return v.upgrade(), nil
}

func versionError(file, found string) error {
	return &Error{File: file, Field: "schema_version", Found: found, Expected: fmt.Sprintf("1 or %d", SchemaVersion)}
}

// checkJSON checks that content is one JSON object without duplicate fields and without null.
func checkJSON(file string, content []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(content))
	for d.InputOffset() == 0 || d.StackDepth() > 0 {
		token, err := d.ReadToken()
		if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok && errors.Is(err, jsontext.ErrDuplicateName) {
			return &Error{File: file, Field: fieldPath(syntax.JSONPointer), Found: "a duplicate field", Expected: "each field once"}
		}
		if err != nil {
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

// decode decodes content, which checkJSON accepts, into a manifest of that schema version.
func decode(file string, content []byte, manifest any, version int) error {
	err := json.Unmarshal(content, manifest, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	semantic, ok := errors.AsType[*json.SemanticError](err)
	switch {
	case !ok:
		return &Error{File: file, Err: fmt.Errorf("invalid JSON: %w", err)}
	case errors.Is(err, json.ErrUnknownName):
		return &Error{File: file, Field: fieldPath(semantic.JSONPointer), Found: "an unknown field", Expected: fmt.Sprintf("a field of schema version %d", version)}
	}
	return &Error{
		File:     file,
		Field:    fieldPath(semantic.JSONPointer),
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
	case reflect.Slice:
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
