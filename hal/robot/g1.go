package robot

// G1 returns the Unitree G1, a humanoid with 29 joints.
//
// Joints are in the order of MuJoCo Playground's model (g1_mjx_feetonly.xml), which is that of the manufacturer's SDK: left leg,
// right leg, waist, left arm, right arm. Ranges, efforts, gains and the default pose, "knees_bent", are those of the model, with which
// the policies of Playground are trained. The velocity limits are assumed: the model has none.
func G1() *Robot {
	return humanoid("g1", []humanoidJoint{
		{"left_hip_pitch_joint", -2.5307, 2.8798, 32, 88, -0.312, 75, 2},
		{"left_hip_roll_joint", -0.5236, 2.9671, 20, 139, 0, 75, 2},
		{"left_hip_yaw_joint", -2.7576, 2.7576, 32, 88, 0, 75, 2},
		{"left_knee_joint", -0.0873, 2.8798, 20, 139, 0.669, 75, 2},
		{"left_ankle_pitch_joint", -0.8727, 0.5236, 37, 50, -0.363, 20, 1},
		{"left_ankle_roll_joint", -0.2618, 0.2618, 37, 50, 0, 2, 0.2},
		{"right_hip_pitch_joint", -2.5307, 2.8798, 32, 88, -0.312, 75, 2},
		{"right_hip_roll_joint", -0.5236, 2.9671, 20, 139, 0, 75, 2},
		{"right_hip_yaw_joint", -2.7576, 2.7576, 32, 88, 0, 75, 2},
		{"right_knee_joint", -0.0873, 2.8798, 20, 139, 0.669, 75, 2},
		{"right_ankle_pitch_joint", -0.8727, 0.5236, 37, 50, -0.363, 20, 1},
		{"right_ankle_roll_joint", -0.2618, 0.2618, 37, 50, 0, 2, 0.2},
		{"waist_yaw_joint", -2.618, 2.618, 32, 88, 0, 75, 2},
		{"waist_roll_joint", -0.52, 0.52, 37, 50, 0, 75, 2},
		{"waist_pitch_joint", -0.52, 0.52, 37, 50, 0.073, 75, 2},
		{"left_shoulder_pitch_joint", -3.0892, 2.6704, 37, 25, 0.2, 75, 2},
		{"left_shoulder_roll_joint", -1.5882, 2.2515, 37, 25, 0.2, 75, 2},
		{"left_shoulder_yaw_joint", -2.618, 2.618, 37, 25, 0, 75, 2},
		{"left_elbow_joint", -1.0472, 2.0944, 37, 25, 0.6, 75, 2},
		{"left_wrist_roll_joint", -1.9722, 1.9722, 37, 25, 0, 2, 0.2},
		{"left_wrist_pitch_joint", -1.6144, 1.6144, 22, 5, 0, 2, 0.2},
		{"left_wrist_yaw_joint", -1.6144, 1.6144, 22, 5, 0, 2, 0.2},
		{"right_shoulder_pitch_joint", -3.0892, 2.6704, 37, 25, 0.2, 75, 2},
		{"right_shoulder_roll_joint", -2.2515, 1.5882, 37, 25, -0.2, 75, 2},
		{"right_shoulder_yaw_joint", -2.618, 2.618, 37, 25, 0, 75, 2},
		{"right_elbow_joint", -1.0472, 2.0944, 37, 25, 0.6, 75, 2},
		{"right_wrist_roll_joint", -1.9722, 1.9722, 37, 25, 0, 2, 0.2},
		{"right_wrist_pitch_joint", -1.6144, 1.6144, 22, 5, 0, 2, 0.2},
		{"right_wrist_yaw_joint", -1.6144, 1.6144, 22, 5, 0, 2, 0.2},
	})
}
