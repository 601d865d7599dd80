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

// SchemaVersion is the version of the files that Load reads.
const SchemaVersion = 1

// MaxFileBytes bounds the size of a robot's file.
const MaxFileBytes = 1 << 20

// Error says what is wrong with the file of a robot. Field is empty where it is the file as a whole.
type Error struct {
	File     string
	Field    string
	Found    string
	Expected string
}

func (e *Error) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("robot %s: found %s, expected %s", e.File, e.Found, e.Expected)
	}
	return fmt.Sprintf("robot %s: %s: found %s, expected %s", e.File, e.Field, e.Found, e.Expected)
}

// file is a robot as JSON. Each field is required except orders; numbers are pointers to tell 0 from missing.
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
//	    "type_major": ["FL_hip_joint"]            every joint once
//	  }
//	}
//
// Units are those of the fields of [Robot] and [Joint]. Fields that it does not know are refused. The error is an
// *Error for what the file contains, and else from reading it.
func Load(path string) (*Robot, error) {
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
		return nil, &Error{File: path, Found: fmt.Sprintf("more than %d bytes", MaxFileBytes), Expected: "the description of a robot"}
	}
	parsed, err := parse(path, content)
	if err != nil {
		return nil, err
	}
	return parsed.robot(path)
}

// parse reads a file strictly: fields that it does not know are refused, because they may carry meaning.
func parse(path string, content []byte) (*file, error) {
	var f file
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		var wrongType *json.UnmarshalTypeError
		switch {
		case errors.As(err, &wrongType):
			return nil, &Error{File: path, Field: wrongType.Field, Found: "a JSON " + wrongType.Value, Expected: "a value of type " + strings.TrimPrefix(wrongType.Type.String(), "*")}
		case strings.HasPrefix(err.Error(), "json: unknown field "):
			field := strings.Trim(strings.TrimPrefix(err.Error(), "json: unknown field "), `"`)
			return nil, &Error{File: path, Field: field, Found: "an unknown field", Expected: fmt.Sprintf("only the fields of schema version %d", SchemaVersion)}
		}
		return nil, &Error{File: path, Found: "no valid JSON (" + err.Error() + ")", Expected: "the description of a robot"}
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, &Error{File: path, Found: "more after the JSON object", Expected: "nothing"}
	}
	return &f, nil
}

var (
	robotName = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)
	partName  = regexp.MustCompile(`^[A-Za-z0-9_]{1,64}$`)
)

// robot returns the robot that f describes, or an *Error for the first field that does not fit.
func (f *file) robot(path string) (*Robot, error) {
	wrong := func(field, found, expected string) error {
		return &Error{File: path, Field: field, Found: found, Expected: expected}
	}
	switch {
	case f.SchemaVersion != SchemaVersion:
		return nil, wrong("schema_version", fmt.Sprint(f.SchemaVersion), fmt.Sprint(SchemaVersion))
	case !robotName.MatchString(f.Name):
		return nil, wrong("name", fmt.Sprintf("%q", f.Name), "1 to 64 lower case letters, digits and _")
	case len(f.Joints) < 1 || len(f.Joints) > MaxJoints:
		return nil, wrong("joints", fmt.Sprint(len(f.Joints)), fmt.Sprintf("1 to %d", MaxJoints))
	case f.Feet == nil || len(f.Feet) > MaxFeet:
		return nil, wrong("feet", fmt.Sprint(len(f.Feet)), fmt.Sprintf("a list of 0 to %d", MaxFeet))
	}
	r := &Robot{Name: f.Name, Feet: f.Feet, Orders: f.Orders}
	for i, j := range f.Joints {
		at := fmt.Sprintf("joints[%d].", i)
		if !partName.MatchString(j.Name) {
			return nil, wrong(at+"name", fmt.Sprintf("%q", j.Name), "1 to 64 letters, digits and _")
		}
		if slices.Contains(r.JointNames(), j.Name) {
			return nil, wrong(at+"name", fmt.Sprintf("%q a second time", j.Name), "each joint once")
		}
		for _, n := range []struct {
			field    string
			value    *float64
			fits     func(v float64) bool
			expected string
		}{
			{"lower_rad", j.LowerRad, func(v float64) bool { return v >= -100 && v <= 100 }, "-100 to 100"},
			{"upper_rad", j.UpperRad, func(v float64) bool { return v > *j.LowerRad && v <= 100 }, "more than lower_rad, at most 100"},
			{"velocity_limit_rad_per_sec", j.VelocityLimitRadPerSec, func(v float64) bool { return v > 0 && v <= 1000 }, "more than 0, at most 1000"},
			{"effort_limit_nm", j.EffortLimitNm, func(v float64) bool { return v > 0 && v <= 100_000 }, "more than 0, at most 100000"},
			{"default_rad", j.DefaultRad, func(v float64) bool { return v >= *j.LowerRad && v <= *j.UpperRad }, "lower_rad to upper_rad"},
			{"kp", j.Kp, func(v float64) bool { return v > 0 && v <= 100_000 }, "more than 0, at most 100000"},
			{"kd", j.Kd, func(v float64) bool { return v > 0 && v <= 100_000 }, "more than 0, at most 100000"},
		} {
			if n.value == nil {
				return nil, wrong(at+n.field, "nothing", n.expected)
			}
			if !n.fits(*n.value) {
				return nil, wrong(at+n.field, fmt.Sprint(*n.value), n.expected)
			}
		}
		r.Joints = append(r.Joints, Joint{
			Name: j.Name, LowerRad: *j.LowerRad, UpperRad: *j.UpperRad,
			VelocityLimitRadPerSec: *j.VelocityLimitRadPerSec, EffortLimitNm: *j.EffortLimitNm,
		})
		r.DefaultPoseRad = append(r.DefaultPoseRad, *j.DefaultRad)
		r.Kp = append(r.Kp, *j.Kp)
		r.Kd = append(r.Kd, *j.Kd)
	}
	for i, foot := range f.Feet {
		if !partName.MatchString(foot) {
			return nil, wrong(fmt.Sprintf("feet[%d]", i), fmt.Sprintf("%q", foot), "1 to 64 letters, digits and _")
		}
		if slices.Contains(f.Feet[:i], foot) {
			return nil, wrong(fmt.Sprintf("feet[%d]", i), fmt.Sprintf("%q a second time", foot), "each foot once")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Orders)) {
		if !robotName.MatchString(name) {
			return nil, wrong("orders", fmt.Sprintf("%q", name), "names of 1 to 64 lower case letters, digits and _")
		}
		if _, err := r.MapTo(f.Orders[name]); err != nil {
			found, expected, _ := strings.Cut(strings.TrimPrefix(err.Error(), "found "), ", expected ")
			return nil, wrong("orders."+name, found, expected)
		}
	}
	return r, nil
}
