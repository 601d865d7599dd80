package onnx_test

import (
	"fmt"
	"log"

	"krabby.dev/krabby/compute/onnx"
	"krabby.dev/krabby/compute/policy"
)

func ExampleParseProviders() {
	providers, err := onnx.ParseProviders("tensorrt,cuda,cpu")
	fmt.Println(providers, err)

	_, err = onnx.ParseProviders("cpu,cuda")
	fmt.Println(err)
	// Output:
	// [tensorrt cuda cpu] <nil>
	// found provider cuda after cpu, expected cpu as the last one: it supports all operators
}

// This example has no output to compare: it needs the library and a policy.
func ExampleRuntime_NewSession() {
	p, err := policy.Load("/opt/krabby/policies/go1_joystick")
	if err != nil {
		log.Fatal(err)
	}
	runtime, err := onnx.Open("/opt/krabby/lib/libonnxruntime.so.1")
	if err != nil {
		log.Fatal(err)
	}
	defer runtime.Close()

	session, err := runtime.NewSession(p,
		onnx.WithProviders(onnx.CUDA, onnx.CPU),
		onnx.WithProviderFallback(func(skipped onnx.Provider, err error) { log.Printf("without %s: %v", skipped, err) }))
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()

	copy(session.Input(), make([]float32, p.Observation.Size)) // One observation.
	if err := session.Run(); err != nil {
		log.Fatal(err)
	}
	targetRad := make([]float64, len(p.Robot.Joints))
	policy.NewActionProcessor(p).Targets(targetRad, session.Output())
	fmt.Println(targetRad)
}
