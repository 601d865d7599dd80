package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"krabby.dev/krabby/hal/robot"
)

// SchemaVersion is the version of the manifest that this code reads.
const SchemaVersion = 1

// Manifest says what a policy is and how it wants to be used.
type Manifest struct {
	// SchemaVersion must be SchemaVersion.
	SchemaVersion int `json:"schema_version"`
	// Name identifies the policy in reports.
	Name string `json:"name"`
	// Robot names the robot that the policy drives; see robot.ByName.
	Robot string `json:"robot"`
	// Files maps the name of each file of the folder to its sha256 in hex. ModelFile must be among them.
	Files map[string]string `json:"files"`
	// JointOrder names the joints in the order of the policy's output. It must be the robot's.
	JointOrder []string `json:"joint_order"`
	// DefaultPoseRad is what an action of 0 asks for, in rad, one value a joint.
	DefaultPoseRad []float64 `json:"default_pose_rad"`
	// ActionScale turns actions into rad: target = default pose + scale * action.
	ActionScale float64 `json:"action_scale"`
	// Observation says how the input is built.
	Observation Observation `json:"observation"`
	// ControlRateHz is the rate at which the policy was trained to act, in Hz.
	ControlRateHz float64 `json:"control_rate_hz"`
	// Input and Output are the model's tensors, both float32.
	Input  Tensor `json:"input"`
	Output Tensor `json:"output"`
	// Provenance says where the files come from.
	Provenance Provenance `json:"provenance"`
}

// Observation names the layout of a policy's input; a package of that kind builds it.
type Observation struct {
	Kind    string `json:"kind"`
	Version int    `json:"version"`
	// Size is the number of values.
	Size int `json:"size"`
}

// Tensor is an input or output of a model.
type Tensor struct {
	Name  string  `json:"name"`
	Shape []int64 `json:"shape"`
}

// Size returns the number of values of a tensor of this shape.
func (t Tensor) Size() int64 {
	n := int64(1)
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Provenance says where a policy comes from.
type Provenance struct {
	Source  string `json:"source"`
	Path    string `json:"path"`
	License string `json:"license"`
}

// parse reads a manifest strictly: fields that it does not know are refused, because they may carry meaning.
func parse(file string, content []byte) (*Manifest, error) {
	var m Manifest
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		var wrongType *json.UnmarshalTypeError
		switch {
		case errors.As(err, &wrongType):
			return nil, &Error{File: file, Field: wrongType.Field, Found: "a JSON " + wrongType.Value, Expected: "a value of type " + wrongType.Type.String()}
		case strings.HasPrefix(err.Error(), "json: unknown field "):
			field := strings.Trim(strings.TrimPrefix(err.Error(), "json: unknown field "), `"`)
			return nil, &Error{File: file, Field: field, Found: "an unknown field", Expected: "only the fields of schema version 1"}
		}
		return nil, &Error{File: file, Found: "no valid JSON (" + err.Error() + ")", Expected: "a policy manifest"}
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, &Error{File: file, Found: "more after the JSON object", Expected: "nothing"}
	}
	return &m, nil
}

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

// validate returns the first field that does not fit, and else the robot of the manifest.
func (m *Manifest) validate(file string) (*robot.Robot, error) {
	wrong := func(field, found, expected string) error {
		return &Error{File: file, Field: field, Found: found, Expected: expected}
	}
	if m.SchemaVersion != SchemaVersion {
		return nil, wrong("schema_version", fmt.Sprint(m.SchemaVersion), fmt.Sprint(SchemaVersion))
	}
	if m.Name == "" {
		return nil, wrong("name", `""`, "a name")
	}
	r, err := robot.ByName(m.Robot)
	if err != nil {
		return nil, wrong("robot", fmt.Sprintf("%q", m.Robot), "one of "+strings.Join(robot.Names(), ", "))
	}
	if _, ok := m.Files[ModelFile]; !ok {
		return nil, wrong("files", fmt.Sprintf("%q", slices.Sorted(maps.Keys(m.Files))), fmt.Sprintf("%q among them", ModelFile))
	}
	for _, name := range slices.Sorted(maps.Keys(m.Files)) {
		if name != filepath.Base(name) || !filepath.IsLocal(name) {
			return nil, wrong("files", fmt.Sprintf("%q", name), "the name of a file in the folder")
		}
		if !sha256Hex.MatchString(m.Files[name]) {
			return nil, wrong(fmt.Sprintf("files[%q]", name), fmt.Sprintf("%q", m.Files[name]), "a sha256 of 64 lower case hex digits")
		}
	}
	if names := r.JointNames(); !slices.Equal(m.JointOrder, names) {
		return nil, wrong("joint_order", fmt.Sprintf("%q", m.JointOrder), fmt.Sprintf("%q", names))
	}
	if len(m.DefaultPoseRad) != len(r.Joints) {
		return nil, wrong("default_pose_rad", fmt.Sprintf("%d values", len(m.DefaultPoseRad)), fmt.Sprint(len(r.Joints)))
	}
	for i, j := range r.Joints {
		if !j.Contains(m.DefaultPoseRad[i]) {
			return nil, wrong(fmt.Sprintf("default_pose_rad[%d]", i), fmt.Sprint(m.DefaultPoseRad[i]),
				fmt.Sprintf("%v to %v, the range of %s", j.LowerRad, j.UpperRad, j.Name))
		}
	}
	if !(m.ActionScale > 0) || math.IsInf(m.ActionScale, 0) {
		return nil, wrong("action_scale", fmt.Sprint(m.ActionScale), "a positive number")
	}
	if m.Observation.Kind == "" {
		return nil, wrong("observation.kind", `""`, "a kind of observation")
	}
	if m.Observation.Version <= 0 {
		return nil, wrong("observation.version", fmt.Sprint(m.Observation.Version), "1 or more")
	}
	if m.Observation.Size <= 0 {
		return nil, wrong("observation.size", fmt.Sprint(m.Observation.Size), "1 or more")
	}
	if !(m.ControlRateHz > 0 && m.ControlRateHz <= 1000) {
		return nil, wrong("control_rate_hz", fmt.Sprint(m.ControlRateHz), "more than 0 and at most 1000")
	}
	for _, t := range []struct {
		field  string
		tensor Tensor
		size   int
	}{{"input", m.Input, m.Observation.Size}, {"output", m.Output, len(r.Joints)}} {
		if t.tensor.Name == "" {
			return nil, wrong(t.field+".name", `""`, "the name of the model's "+t.field)
		}
		if want := []int64{1, int64(t.size)}; !slices.Equal(t.tensor.Shape, want) {
			return nil, wrong(t.field+".shape", fmt.Sprint(t.tensor.Shape), fmt.Sprint(want))
		}
	}
	if m.Provenance.Source == "" {
		return nil, wrong("provenance.source", `""`, "where the policy comes from")
	}
	return r, nil
}
