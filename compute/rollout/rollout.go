// Package rollout records episodes of a policy: for each step the sensor values, the command, the observation that was built
// from them, and the action that the policy returned. The file format is that of numpy.savez:
//
//	array                          shape       what
//	joint_names                    [J]         text: the joint of each column of the joint arrays
//	joint_position_rad             [T, J]      from the sensor or simulator, without the default pose subtracted
//	joint_velocity_rad_per_s       [T, J]
//	orientation_wxyz               [T, 4]      of the base: rotates vectors from the base frame to the world frame
//	angular_velocity_rad_per_s     [T, 3]      of the base, in the base frame
//	command                        [T, 3]      forward and left in m/s, yaw rate in rad/s
//	observation                    [T, N]      the policy's first input, as training or deployment computed it
//	action                         [T, A]      the policy's output for that observation, neither clipped nor scaled
//	time_s or time_ns              [T]         time of the sensor values; increasing, but may start again in the first step of an episode
//	base_velocity_m_per_s          [T, 3]      optional: linear, of the base, in the base frame
//	joint_effort_n_m               [T, J]      optional: torque of each joint
//	linear_acceleration_m_per_s2   [T, 3]      optional: specific force in the base frame, +9.81 on z at rest
//	contacts                       [T, F]      optional: nonzero if a foot touches the ground
//	foot_names                     [F]         optional: the foot of each column of contacts; by default the robot's order
//	episode_start                  [T]         optional: nonzero in the first step of an episode
//
// Row t of observation is built from row t of the other arrays and from row t-1 of action. Frames follow REP-103: x forward, y
// left, z up. Numbers are float16, float32, float64, integers or booleans, in C or in Fortran order. Arrays with other names
// are ignored; some names of Isaac Lab and mjlab are read as well. [T, 1, J] is read as [T, J], and of [T, N, J] one environment
// is taken, see package npz. All numbers but the times are kept as float32, which is finer than any sensor.
//
// It must not import inference engines or transport, nor packages that depend on a policy or a kind of observation.
package rollout

import (
	"fmt"
	"math"
	"slices"
)

// Array is a table of numbers with one row per step.
type Array struct {
	Columns int
	// Values holds row after row.
	Values []float32
}

// NewArray returns an array of zeros.
func NewArray(rows, columns int) Array {
	return Array{Columns: columns, Values: make([]float32, rows*columns)}
}

// Row returns the values of step t. It shares memory with a.
func (a Array) Row(t int) []float32 { return a.Values[t*a.Columns : (t+1)*a.Columns] }

// Column returns a copy of the values of a column, by step.
func (a Array) Column(column int) []float32 {
	values := make([]float32, len(a.Values)/a.Columns)
	for t := range values {
		values[t] = a.Values[t*a.Columns+column]
	}
	return values
}

// Present reports whether the rollout has the array: some are optional.
func (a Array) Present() bool { return a.Columns > 0 }

// Clone returns a copy of a.
func (a Array) Clone() Array { return Array{a.Columns, slices.Clone(a.Values)} }

// Rollout is an episode, a part of one, or several episodes. The package comment describes each array.
type Rollout struct {
	JointNames, FootNames    []string
	TimeS                    []float64
	PositionRad              Array
	VelocityRadPerSec        Array
	Orientation              Array // w, x, y, z
	AngularVelocityRadPerSec Array
	LinearAccelerationMps2   Array
	EffortNm                 Array
	BaseVelocityMps          Array
	Contacts                 Array
	Command                  Array
	Observation              Array
	Action                   Array
	// EpisodeStart is true in the first step of each episode; nil if the first steps are unknown.
	EpisodeStart []bool
	// Rounding is the relative error of the coarsest number type among the compared arrays; see Field.Compared.
	Rounding float64
}

// Steps returns the number of steps.
func (r *Rollout) Steps() int { return len(r.TimeS) }

// StartsEpisode reports whether step t is known to be the first of an episode.
func (r *Rollout) StartsEpisode(t int) bool { return r.EpisodeStart != nil && r.EpisodeStart[t] }

// Slice returns the steps from (inclusive) to to (exclusive). It shares memory with r.
func (r *Rollout) Slice(from, to int) *Rollout {
	part := *r
	part.TimeS = r.TimeS[from:to]
	for _, f := range part.Fields() {
		if f.Array.Present() {
			f.Array.Values = f.Array.Values[from*f.Array.Columns : to*f.Array.Columns]
		}
	}
	if r.EpisodeStart != nil {
		part.EpisodeStart = r.EpisodeStart[from:to]
	}
	return &part
}

// Error is an invalid file of a rollout. Its text is a single line.
type Error struct {
	File  string
	Array string // Empty if the file as a whole is invalid.
	// Problem is what is missing or cannot be read or written; empty for a wrong value.
	Problem string
	// Found is a wrong value, Expected describes the valid ones.
	Found, Expected string
	// Err is the cause, if there is one, for example fs.ErrNotExist.
	Err error
}

// Error names the file, the array and the problem.
func (e *Error) Error() string {
	at := e.File
	if e.Array != "" {
		at += ": " + e.Array
	}
	if e.Problem != "" {
		return fmt.Sprintf("rollout: %s: %s", at, e.Problem)
	}
	return fmt.Sprintf("rollout: %s: found %s, expected %s", at, e.Found, e.Expected)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Field describes an array of the file with one row of numbers per step.
type Field struct {
	Name     string
	Array    *Array
	Columns  int // 0 for any number.
	Required bool
	// Compared is true for observations and for the arrays that they are built from.
	Compared bool
}

// Fields returns the fields of r, whether present or not. Their columns follow from the names of joints and feet.
func (r *Rollout) Fields() []Field {
	joints := len(r.JointNames)
	return []Field{
		{"joint_position_rad", &r.PositionRad, joints, true, true},
		{"joint_velocity_rad_per_s", &r.VelocityRadPerSec, joints, true, true},
		{"orientation_wxyz", &r.Orientation, 4, true, true},
		{"angular_velocity_rad_per_s", &r.AngularVelocityRadPerSec, 3, true, true},
		{"command", &r.Command, 3, true, true},
		{"observation", &r.Observation, 0, true, true},
		{"action", &r.Action, 0, true, true},
		{"base_velocity_m_per_s", &r.BaseVelocityMps, 3, false, true},
		{"linear_acceleration_m_per_s2", &r.LinearAccelerationMps2, 3, false, false},
		{"joint_effort_n_m", &r.EffortNm, joints, false, false},
		{"contacts", &r.Contacts, len(r.FootNames), false, false},
	}
}

// Check returns an *Error if the arrays of r do not fit together or hold invalid values. The error names file as the file.
func (r *Rollout) Check(file string) error {
	wrong := func(array, found, expected string) error {
		return &Error{File: file, Array: array, Found: found, Expected: expected}
	}
	for name, names := range map[string][]string{"joint_names": r.JointNames, "foot_names": r.FootNames} {
		for i, n := range names {
			if n == "" || slices.Index(names, n) < i {
				return wrong(fmt.Sprintf("%s[%d]", name, i), fmt.Sprintf("%q", n), "unique names")
			}
		}
	}
	if len(r.JointNames) == 0 {
		return &Error{File: file, Array: "joint_names", Problem: "no names"}
	}
	steps := r.Steps()
	if steps == 0 {
		return &Error{File: file, Array: "time_s", Problem: "no steps"}
	}
	for t, s := range r.TimeS {
		if !(s >= -math.MaxFloat64 && s <= math.MaxFloat64) || t > 0 && s <= r.TimeS[t-1] {
			return wrong(fmt.Sprintf("time_s[%d]", t), fmt.Sprint(s), "an increasing time")
		}
	}
	for _, f := range r.Fields() {
		if err := f.check(file, steps); err != nil {
			return err
		}
	}
	for t := range steps {
		q, norm := r.Orientation.Row(t), 0.0
		for _, v := range q {
			norm += float64(v) * float64(v)
		}
		if math.Abs(math.Sqrt(norm)-1) > 0.05 {
			return wrong(fmt.Sprintf("orientation_wxyz[%d]", t), fmt.Sprint(q), "a unit quaternion")
		}
	}
	if r.EpisodeStart != nil && len(r.EpisodeStart) != steps {
		return wrong("episode_start", fmt.Sprintf("shape [%d]", len(r.EpisodeStart)), fmt.Sprintf("shape [%d]", steps))
	}
	return nil
}

// check returns an *Error if the array is missing, has another shape or a value that is not finite.
func (f Field) check(file string, steps int) error {
	if !f.Array.Present() {
		if f.Required {
			return &Error{File: file, Array: f.Name, Problem: "array not found"}
		}
		return nil
	}
	columns := f.Array.Columns
	if f.Columns > 0 && columns != f.Columns || len(f.Array.Values) != steps*columns {
		want := fmt.Sprintf("shape [%d %d]", steps, f.Columns)
		if f.Columns == 0 {
			want = fmt.Sprintf("%d rows of equal width", steps)
		}
		return &Error{File: file, Array: f.Name, Found: fmt.Sprintf("shape [%d %d]", len(f.Array.Values)/columns, columns), Expected: want}
	}
	for i, v := range f.Array.Values {
		if v := float64(v); math.IsNaN(v) || math.IsInf(v, 0) {
			at := fmt.Sprintf("%s[%d, %d]", f.Name, i/columns, i%columns)
			return &Error{File: file, Array: at, Found: fmt.Sprint(v), Expected: "a finite number"}
		}
	}
	return nil
}
