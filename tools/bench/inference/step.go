package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"krabby.dev/krabby/compute/observation"
	"krabby.dev/krabby/compute/onnx"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/tools/bench/latency"
	"krabby.dev/krabby/tools/bench/peer"
)

// wholeSteps measures a whole step of the G1's policy: from the robot's sensors to joint targets.
func (s *suite) wholeSteps(ctx context.Context, r *latency.Report, runtime *onnx.Runtime) error {
	p, err := policy.Load(s.files.g1)
	if err != nil {
		return err
	}
	tool := s.sameResults()
	tools := []latency.Tool{
		tool("numpy and onnxruntime, bound memory", s.pythonFails, func(ctx context.Context) (peer.Result, error) {
			return measurePythonStep(ctx, s.python, p, s.step)
		}),
		tool(krabbyName, nil, func(ctx context.Context) (peer.Result, error) {
			return measureWholeStep(ctx, runtime, p, s.step)
		}),
	}
	progress := func(step string) { s.progress("%s, for %v", step, s.step) }
	return r.Compare(ctx, "G1, whole step", s.runs, tools, progress)
}

// measureWholeStep measures observation, inference and targets.
func measureWholeStep(ctx context.Context, library *onnx.Runtime, p *policy.Policy, duration time.Duration) (r peer.Result, err error) {
	session, err := library.NewSession(p)
	if err != nil {
		return peer.Result{}, err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	builder, err := observation.New(p)
	if err != nil {
		return peer.Result{}, err
	}
	process, targets := policy.NewActionProcessor(p), make([]float64, len(p.Robot.Joints))
	o, last := sensors(p)
	clear(last)
	step := func() error {
		if err := builder.Build(session.Input(), o, velocity, last); err != nil {
			return err
		}
		if err := session.Run(); err != nil {
			return err
		}
		copy(last, session.Output())
		process.Targets(targets, last)
		return nil
	}
	for i := range warmUp {
		if err := step(); err != nil {
			return peer.Result{}, err
		}
		if i < 3 { // Later steps need the gait's phase and the last action to be right.
			for _, v := range targets {
				r.First = append(r.First, float32(v))
			}
		}
	}
	r.Took = make([]time.Duration, 0, int(duration/time.Microsecond))
	allocations := countAllocations()
	for end := time.Now().Add(duration); ctx.Err() == nil; {
		began := time.Now()
		if began.After(end) {
			break
		}
		if err := step(); err != nil {
			return peer.Result{}, err
		}
		r.Took = append(r.Took, time.Since(began))
	}
	r.Allocations = allocations(len(r.Took))
	return r, ctx.Err()
}

// measurePythonStep measures the same with peer.py, on the same sensor values.
func measurePythonStep(ctx context.Context, python *peer.Python, p *policy.Policy, duration time.Duration) (peer.Result, error) {
	o, _ := sensors(p)
	gait := slices.IndexFunc(p.Observation.Terms, func(t policy.Term) bool { return t.Term == policy.TermGaitPhase })
	if gait < 0 {
		return peer.Result{}, fmt.Errorf("%s: term %s not found", p.Dir, policy.TermGaitPhase)
	}
	g := p.Observation.Terms[gait].Gait
	described, err := json.Marshal(map[string]any{
		"base_velocity": o.BaseVelocityMps, "angular_velocity": o.IMU.AngularVelocityRadPerSec, "orientation": o.IMU.Orientation,
		"command":  []float64{velocity.VxMps, velocity.VyMps, velocity.YawRateRadPerSec},
		"position": o.PositionRad, "velocity": o.VelocityRadPerSec, "joints": p.JointMap(), "pose": p.DefaultPoseRad,
		"scale": p.Action.Scale.Expand(len(p.DefaultPoseRad)), "offsets": g.OffsetsRad, "period_steps": g.PeriodS * p.ControlRateHz,
	})
	if err != nil {
		return peer.Result{}, err
	}
	graph, err := json.Marshal(p.Graphs[policy.PolicyGraph])
	if err != nil {
		return peer.Result{}, err
	}
	model := filepath.Join(p.Dir, p.Graphs[policy.PolicyGraph].File)
	return python.Measure(ctx, duration, "step", fmt.Sprint(duration.Seconds()), model, string(graph), string(described))
}
