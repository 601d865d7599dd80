package doctor_test

import (
	"fmt"
	"log"
	"math"
	"slices"

	"krabby.dev/krabby/compute/doctor"
	"krabby.dev/krabby/compute/observation"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/compute/rollout"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// joystickPolicy returns a policy of the joystick observation, without its model. policy.Load reads one from a directory.
func joystickPolicy() *policy.Policy {
	p := policytest.Joystick(robot.Go1())
	p.Name = "example"
	return p
}

// recordSwing records two seconds of a robot with swinging joints. npz.Read reads a rollout from a file.
func recordSwing(p *policy.Policy, amplitudeRad float64) *rollout.Rollout {
	builder, err := observation.New(p)
	if err != nil {
		log.Fatal(err)
	}
	recorder := rollout.NewRecorder(p.Robot, p.Observation.Size, len(p.JointOrder))
	observation, action := make([]float32, p.Observation.Size), make([]float32, len(p.JointOrder))
	for step := range 100 {
		o := message.NewObservation(p.Robot)
		o.MonotonicNs, o.BaseVelocityKnown = int64(step)*20_000_000, true
		for i := range o.PositionRad {
			phase := 9*float64(step)/50 + float64(i)
			o.PositionRad[i] += amplitudeRad * math.Sin(phase)
			o.VelocityRadPerSec[i] = 9 * amplitudeRad * math.Cos(phase)
		}
		command := message.NavigationCommand{VxMps: 1}
		if err := builder.Build(observation, o, command, action); err != nil {
			log.Fatal(err)
		}
		for i := range action {
			action[i] = float32(math.Sin(float64(step * (i + 1)))) // In place of a model.
		}
		recorder.Step(o, command, observation, action)
	}
	return recorder.Rollout()
}

func ExampleExamine() {
	p := joystickPolicy()
	r := recordSwing(p, 0.2)
	for t := range r.Steps() { // The fault: joint velocities in degrees per second.
		for i := range 12 {
			r.Observation.Row(t)[21+i] *= 180 / math.Pi
		}
	}
	report, err := doctor.Examine(p, r, doctor.Options{Noise: doctor.DefaultNoise})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("verdict:", report.Verdict)
	for _, f := range report.Findings {
		fmt.Printf("%s: %s\n", f.Kind, f.Summary)
		fmt.Println("fix:", f.Fix)
	}
	// Output:
	// verdict: differs
	// degrees: the recorded observation has joint velocity in degrees
	// fix: multiply by π/180
}

// A rollout of a robot that hardly moves does not show which of several mistakes happened.
func ExampleExamine_ambiguous() {
	p := joystickPolicy()
	r := recordSwing(p, 0)
	for t := range r.Steps() { // The fault: gravity points up.
		r.Observation.Row(t)[8] *= -1
	}
	report, err := doctor.Examine(p, r, doctor.Options{Noise: doctor.DefaultNoise})
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range report.Findings {
		fmt.Println("ambiguous:", f.Ambiguous)
		for _, x := range append([]doctor.Explanation{f.Explanation}, f.Alternatives...) {
			fmt.Println(x.Kind)
		}
	}
	fmt.Println("gravity is stationary:", slices.Contains(report.Stationary, "gravity"))
	// Output:
	// ambiguous: true
	// quaternion_order
	// quaternion_order
	// sign_flipped
	// frame
	// offset
	// gravity is stationary: true
}

// The elements of a report come with the largest residual first.
func ExampleReport_Series() {
	p := joystickPolicy()
	r := recordSwing(p, 0.2)
	for t := range r.Steps() { // The fault: another default pose of one joint.
		r.Observation.Row(t)[11] += 0.1
	}
	report, err := doctor.Examine(p, r, doctor.Options{Noise: doctor.DefaultNoise})
	if err != nil {
		log.Fatal(err)
	}
	worst := report.Elements[0]
	series := report.Series(worst)
	fmt.Printf("%s: residual %.2f %s\n", worst.Name, worst.RMS, worst.Unit)
	fmt.Printf("recorded %.2f, rebuilt %.2f, corrected %.2f\n", series.Recorded[0], series.Rebuilt[0], series.Corrected[0])
	// Output:
	// joint position FR_calf_joint: residual 0.10 rad
	// recorded 0.28, rebuilt 0.18, corrected 0.28
}
