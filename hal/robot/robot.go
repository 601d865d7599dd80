// Package robot describes legged robots: the joints with their order and limits, the feet, the default pose and the default
// gains.
//
// It is the bottom of the dependency graph: it must never import another package of this module.
package robot

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The bounds of every robot, and thereby of every message.
const (
	// MaxJoints is the maximum number of joints.
	MaxJoints = 64
	// MaxFeet is the maximum number of feet.
	MaxFeet = 32
)

// Joint is one rotary joint of a robot.
type Joint struct {
	// Name is the name of the joint in the robot's model file.
	Name string
	// LowerRad and UpperRad are the inclusive limits of the position, in rad.
	LowerRad, UpperRad float64
	// VelocityLimitRadPerSec is the maximum speed of the joint, in rad/s.
	VelocityLimitRadPerSec float64
	// EffortLimitNm is the maximum torque of the actuator, in N·m.
	EffortLimitNm float64
}

// Clamp returns the position within the joint's range that is nearest to positionRad. Clamp of NaN is NaN.
func (j Joint) Clamp(positionRad float64) float64 {
	return min(max(positionRad, j.LowerRad), j.UpperRad)
}

// Contains reports whether positionRad is within the joint's range. NaN is not.
func (j Joint) Contains(positionRad float64) bool {
	return positionRad >= j.LowerRad && positionRad <= j.UpperRad
}

// Robot is a model of robot. Slices over joints, here and in messages, have the length and order of Joints.
type Robot struct {
	// Name identifies the robot in flags, manifests and reports: lower case letters, digits and _.
	Name string
	// Joints are in the order of the robot's model file.
	Joints []Joint
	// Feet are the names of the feet, in the order of the contacts of an observation.
	Feet []string
	// DefaultPoseRad is the standing pose, in rad, one value per joint.
	DefaultPoseRad []float64
	// Kp is the default proportional gain, in N·m/rad, one value per joint.
	Kp []float64
	// Kd is the default derivative gain, in N·m·s/rad, one value per joint.
	Kd []float64
	// Orders are other orders of the joints, by name, such as those of a simulator or a motor board. Each lists every joint once.
	Orders map[string][]string
	// LimitsName is the name of the narrower limits that Joints have; empty for those of the model. See Narrow.
	LimitsName string

	model []Joint // With the limits of the model; nil if Joints have them.
}

// JointIndices are the positions of joints in a robot's Joints, for joints that are listed in another order: element i is the
// index in Joints of the joint that the other order has at i.
type JointIndices []int

// Order returns the indices for the order of that name. The error lists the robot's orders.
func (r *Robot) Order(name string) (JointIndices, error) {
	order, ok := r.Orders[name]
	if !ok {
		return nil, fmt.Errorf("robot %s: unknown joint order %q: expected one of %s", r.Name, name,
			strings.Join(slices.Sorted(maps.Keys(r.Orders)), ", "))
	}
	m, err := r.IndicesOf(order)
	if err != nil {
		return nil, fmt.Errorf("robot %s: joint order %q: %w", r.Name, name, err)
	}
	return m, nil
}

// IndicesOf returns the indices for an order, which lists the names of all joints. The error names the first joint that is
// unknown, duplicate or missing.
func (r *Robot) IndicesOf(order []string) (JointIndices, error) {
	m := make(JointIndices, 0, len(order))
	for _, name := range order {
		i := slices.IndexFunc(r.Joints, func(j Joint) bool { return j.Name == name })
		switch {
		case i < 0:
			return nil, fmt.Errorf("unknown joint %q", name)
		case slices.Contains(m, i):
			return nil, fmt.Errorf("duplicate joint %q", name)
		}
		m = append(m, i)
	}
	for i, j := range r.Joints {
		if !slices.Contains(m, i) {
			return nil, fmt.Errorf("joint %q not found", j.Name)
		}
	}
	return m, nil
}

// Gather converts values from the robot's order to the other order: dst[i] is values[m[i]]. The slices must not overlap. It
// panics if an index is out of range.
func (m JointIndices) Gather(dst, values []float64) {
	for i, joint := range m {
		dst[i] = values[joint]
	}
}

// Scatter converts values from the other order to the robot's order: dst[m[i]] is values[i]. The slices must not overlap. It
// panics if an index is out of range.
func (m JointIndices) Scatter(dst, values []float64) {
	for i, joint := range m {
		dst[joint] = values[i]
	}
}

// typeMajor returns the names of the joints in type-major order: the first kind on all legs, then the second, and so on.
func typeMajor(kinds, legs []string) []string {
	var all []string
	for _, kind := range kinds {
		for _, leg := range legs {
			all = append(all, leg+kind)
		}
	}
	return all
}

// JointNames returns the names of the joints, in order.
func (r *Robot) JointNames() []string {
	names := make([]string, len(r.Joints))
	for i, j := range r.Joints {
		names[i] = j.Name
	}
	return names
}

// Names returns the names of the built-in robots, sorted.
func Names() []string {
	return []string{"g1", "go1", "go2", "hex", "t1"}
}

// ByName returns the built-in robot of that name. The error lists the names.
func ByName(name string) (*Robot, error) {
	switch name {
	case "g1":
		return G1(), nil
	case "go1":
		return Go1(), nil
	case "go2":
		return Go2(), nil
	case "hex":
		return Hex(), nil
	case "t1":
		return T1(), nil
	}
	return nil, fmt.Errorf("unknown robot %q: expected one of %s", name, strings.Join(Names(), ", "))
}

// IsFile reports whether the value of a flag names a robot's file instead of a built-in robot: it contains . or /.
func IsFile(name string) bool { return strings.ContainsAny(name, "./") }

// Open returns the built-in robot of that name, or the robot in the file of that path.
func Open(name string) (*Robot, error) {
	if IsFile(name) {
		return Load(name)
	}
	return ByName(name)
}
