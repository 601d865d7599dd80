package robot

// humanoidJoint is a row in the table of a humanoid's joints: range in rad, velocity limit in rad/s, effort limit in N·m, default
// position in rad, default gains.
type humanoidJoint struct {
	name                                                               string
	lowerRad, upperRad, velocityLimit, effortLimit, defaultRad, kp, kd float64
}

// humanoid returns a robot with two feet and those joints.
func humanoid(name string, joints []humanoidJoint) *Robot {
	r := &Robot{Name: name, Feet: []string{"left_foot", "right_foot"}}
	for _, j := range joints {
		r.Joints = append(r.Joints, Joint{
			Name: j.name, LowerRad: j.lowerRad, UpperRad: j.upperRad, VelocityLimitRadPerSec: j.velocityLimit, EffortLimitNm: j.effortLimit,
		})
		r.DefaultPoseRad = append(r.DefaultPoseRad, j.defaultRad)
		r.Kp = append(r.Kp, j.kp)
		r.Kd = append(r.Kd, j.kd)
	}
	return r
}
