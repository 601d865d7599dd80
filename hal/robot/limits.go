package robot

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Limits are narrower limits for joints of a robot.
type Limits struct {
	// Name identifies the limits in reports: a built-in name, or the path of the file.
	Name string
	// Robot is the name of the robot.
	Robot string
	// Joints are the limits by the name of the joint. Other joints keep theirs.
	Joints map[string]JointLimits
}

// JointLimits are limits of a joint in the units of [Joint]; nil keeps the robot's.
type JointLimits struct {
	LowerRad               *float64 `json:"lower_rad,omitempty"`
	UpperRad               *float64 `json:"upper_rad,omitempty"`
	VelocityLimitRadPerSec *float64 `json:"velocity_limit_rad_per_sec,omitempty"`
	EffortLimitNm          *float64 `json:"effort_limit_nm,omitempty"`
}

// LimitsNames returns the names of the built-in limits of a robot, sorted.
func LimitsNames(r *Robot) []string {
	if r.Name == "go1" {
		return []string{"sdk"}
	}
	return nil
}

// go1SDK returns the limits of the manufacturer's SDK for the Go1 (unitree_legged_sdk, go1_const.h), where they are narrower than those of
// the model with which its policy was trained: hips ±1.047 (wider), thighs -0.663 to 2.966, calves -2.721 to -0.837 (the upper end is wider).
func go1SDK() *Limits {
	l := &Limits{Name: "sdk", Robot: "go1", Joints: map[string]JointLimits{}}
	for _, leg := range Go1().Feet {
		l.Joints[leg+"_thigh_joint"] = JointLimits{LowerRad: new(-0.663), UpperRad: new(2.966)}
		l.Joints[leg+"_calf_joint"] = JointLimits{LowerRad: new(-2.721)}
	}
	return l
}

// limitsFile is the JSON of limits.
type limitsFile struct {
	SchemaVersion int                    `json:"schema_version"`
	Robot         string                 `json:"robot"`
	Joints        map[string]JointLimits `json:"joints"`
}

// OpenLimits returns the built-in limits of that name for r, or those in the file of that path:
//
//	{
//	  "schema_version": 1,
//	  "robot": "go1",
//	  "joints": {"FR_calf_joint": {"lower_rad": -2.7, "effort_limit_nm": 30}}
//	}
//
// The fields of a joint are those of a robot's file, see [Load]. Narrow checks their values. Unknown fields are an error. The error is a
// [*FileError] for invalid content.
func OpenLimits(r *Robot, name string) (*Limits, error) {
	if !IsFile(name) {
		if r.Name == "go1" && name == "sdk" {
			return go1SDK(), nil
		}
		known := "the path of a file, with . or /"
		if names := LimitsNames(r); len(names) > 0 {
			known = strings.Join(names, ", ") + ", or " + known
		}
		return nil, fmt.Errorf("unknown limits %q of robot %s: expected %s", name, r.Name, known)
	}
	content, err := readFile(name)
	if err != nil {
		return nil, err
	}
	var f limitsFile
	if err := parse(name, content, &f); err != nil {
		return nil, err
	}
	if f.SchemaVersion != SchemaVersion {
		return nil, &FileError{File: name, Field: "schema_version", Problem: fmt.Sprintf("found %d, expected %d", f.SchemaVersion, SchemaVersion)}
	}
	if len(f.Joints) == 0 {
		return nil, &FileError{File: name, Field: "joints", Problem: "found none, expected one or more"}
	}
	return &Limits{Name: name, Robot: f.Robot, Joints: f.Joints}, nil
}

// Narrow returns a copy of r with narrower limits. Its LimitsName is that of l, and ModelJoints are those of r. The error is a
// [*FileError], which names the first joint and field: limits of another robot, an unknown joint, a limit that is wider than the robot's, and a range without
// the default position.
func (r *Robot) Narrow(l *Limits) (*Robot, error) {
	wrong := func(field, problem string, args ...any) error {
		return &FileError{File: l.Name, Field: field, Problem: fmt.Sprintf(problem, args...)}
	}
	if l.Robot != r.Name {
		return nil, wrong("robot", "found %q, expected %q", l.Robot, r.Name)
	}
	narrow := *r
	narrow.LimitsName, narrow.model = l.Name, r.ModelJoints()
	narrow.Joints = slices.Clone(r.Joints)
	for _, name := range slices.Sorted(maps.Keys(l.Joints)) {
		i := slices.Index(r.JointNames(), name)
		if i < 0 {
			return nil, wrong("joints", "unknown joint %q, expected one of %s's, such as %s", name, r.Name, Nearest(name, r.JointNames()))
		}
		limits, j := l.Joints[name], &narrow.Joints[i]
		for _, n := range []struct {
			field             string
			value             *float64
			to                *float64
			lowest, highest   float64
			lowestIsExclusive bool
		}{
			{"lower_rad", limits.LowerRad, &j.LowerRad, j.LowerRad, r.DefaultPoseRad[i], false},
			{"upper_rad", limits.UpperRad, &j.UpperRad, r.DefaultPoseRad[i], j.UpperRad, false},
			{"velocity_limit_rad_per_sec", limits.VelocityLimitRadPerSec, &j.VelocityLimitRadPerSec, 0, j.VelocityLimitRadPerSec, true},
			{"effort_limit_nm", limits.EffortLimitNm, &j.EffortLimitNm, 0, j.EffortLimitNm, true},
		} {
			if n.value == nil {
				continue
			}
			if v := *n.value; !(v >= n.lowest && v <= n.highest) || (n.lowestIsExclusive && v == 0) {
				from := fmt.Sprint(n.lowest)
				if n.lowestIsExclusive {
					from = "more than 0"
				}
				return nil, wrong("joints."+name+"."+n.field, "found %v, expected %s to %v: within %s's limits, around its default position", v, from, n.highest, r.Name)
			}
			*n.to = *n.value
		}
		if !(j.LowerRad < j.UpperRad) {
			return nil, wrong("joints."+name, "found an empty range at %v rad, expected lower_rad below upper_rad", j.LowerRad)
		}
	}
	return &narrow, nil
}

// ModelJoints returns the joints with the limits of the robot's model: before Narrow, or Joints.
func (r *Robot) ModelJoints() []Joint {
	if r.model != nil {
		return r.model
	}
	return r.Joints
}
