// Package layout has the checks that all observation builders share: that a policy takes their observation, and that the
// buffers of a step have the right lengths.
//
// It must never import inference engines, transport, servers, clients or observation builders.
package layout

import (
	"fmt"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// Layout is the layout of one policy's observations.
type Layout struct {
	// DefaultPoseRad has one position in rad for each joint of the policy, in its order.
	DefaultPoseRad []float64
	// Joints has the index among the robot's joints of each joint of the policy.
	Joints robot.JointIndices

	size        int
	robotJoints int
}

// New returns the layout of p's observations. The error is a *policy.Error if the manifest of p has another observation
// than expected, or another number of joints.
func New(p *policy.Policy, expected policy.Observation, joints int) (Layout, error) {
	if p.Observation != expected {
		return Layout{}, &policy.Error{File: p.Dir, Field: "observation", Found: fmt.Sprintf("%+v", p.Observation), Expected: fmt.Sprintf("%+v", expected)}
	}
	if found := len(p.DefaultPoseRad); found != joints {
		return Layout{}, &policy.Error{File: p.Dir, Field: "default_pose_rad", Found: fmt.Sprintf("%d values", found), Expected: fmt.Sprint(joints)}
	}
	return Layout{DefaultPoseRad: p.DefaultPoseRad, Joints: p.JointMap(), size: expected.Size, robotJoints: len(p.Robot.Joints)}, nil
}

// CheckLengths checks the lengths of the buffers of a step: dst holds one observation, the positions and velocities of o
// are those of the robot's joints, and lastAction has one value for each joint of the policy. The error names the first
// buffer of another length. CheckLengths does not allocate unless it fails.
func (l *Layout) CheckLengths(dst []float32, o *message.Observation, lastAction []float32) error {
	for _, buffer := range [...]struct {
		name            string
		found, expected int
	}{
		{"observation buffer", len(dst), l.size},
		{"joint positions", len(o.PositionRad), l.robotJoints},
		{"joint velocities", len(o.VelocityRadPerSec), l.robotJoints},
		{"last action", len(lastAction), len(l.Joints)},
	} {
		if buffer.found != buffer.expected {
			return fmt.Errorf("%s: found %d values, expected %d", buffer.name, buffer.found, buffer.expected)
		}
	}
	return nil
}
