package message_test

import (
	"fmt"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

func ExampleObservation_Validate() {
	r := robot.Go1()
	o := message.NewObservation(r)
	fmt.Println(o.Validate(r))

	o.IMU.Orientation = [4]float64{2, 0, 0, 0}
	fmt.Println(o.Validate(r))
	// Output:
	// <nil>
	// imu.orientation: found a norm of 2, expected 1 ± 0.01
}

func ExampleNewJointCommand() {
	r := robot.Go1()
	c := message.NewJointCommand(r)
	for i, joint := range r.Joints[:3] {
		fmt.Printf("%s: target %.1f rad, kp %.0f, kd %.1f\n", joint.Name, c.TargetRad[i], c.Kp[i], c.Kd[i])
	}
	// Output:
	// FR_hip_joint: target 0.1 rad, kp 35, kd 0.5
	// FR_thigh_joint: target 0.9 rad, kp 35, kd 0.5
	// FR_calf_joint: target -1.8 rad, kp 35, kd 0.5
}

func ExampleScalarImage_Resize() {
	var o message.Observation
	fmt.Println("depth:", o.Depth.Present())

	o.Depth.Resize(2, 3)
	for i := range o.Depth.Values {
		o.Depth.Values[i] = 1.5 // m
	}
	fmt.Println("depth:", o.Depth.Present(), o.Depth.Height, o.Depth.Width, len(o.Depth.Values))
	// Output:
	// depth: false
	// depth: true 2 3 6
}
