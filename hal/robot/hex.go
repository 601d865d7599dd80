package robot

// Hex returns Krabby's own hexapod, with 18 joints.
//
// Joints are leg-major, in the order of the motor boards' later firmware: front, middle and rear leg, each left before
// right; in each leg hip_yaw, hip_pitch, knee. The range is ±0.5 rad, because the boards map it onto the stroke of their
// actuators. The default pose is its middle.
//
// Not measured yet, and assumed: 1 rad/s and 60 N·m for each joint (linear actuators: slow and strong), and the gains. The boards
// ignore gains and close their own loops.
func Hex() *Robot {
	r := &Robot{
		Name: "hex",
		Feet: []string{"FL", "FR", "ML", "MR", "RL", "RR"},
	}
	for _, leg := range r.Feet {
		for _, kind := range []string{"_hip_yaw", "_hip_pitch", "_knee"} {
			r.Joints = append(r.Joints, Joint{Name: leg + kind, LowerRad: -0.5, UpperRad: 0.5, VelocityLimitRadPerSec: 1, EffortLimitNm: 60})
			r.DefaultPoseRad = append(r.DefaultPoseRad, 0)
			r.Kp = append(r.Kp, 40)
			r.Kd = append(r.Kd, 1)
		}
	}
	r.Orders = map[string][]string{
		"type_major": typeMajor([]string{"_hip_yaw", "_hip_pitch", "_knee"}, r.Feet),
		// The fields of a motor board's command line, for the front, middle and rear board (assumed order of boards).
		"boards": {
			"FL_hip_yaw", "FR_hip_yaw", "FL_hip_pitch", "FL_knee", "FR_hip_pitch", "FR_knee",
			"ML_hip_yaw", "MR_hip_yaw", "ML_hip_pitch", "ML_knee", "MR_hip_pitch", "MR_knee",
			"RL_hip_yaw", "RR_hip_yaw", "RL_hip_pitch", "RL_knee", "RR_hip_pitch", "RR_knee",
		},
	}
	return r
}
