package doctor

import (
	"math"

	"krabby.dev/krabby/compute/policy"
)

// DefaultPose means that the default pose is subtracted twice or not at all.
const DefaultPose Kind = "default_pose"

// defaultPose supposes that the default pose is subtracted from the joint positions twice or not at all.
func defaultPose(e *evidence) ([]correction, error) {
	if !e.differs(policy.JointPosition) {
		return nil, nil
	}
	g := e.group(policy.JointPosition)
	pose := e.poseOf(*g)
	fromZero, fromPose := 0.0, 0.0 // How far the logged positions are from 0 and from the pose, in sum.
	for i, element := range g.elements {
		for _, v := range e.rebuilt[element] {
			fromZero += math.Abs(float64(v) + pose[i])
			fromPose += math.Abs(float64(v))
		}
	}
	missing := correction{
		kind: DefaultPose, variant: "not subtracted", complexity: noParameters,
		summary: "the recorded observation has joint positions without the default pose subtracted",
		fix:     "subtract the manifest's default_pose_rad",
		change:  e.mapped(*g, func(i int, value float64) float64 { return value + pose[i] }),
	}
	if fromZero < fromPose {
		missing.variant = "subtracted in the log"
		missing.summary = "the rollout's joint positions already have the default pose subtracted"
		missing.fix = "log joint positions as the encoders measure them"
	}
	return []correction{missing, {
		kind: DefaultPose, variant: "subtracted twice", complexity: noParameters,
		summary: "the recorded observation subtracts the default pose from joint positions twice",
		fix:     "subtract the manifest's default_pose_rad once",
		change:  e.mapped(*g, func(i int, value float64) float64 { return value - pose[i] }),
	}}, nil
}
