package robot

// Go2 returns the Unitree Go2, a quadruped with 12 joints.
//
// Joints are leg-major, in the order of the manufacturer's model (unitree_ros, go2_description.urdf) and of MuJoCo
// Menagerie (unitree_go2/go2.xml): front left, front right, rear left, rear right; in each leg hip (abduction), thigh,
// calf. Ranges, velocities and efforts are from the URDF. The Menagerie has the same ranges and a larger calf torque
// (45.43 N·m); the smaller one is used. The default pose and the gains are common in training of locomotion policies for this
// robot.
func Go2() *Robot {
	r := &Robot{
		Name: "go2",
		Feet: []string{"FL", "FR", "RL", "RR"},
	}
	for _, leg := range r.Feet {
		hipRad, thighRad := -0.1, 0.8 // Outwards.
		thigh := Joint{Name: leg + "_thigh_joint", LowerRad: -1.5708, UpperRad: 3.4907, VelocityLimitRadPerSec: 30.1, EffortLimitNm: 23.7}
		if leg == "FL" || leg == "RL" {
			hipRad = 0.1
		}
		if leg == "RL" || leg == "RR" {
			thighRad = 1
			thigh.LowerRad, thigh.UpperRad = -0.5236, 4.5379
		}
		r.Joints = append(r.Joints,
			Joint{Name: leg + "_hip_joint", LowerRad: -1.0472, UpperRad: 1.0472, VelocityLimitRadPerSec: 30.1, EffortLimitNm: 23.7},
			thigh,
			Joint{Name: leg + "_calf_joint", LowerRad: -2.7227, UpperRad: -0.83776, VelocityLimitRadPerSec: 20.07, EffortLimitNm: 35.55},
		)
		r.DefaultPoseRad = append(r.DefaultPoseRad, hipRad, thighRad, -1.5)
		r.Kp = append(r.Kp, 40, 40, 40)
		r.Kd = append(r.Kd, 1, 1, 1)
	}
	r.Orders = map[string][]string{
		// All hips, then all thighs, then all calves: the order of Isaac and of policies trained in it.
		"type_major": typeMajor([]string{"_hip_joint", "_thigh_joint", "_calf_joint"}, r.Feet),
		// The order of the motors in the manufacturer's SDK, and of the actuators in the Menagerie's model.
		"sdk": {
			"FR_hip_joint", "FR_thigh_joint", "FR_calf_joint", "FL_hip_joint", "FL_thigh_joint", "FL_calf_joint",
			"RR_hip_joint", "RR_thigh_joint", "RR_calf_joint", "RL_hip_joint", "RL_thigh_joint", "RL_calf_joint",
		},
	}
	return r
}
