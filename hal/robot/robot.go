// Package robot describes the legged robots that Krabby can drive: the joints, their order and limits, the feet, and
// the default pose and gains.
//
// It is the bottom of the dependency graph: it holds facts and imports nothing of this module, ever.
package robot

import (
	"fmt"
	"strings"
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
	// Name identifies the robot in flags, manifests and reports.
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
	return []string{"go1"}
}

// ByName returns the robot of that name. The error lists the known names.
func ByName(name string) (*Robot, error) {
	switch name {
	case "go1":
		return Go1(), nil
	}
	return nil, fmt.Errorf("unknown robot %q: expected one of %s", name, strings.Join(Names(), ", "))
}
