package robot

// Go1 returns the Unitree Go1, a quadruped with 12 joints.
//
// Joints are leg-major, in the order of the MuJoCo Playground model (go1_mjx_feetonly.xml): front right, front left,
// rear right, rear left; in each leg hip (abduction), thigh, calf. Ranges, torque limits and gains are from that model; the
// default pose is its keyframe "home". MuJoCo Menagerie (unitree_go1/go1.xml) has the same ranges and torque limits, and so has the
// manufacturer's URDF (unitree_ros, go1.urdf), which has the velocity limits too. The manufacturer's SDK has narrower ranges; see
// OpenLimits. At the calf, a gear ratio of 1.5 divides the velocity and multiplies
// the torque.
func Go1() *Robot {
	r := &Robot{
		Name: "go1",
		Feet: []string{"FR", "FL", "RR", "RL"},
	}
	for _, leg := range r.Feet {
		hipRad := 0.1 // Outwards: positive for right legs, negative for left legs.
		if leg == "FL" || leg == "RL" {
			hipRad = -0.1
		}
		r.Joints = append(r.Joints,
			Joint{Name: leg + "_hip_joint", LowerRad: -0.863, UpperRad: 0.863, VelocityLimitRadPerSec: 30.1, EffortLimitNm: 23.7},
			Joint{Name: leg + "_thigh_joint", LowerRad: -0.686, UpperRad: 4.501, VelocityLimitRadPerSec: 30.1, EffortLimitNm: 23.7},
			Joint{Name: leg + "_calf_joint", LowerRad: -2.818, UpperRad: -0.888, VelocityLimitRadPerSec: 20.06, EffortLimitNm: 35.55},
		)
		r.DefaultPoseRad = append(r.DefaultPoseRad, hipRad, 0.9, -1.8)
		r.Kp = append(r.Kp, 35, 35, 35)
		r.Kd = append(r.Kd, 0.5, 0.5, 0.5)
	}
	// All hips, then all thighs, then all calves.
	r.Orders = map[string][]string{"type_major": typeMajor([]string{"_hip_joint", "_thigh_joint", "_calf_joint"}, r.Feet)}
	return r
}
