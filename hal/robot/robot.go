// Package robot describes the legged robots that Krabby can drive: the joints, their order and limits, the feet, and
// the default pose and gains.
//
// It is the bottom of the dependency graph: it holds facts and imports nothing of this module, ever.
package robot

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// MaxJoints and MaxFeet bound every robot, and with it every message.
const (
	MaxJoints = 64
	MaxFeet   = 32
)

// Joint is one rotary joint of a robot.
type Joint struct {
	// Name is the joint's name in the robot's model file.
	Name string
	// LowerRad and UpperRad bound the position, in rad; the bounds belong to the range.
	LowerRad, UpperRad float64
	// VelocityLimitRadPerSec is the largest speed of the joint, in rad/s.
	VelocityLimitRadPerSec float64
	// EffortLimitNm is the largest torque of the actuator, in N·m.
	EffortLimitNm float64
}

// Clamp returns the position nearest to positionRad within the joint's range. NaN stays NaN.
func (j Joint) Clamp(positionRad float64) float64 {
	return min(max(positionRad, j.LowerRad), j.UpperRad)
}

// Contains says whether positionRad lies within the joint's range. NaN does not.
func (j Joint) Contains(positionRad float64) bool {
	return positionRad >= j.LowerRad && positionRad <= j.UpperRad
}

// Robot is one kind of robot. Every slice over joints, here and in the messages, has the length and order of Joints.
type Robot struct {
	// Name identifies the robot in flags, manifests and reports: lower case letters, digits and _.
	Name string
	// Joints in the order of the robot's model file.
	Joints []Joint
	// Feet names the feet, in the order of the contacts of an observation.
	Feet []string
	// DefaultPoseRad is the standing pose, in rad, one value a joint.
	DefaultPoseRad []float64
	// Kp is the default proportional gain, in N·m/rad, one value a joint.
	Kp []float64
	// Kd is the default derivative gain, in N·m·s/rad, one value a joint.
	Kd []float64
	// Orders are other orders in which someone lists the same joints, by name: each has the name of every joint once.
	Orders map[string][]string
}

// Map is a bijection between the order of a robot's Joints and another one: Map[i] is the index in Joints of what the
// other order has at i.
type Map []int

// Order returns the map to the order of that name. The error lists the robot's orders.
func (r *Robot) Order(name string) (Map, error) {
	order, ok := r.Orders[name]
	if !ok {
		return nil, fmt.Errorf("robot %s: unknown joint order %q: expected one of %s", r.Name, name,
			strings.Join(slices.Sorted(maps.Keys(r.Orders)), ", "))
	}
	m, err := r.MapTo(order)
	if err != nil {
		return nil, fmt.Errorf("robot %s: joint order %q: %w", r.Name, name, err)
	}
	return m, nil
}

// MapTo returns the map to an order given by the joints' names. The error names the joint that is unknown, repeated or
// missing.
func (r *Robot) MapTo(order []string) (Map, error) {
	m := make(Map, 0, len(order))
	for _, name := range order {
		at := slices.IndexFunc(r.Joints, func(j Joint) bool { return j.Name == name })
		switch {
		case at < 0:
			return nil, fmt.Errorf("found %q, expected the name of a joint", name)
		case slices.Contains(m, at):
			return nil, fmt.Errorf("found %q twice, expected each joint once", name)
		}
		m = append(m, at)
	}
	for i, j := range r.Joints {
		if !slices.Contains(m, i) {
			return nil, fmt.Errorf("found no %q, expected each joint once", j.Name)
		}
	}
	return m, nil
}

// To writes values, which are in the robot's order, into dst in the other order. Both have len(m) values and do not
// overlap; it panics otherwise, as an index out of range does.
func (m Map) To(dst, values []float64) {
	for i, at := range m {
		dst[i] = values[at]
	}
}

// From writes values, which are in the other order, into dst in the robot's order, as To does.
func (m Map) From(dst, values []float64) {
	for i, at := range m {
		dst[at] = values[i]
	}
}

// names lists joints type-major: each kind of joint in turn, on all legs.
func names(kinds, legs []string) []string {
	var all []string
	for _, kind := range kinds {
		for _, leg := range legs {
			all = append(all, leg+kind)
		}
	}
	return all
}

// JointNames returns the names of the joints in order.
func (r *Robot) JointNames() []string {
	names := make([]string, len(r.Joints))
	for i, j := range r.Joints {
		names[i] = j.Name
	}
	return names
}

// Names returns the names of the known robots, sorted.
func Names() []string {
	return []string{"go1", "go2", "hex"}
}

// ByName returns the robot of that name. The error lists the known names.
func ByName(name string) (*Robot, error) {
	switch name {
	case "go1":
		return Go1(), nil
	case "go2":
		return Go2(), nil
	case "hex":
		return Hex(), nil
	}
	return nil, fmt.Errorf("unknown robot %q: expected one of %s", name, strings.Join(Names(), ", "))
}
