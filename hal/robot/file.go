package robot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// SchemaVersion is the schema version of the files that Load reads.
const SchemaVersion = 1

// MaxFileBytes is the maximum size of a robot's file.
const MaxFileBytes = 1 << 20

// FileError is the error of an invalid robot file.
type FileError struct {
	// File is the path of the file; empty for a robot that is not in one.
	File string
	// Field is the invalid field; empty if the error concerns the whole file.
	Field string
	// Problem describes the error.
	Problem string
}

// Error names the file, the field and the problem.
func (e *FileError) Error() string {
	if e.File == "" {
		return fmt.Sprintf("%s: %s", e.Field, e.Problem)
	}
	if e.Field == "" {
		return fmt.Sprintf("robot %s: %s", e.File, e.Problem)
	}
	return fmt.Sprintf("robot %s: %s: %s", e.File, e.Field, e.Problem)
}

// file is a robot as JSON. All fields but orders are required. Numbers are pointers, so that 0 differs from missing.
type file struct {
	SchemaVersion int                 `json:"schema_version"`
	Name          string              `json:"name"`
	Joints        []fileJoint         `json:"joints"`
	Feet          []string            `json:"feet"`
	Orders        map[string][]string `json:"orders,omitempty"`
}

type fileJoint struct {
	Name                   string   `json:"name"`
	LowerRad               *float64 `json:"lower_rad"`
	UpperRad               *float64 `json:"upper_rad"`
	VelocityLimitRadPerSec *float64 `json:"velocity_limit_rad_per_sec"`
	EffortLimitNm          *float64 `json:"effort_limit_nm"`
	DefaultRad             *float64 `json:"default_rad"`
	Kp                     *float64 `json:"kp"`
	Kd                     *float64 `json:"kd"`
}

// Load reads a robot from a JSON file:
//
//	{
//	  "schema_version": 1,
//	  "name": "go2",                              lower case letters, digits and _
//	  "joints": [                                 1 to 64, in the robot's order
//	    {
//	      "name": "FL_hip_joint",                 letters, digits and _; unique
//	      "lower_rad": -1.0472,                   the range, within ±100 rad
//	      "upper_rad": 1.0472,                    greater than lower_rad
//	      "velocity_limit_rad_per_sec": 30.1,     more than 0, at most 1000
//	      "effort_limit_nm": 23.7,                more than 0, at most 100000
//	      "default_rad": 0.1,                     in the range
//	      "kp": 40,                               more than 0, at most 100000
//	      "kd": 1                                 more than 0, at most 100000
//	    }
//	  ],
//	  "feet": ["FL", "FR", "RL", "RR"],           0 to 32, unique, in the order of an observation's contacts
//	  "orders": {                                 optional: other orders of the same joints
//	    "type_major": ["FL_hip_joint"]            each joint once
//	  }
//	}
//
// Units are those of the fields of [Robot] and [Joint]. Unknown fields are an error. The error is a [*FileError] for invalid
// content, and otherwise that of reading the file.
func Load(path string) (*Robot, error) {
	content, err := readFile(path)
	if err != nil {
		return nil, err
	}
	var parsed file
	if err := parse(path, content, &parsed); err != nil {
		return nil, err
	}
	r, fieldErr := parsed.robot()
	if fieldErr != nil {
		fieldErr.File = path
		return nil, fieldErr
	}
	return r, nil
}

// readFile returns the content of a file of at most MaxFileBytes.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("robot: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("robot: reading %s: %w", path, err)
	}
	if len(content) > MaxFileBytes {
		return nil, &FileError{File: path, Problem: fmt.Sprintf("larger than %d bytes", MaxFileBytes)}
	}
	return content, nil
}

// Encode returns r as the content of a file that Load reads. The error is that of Load, without a file: a name, a limit or a gain that a
// file cannot have.
func (r *Robot) Encode() ([]byte, error) {
	f := file{SchemaVersion: SchemaVersion, Name: r.Name, Feet: append([]string{}, r.Feet...), Orders: r.Orders}
	for i, j := range r.Joints {
		f.Joints = append(f.Joints, fileJoint{
			Name: j.Name, LowerRad: &j.LowerRad, UpperRad: &j.UpperRad,
			VelocityLimitRadPerSec: &j.VelocityLimitRadPerSec, EffortLimitNm: &j.EffortLimitNm,
			DefaultRad: &r.DefaultPoseRad[i], Kp: &r.Kp[i], Kd: &r.Kd[i],
		})
	}
	if _, err := f.robot(); err != nil {
		return nil, err
	}
	content, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("robot %s: %w", r.Name, err)
	}
	return append(content, '\n'), nil
}

// parse decodes a file into v. Unknown fields are an error, because they may be significant.
func parse(path string, content []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			want := strings.TrimPrefix(wrongType.Type.String(), "*")
			problem := fmt.Sprintf("found a JSON %s, expected a value of type %s", wrongType.Value, want)
			return &FileError{File: path, Field: wrongType.Field, Problem: problem}
		}
		if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			problem := fmt.Sprintf("unknown field in schema version %d", SchemaVersion)
			return &FileError{File: path, Field: strings.Trim(field, `"`), Problem: problem}
		}
		return &FileError{File: path, Problem: "invalid JSON: " + err.Error()}
	}
	if _, err := d.Token(); err != io.EOF {
		return &FileError{File: path, Problem: "trailing data after the JSON object"}
	}
	return nil
}

var (
	robotName = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)
	partName  = regexp.MustCompile(`^[A-Za-z0-9_]{1,64}$`)
)

// invalid returns an error for a field. Load adds the file.
func invalid(field, problem string, args ...any) *FileError {
	return &FileError{Field: field, Problem: fmt.Sprintf(problem, args...)}
}

// robot returns the robot that f describes, or an error for the first invalid field.
func (f *file) robot() (*Robot, *FileError) {
	switch {
	case f.SchemaVersion != SchemaVersion:
		return nil, invalid("schema_version", "found %d, expected %d", f.SchemaVersion, SchemaVersion)
	case !robotName.MatchString(f.Name):
		return nil, invalid("name", "found %q, expected 1 to 64 lower case letters, digits and _", f.Name)
	case len(f.Joints) < 1 || len(f.Joints) > MaxJoints:
		return nil, invalid("joints", "found %d, expected 1 to %d", len(f.Joints), MaxJoints)
	case f.Feet == nil || len(f.Feet) > MaxFeet:
		return nil, invalid("feet", "found %d, expected a list of 0 to %d", len(f.Feet), MaxFeet)
	}
	r := &Robot{Name: f.Name, Feet: f.Feet, Orders: f.Orders}
	for i, j := range f.Joints {
		if err := r.addJoint(i, j); err != nil {
			return nil, err
		}
	}
	for i, foot := range f.Feet {
		field := fmt.Sprintf("feet[%d]", i)
		if !partName.MatchString(foot) {
			return nil, invalid(field, "found %q, expected 1 to 64 letters, digits and _", foot)
		}
		if slices.Contains(f.Feet[:i], foot) {
			return nil, invalid(field, "duplicate foot %q", foot)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Orders)) {
		if !robotName.MatchString(name) {
			return nil, invalid("orders", "found %q, expected names of 1 to 64 lower case letters, digits and _", name)
		}
		if _, err := r.IndicesOf(f.Orders[name]); err != nil {
			return nil, invalid("orders."+name, "%v", err)
		}
	}
	return r, nil
}

// addJoint adds joint i of a file, or returns an error for its first invalid field.
func (r *Robot) addJoint(i int, j fileJoint) *FileError {
	prefix := fmt.Sprintf("joints[%d].", i)
	if !partName.MatchString(j.Name) {
		return invalid(prefix+"name", "found %q, expected 1 to 64 letters, digits and _", j.Name)
	}
	if slices.Contains(r.JointNames(), j.Name) {
		return invalid(prefix+"name", "duplicate joint %q", j.Name)
	}
	positive := func(limit float64) func(float64) bool {
		return func(v float64) bool { return v > 0 && v <= limit }
	}
	for _, n := range []struct {
		field    string
		value    *float64
		valid    func(v float64) bool // Later fields may refer to earlier ones.
		expected string
	}{
		{"lower_rad", j.LowerRad, func(v float64) bool { return v >= -100 && v <= 100 }, "-100 to 100"},
		{"upper_rad", j.UpperRad, func(v float64) bool { return v > *j.LowerRad && v <= 100 }, "more than lower_rad, at most 100"},
		{"velocity_limit_rad_per_sec", j.VelocityLimitRadPerSec, positive(1000), "more than 0, at most 1000"},
		{"effort_limit_nm", j.EffortLimitNm, positive(100_000), "more than 0, at most 100000"},
		{"default_rad", j.DefaultRad, func(v float64) bool { return v >= *j.LowerRad && v <= *j.UpperRad }, "lower_rad to upper_rad"},
		{"kp", j.Kp, positive(100_000), "more than 0, at most 100000"},
		{"kd", j.Kd, positive(100_000), "more than 0, at most 100000"},
	} {
		if n.value == nil {
			return invalid(prefix+n.field, "not found, expected %s", n.expected)
		}
		if !n.valid(*n.value) {
			return invalid(prefix+n.field, "found %v, expected %s", *n.value, n.expected)
		}
	}
	r.Joints = append(r.Joints, Joint{
		Name: j.Name, LowerRad: *j.LowerRad, UpperRad: *j.UpperRad,
		VelocityLimitRadPerSec: *j.VelocityLimitRadPerSec, EffortLimitNm: *j.EffortLimitNm,
	})
	r.DefaultPoseRad = append(r.DefaultPoseRad, *j.DefaultRad)
	r.Kp = append(r.Kp, *j.Kp)
	r.Kd = append(r.Kd, *j.Kd)
	return nil
}
