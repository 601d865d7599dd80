package policy_test

import (
	"fmt"
	"log"
	"os"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/graph/graphtest"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/hal/robot"
)

func ExampleLoad() {
	dir, err := os.MkdirTemp("", "policy")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	// A model without operators is enough to load: nothing runs it.
	files := map[string][]byte{policy.ModelFile: graphtest.Model{
		Inputs:  []graphtest.Tensor{{Name: "obs", Shape: []int64{1, 48}}},
		Outputs: []graphtest.Tensor{{Name: "action", Shape: []int64{1, 12}}},
	}.Bytes()}
	go1 := robot.Go1()
	if err := policytest.Write(dir, policy.Manifest{
		SchemaVersion:  policy.SchemaVersion,
		Name:           "example",
		Robot:          go1.Name,
		Files:          policytest.Checksums(files),
		JointOrder:     go1.JointNames(),
		DefaultPoseRad: go1.DefaultPoseRad,
		Gains:          policy.Gains{Kp: policy.Numbers{35}, Kd: policy.Numbers{0.5}},
		Action:         policy.Action{Scale: policy.Numbers{0.5}},
		Observation: policy.Observation{Size: 48, Terms: []policy.Term{
			{Term: policy.TermBaseLinVel},
			{Term: policy.TermBaseAngVel},
			{Term: policy.TermProjectedGravity},
			{Term: policy.TermJointPosRel},
			{Term: policy.TermJointVel, Scale: policy.Numbers{0.05}},
			{Term: policy.TermLastAction},
			{Term: policy.TermVelocityCommand},
		}},
		ControlRateHz: 50,
		Graphs: map[string]policy.Graph{policy.PolicyGraph: {
			File:    policy.ModelFile,
			Inputs:  []policy.Tensor{{Name: "obs", Shape: []int64{1, 48}}},
			Outputs: []policy.Tensor{{Name: "action", Shape: []int64{1, 12}}},
		}},
		Provenance: policy.Provenance{Source: "an example"},
	}, files); err != nil {
		log.Fatal(err)
	}

	p, err := policy.Load(dir)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s drives %d joints of %s at %v Hz\n", p.Name, len(p.JointOrder), p.Robot.Name, p.ControlRateHz)
	fmt.Println(p.JointNames()[:3])
	fmt.Println(p.Metadata[policy.PolicyGraph].Inputs)
	// Output:
	// example drives 12 joints of go1 at 50 Hz
	// [FR_hip_joint FR_thigh_joint FR_calf_joint]
	// [obs float[1 48]]
}

func ExampleActionProcessor() {
	go1 := robot.Go1()
	p := &policy.Policy{Robot: go1, Manifest: policy.Manifest{
		DefaultPoseRad: go1.DefaultPoseRad,
		Action:         policy.Action{Scale: policy.Numbers{0.5}, Clip: policy.Symmetric(2)},
	}}
	targetRad := make([]float64, 12)
	policy.NewActionProcessor(p).Targets(targetRad, []float32{0, 1, -8, 0, 0, 0, 0, 0, 0, 0, 0, 0}) // -8 is clipped to -2.
	fmt.Println(targetRad[:3])
	// Output: [0.1 1.4 -2.8]
}

func ExampleError() {
	_, err := policy.Load("/nonexistent")
	fmt.Println(err)
	// Output: policy: /nonexistent/manifest.json: no such file or directory
}
