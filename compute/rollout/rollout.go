// Package rollout is a recorded episode of a policy: in each step what the sensors said, what the policy was asked for, the
// observation that was built of it and the action that came back. The file is what numpy.savez writes:
//
//	array                          shape       what
//	joint_names                    [J]         text: which joint each column of the joint arrays is
//	joint_position_rad             [T, J]      as the sensor or simulator has them, no default pose subtracted
//	joint_velocity_rad_per_s       [T, J]
//	orientation_wxyz               [T, 4]      of the base: turns a vector of the base frame into the world frame
//	angular_velocity_rad_per_s     [T, 3]      of the base, in the base frame
//	command                        [T, 3]      forward and left in m/s, yaw rate in rad/s
//	observation                    [T, N]      the policy's first input, as training or deployment computed it
//	action                         [T, A]      the policy's output in answer to it, neither clipped nor scaled
//	time_s or time_ns              [T]         when the sensors were read; increasing
//	base_velocity_m_per_s          [T, 3]      optional: linear, of the base, in the base frame
//	linear_acceleration_m_per_s2   [T, 3]      optional: specific force in the base frame, +9.81 on z at rest
//	contacts                       [T, F]      optional: not 0 where a foot touches the ground
//	foot_names                     [F]         optional: which foot each column of contacts is; else the robot's order
//	episode_start                  [T]         optional: not 0 in the first step of an episode, in which nothing came before
//
// Row t of observation was built of row t of the others, and of the action of row t-1. Frames follow REP-103: x forward, y
// left, z up. Numbers are float16, float32, float64, integers or booleans, in C or in Fortran order. Arrays of other names
// are left alone. All but the times are
// kept as float32, which is finer than any sensor.
//
// It knows no policy and no builder, and must never import inference engines or transport.
package rollout

import (
	"fmt"
	"math"
	"slices"
)

// Array is a table of numbers with one row a step.
type Array struct {
	Columns int
	// Values has row after row.
	Values []float32
}

// NewArray returns an array of zeros.
func NewArray(rows, columns int) Array {
	return Array{Columns: columns, Values: make([]float32, rows*columns)}
}

// Row returns the values of step t, which it shares with a.
func (a Array) Row(t int) []float32 { return a.Values[t*a.Columns : (t+1)*a.Columns] }

// Present says whether there is such an array: some are optional.
func (a Array) Present() bool { return a.Columns > 0 }

// Clone returns a copy.
func (a Array) Clone() Array { return Array{a.Columns, slices.Clone(a.Values)} }

// Rollout is an episode, or a part of one, or several. The package comment says what each array is.
type Rollout struct {
	JointNames, FootNames    []string
	TimeS                    []float64
	PositionRad              Array
	VelocityRadPerSec        Array
	Orientation              Array // w, x, y, z
	AngularVelocityRadPerSec Array
	LinearAccelerationMps2   Array
	BaseVelocityMps          Array
	Contacts                 Array
	Command                  Array
	Observation              Array
	Action                   Array
	// EpisodeStart is nil where nobody wrote down which steps are first ones.
	EpisodeStart []bool
	// Rounding is the relative error of the coarsest type among the arrays that observations are built of or that hold them.
	Rounding float64
}

// Steps returns the number of steps.
func (r *Rollout) Steps() int { return len(r.TimeS) }

// Starts says whether step t is known to be the first of an episode.
func (r *Rollout) Starts(t int) bool { return r.EpisodeStart != nil && r.EpisodeStart[t] }

// Slice returns the steps from to to, which it shares with r.
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

// Error says which array of which file is wrong, what was found and what was expected. It is a single line.
type Error struct {
	File     string
	Array    string // Empty where the file as a whole is wrong.
	Found    string
	Expected string
	// Err is the cause where there is one, for example fs.ErrNotExist.
	Err error
}

func (e *Error) Error() string {
	at := e.File
	if e.Array != "" {
		at += ": " + e.Array
	}
	return fmt.Sprintf("rollout: %s: found %s, expected %s", at, e.Found, e.Expected)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Field is one array of the file that has a row of numbers a step.
type Field struct {
	Name     string
	Array    *Array
	Columns  int // 0 where it is free.
	Required bool
	// Compared says that it is among what observations are compared by, whose rounding counts.
	Compared bool
}

// Fields returns all of them, present or not. How many columns they have follows from the names of joints and feet.
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
		{"contacts", &r.Contacts, len(r.FootNames), false, false},
	}
}

// Check returns an *Error for what does not fit together, or is not a number.
func (r *Rollout) Check(file string) error {
	wrong := func(array, found, expected string) error {
		return &Error{File: file, Array: array, Found: found, Expected: expected}
	}
	for name, names := range map[string][]string{"joint_names": r.JointNames, "foot_names": r.FootNames} {
		for i, n := range names {
			if n == "" || slices.Index(names, n) < i {
				return wrong(fmt.Sprintf("%s[%d]", name, i), fmt.Sprintf("%q", n), "a name, each once")
			}
		}
	}
	if len(r.JointNames) == 0 {
		return wrong("joint_names", "no names", "the names of the joints")
	}
	steps := r.Steps()
	if steps == 0 {
		return wrong("time_s", "no steps", "1 or more")
	}
	for t, s := range r.TimeS {
		if !(s >= -math.MaxFloat64 && s <= math.MaxFloat64) || t > 0 && s <= r.TimeS[t-1] {
			return wrong(fmt.Sprintf("time_s[%d]", t), fmt.Sprint(s), "a time after that of the step before")
		}
	}
	for _, f := range r.Fields() {
		if !f.Array.Present() {
			if f.Required {
				return wrong(f.Name, "no such array", "one")
			}
			continue
		}
		if f.Columns > 0 && f.Array.Columns != f.Columns || len(f.Array.Values) != steps*f.Array.Columns {
			want := fmt.Sprintf("shape [%d %d]", steps, f.Columns)
			if f.Columns == 0 {
				want = fmt.Sprintf("%d rows of one width", steps)
			}
			return wrong(f.Name, fmt.Sprintf("shape [%d %d]", len(f.Array.Values)/f.Array.Columns, f.Array.Columns), want)
		}
		for i, v := range f.Array.Values {
			if v := float64(v); math.IsNaN(v) || math.IsInf(v, 0) {
				return wrong(fmt.Sprintf("%s[%d, %d]", f.Name, i/f.Array.Columns, i%f.Array.Columns), fmt.Sprint(v), "a finite number")
			}
		}
	}
	for t := range steps {
		q, norm := r.Orientation.Row(t), 0.0
		for _, v := range q {
			norm += float64(v) * float64(v)
		}
		if math.Abs(math.Sqrt(norm)-1) > 0.05 {
			return wrong(fmt.Sprintf("orientation_wxyz[%d]", t), fmt.Sprint(q), "a quaternion of length 1")
		}
	}
	if r.EpisodeStart != nil && len(r.EpisodeStart) != steps {
		return wrong("episode_start", fmt.Sprintf("shape [%d]", len(r.EpisodeStart)), fmt.Sprintf("shape [%d]", steps))
	}
	return nil
}
