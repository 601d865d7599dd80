package robot

// T1 returns the Booster T1, a humanoid with 23 joints.
//
// Joints are in the order of MuJoCo Playground's model (t1_mjx_feetonly.xml): head, left arm, right arm, waist, left leg, right leg.
// Ranges, efforts, gains and the default pose, "home", are those of the model, with which the policies of Playground are trained. The
// velocity limits are assumed: the model has none.
func T1() *Robot {
	return humanoid("t1", []humanoidJoint{
		{"AAHead_yaw", -1.57, 1.57, 12.56, 7, 0, 20, 2},
		{"Head_pitch", -0.35, 1.22, 12.56, 7, 0, 20, 2},
		{"Left_Shoulder_Pitch", -3.31, 1.22, 7.33, 18, 0, 20, 2},
		{"Left_Shoulder_Roll", -1.74, 1.57, 7.33, 18, -1.4, 20, 2},
		{"Left_Elbow_Pitch", -2.27, 2.27, 7.33, 18, 0, 20, 2},
		{"Left_Elbow_Yaw", -2.44, 0, 7.33, 18, -0.4, 20, 2},
		{"Right_Shoulder_Pitch", -3.31, 1.22, 7.33, 18, 0, 20, 2},
		{"Right_Shoulder_Roll", -1.57, 1.74, 7.33, 18, 1.4, 20, 2},
		{"Right_Elbow_Pitch", -2.27, 2.27, 7.33, 18, 0, 20, 2},
		{"Right_Elbow_Yaw", 0, 2.44, 7.33, 18, 0.4, 20, 2},
		{"Waist", -1.57, 1.57, 10.88, 30, 0, 50, 3},
		{"Left_Hip_Pitch", -1.8, 1.57, 12.5, 45, -0.2, 30, 3},
		{"Left_Hip_Roll", -0.2, 1.57, 10.88, 30, 0, 30, 3},
		{"Left_Hip_Yaw", -1, 1, 10.88, 30, 0, 30, 3},
		{"Left_Knee_Pitch", 0, 2.34, 11.7, 60, 0.4, 30, 3},
		{"Left_Ankle_Pitch", -0.87, 0.35, 18.8, 20, -0.2, 10, 3},
		{"Left_Ankle_Roll", -0.44, 0.44, 12.4, 15, 0, 10, 3},
		{"Right_Hip_Pitch", -1.8, 1.57, 12.5, 45, -0.2, 30, 3},
		{"Right_Hip_Roll", -1.57, 0.2, 10.88, 30, 0, 30, 3},
		{"Right_Hip_Yaw", -1, 1, 10.88, 30, 0, 30, 3},
		{"Right_Knee_Pitch", 0, 2.34, 11.7, 60, 0.4, 30, 3},
		{"Right_Ankle_Pitch", -0.87, 0.35, 18.8, 20, -0.2, 10, 3},
		{"Right_Ankle_Roll", -0.44, 0.44, 12.4, 15, 0, 10, 3},
	})
}
