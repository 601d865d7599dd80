package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"krabby.dev/krabby/compute/observation"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/tools/bench/latency"
)

// build builds an observation.
type build func(dst []float32, o *message.Observation, c message.NavigationCommand, last []float32) error

// buildsPerSample is the number of observations in one sample: a single one takes less time than reading the clock.
const buildsPerSample = 1000

// observations measures the observation of the Go1's policy: by the manifest, and by code that is written for its layout.
func (s *suite) observations(ctx context.Context, r *latency.Report) error {
	p, err := policy.Load(s.files.go1)
	if err != nil {
		return err
	}
	builder, err := observation.New(p)
	if err != nil {
		return err
	}
	hand := byHand{p.DefaultPoseRad, p.JointMap(), len(p.Robot.Joints)}
	if err := sameObservation(hand.build, builder.Build, p); err != nil {
		return err
	}
	tool := func(name string, b build) latency.Tool {
		return latency.Tool{Name: name, Measure: func(ctx context.Context) (latency.Sample, error) { return measureBuild(ctx, p, b, s.step) }}
	}
	progress := func(at string) { s.progress("%s, for %v", at, s.step) }
	return r.Compare(ctx, "Go1 observation, 48 values", s.runs, []latency.Tool{tool("Go by hand", hand.build), tool(krabbyName, builder.Build)}, progress)
}

// sensors returns an observation of p's robot in which no two values are equal, and last actions.
func sensors(p *policy.Policy) (*message.Observation, []float32) {
	o, last := message.NewObservation(p.Robot), make([]float32, len(p.DefaultPoseRad))
	o.BaseVelocityKnown, o.BaseVelocityMps, o.IMU.AngularVelocityRadPerSec = true, [3]float64{1, 2, 3}, [3]float64{4, 5, 6}
	o.IMU.Orientation = [4]float64{0.9, 0.1, -0.2, 0.3}
	for i := range o.PositionRad {
		o.PositionRad[i], o.VelocityRadPerSec[i] = float64(i)/7, float64(i)/3
	}
	for i := range last {
		last[i] = float32(i) / 5
	}
	return o, last
}

var velocity = message.NavigationCommand{VxMps: 0.5, VyMps: -0.25, YawRateRadPerSec: 1}

// sameObservation compares two ways to build an observation, bit by bit, also of values that are huge or negative zeros.
func sameObservation(a, b build, p *policy.Policy) error {
	random := rand.New(rand.NewPCG(1, 2))
	value := func() float64 {
		switch random.IntN(10) {
		case 0:
			return math.Copysign(0, -1)
		case 1:
			return 1e5 * random.NormFloat64()
		}
		return random.NormFloat64()
	}
	o, last := sensors(p)
	of, by := make([]float32, p.Observation.Size), make([]float32, p.Observation.Size)
	for range 1000 {
		for _, values := range [][]float64{o.BaseVelocityMps[:], o.IMU.AngularVelocityRadPerSec[:], o.IMU.Orientation[1:], o.PositionRad, o.VelocityRadPerSec} {
			for i := range values {
				values[i] = value()
			}
		}
		for i := range last {
			last[i] = float32(value())
		}
		c := message.NavigationCommand{VxMps: value(), VyMps: value(), YawRateRadPerSec: value()}
		if err := errors.Join(a(of, o, c, last), b(by, o, c, last)); err != nil {
			return err
		}
		if !slices.EqualFunc(of, by, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) }) {
			return fmt.Errorf("observations differ: %v and %v", of, by)
		}
	}
	return nil
}

// measureBuild measures one way to build an observation.
func measureBuild(ctx context.Context, p *policy.Policy, b build, duration time.Duration) (s latency.Sample, err error) {
	o, last := sensors(p)
	dst := make([]float32, p.Observation.Size)
	s.Took = make([]time.Duration, 0, int(duration/time.Microsecond))
	allocations := countAllocations()
	for ends := time.Now().Add(duration); ctx.Err() == nil; {
		began := time.Now()
		if began.After(ends) {
			break
		}
		for range buildsPerSample {
			if err := b(dst, o, velocity, last); err != nil {
				return latency.Sample{}, err
			}
		}
		s.Took = append(s.Took, time.Since(began)/buildsPerSample)
	}
	s.Allocations = allocations(len(s.Took) * buildsPerSample)
	return s, ctx.Err()
}

// byHand builds the observation of the Go1's policy by code that knows the layout: that of this repository before manifests had
// terms.
type byHand struct {
	defaultPoseRad []float64
	joints         robot.JointIndices
	robotJoints    int
}

const handSize = 48

func (b *byHand) check(dst []float32, o *message.Observation, last []float32) error {
	for _, buffer := range [...]struct {
		name            string
		found, expected int
	}{
		{"observation buffer", len(dst), handSize},
		{"joint positions", len(o.PositionRad), b.robotJoints},
		{"joint velocities", len(o.VelocityRadPerSec), b.robotJoints},
		{"last action", len(last), len(b.joints)},
	} {
		if buffer.found != buffer.expected {
			return fmt.Errorf("%s: found %d values, expected %d", buffer.name, buffer.found, buffer.expected)
		}
	}
	return nil
}

func (b *byHand) build(dst []float32, o *message.Observation, c message.NavigationCommand, last []float32) error {
	const joints = 12
	if err := b.check(dst, o, last); err != nil {
		return fmt.Errorf("by hand: %w", err)
	}
	if !o.BaseVelocityKnown {
		return errors.New("by hand: base velocity not found")
	}
	gravity := observation.ProjectedGravity(o.IMU.Orientation)
	for i := range 3 {
		dst[i] = float32(o.BaseVelocityMps[i])
		dst[3+i] = float32(o.IMU.AngularVelocityRadPerSec[i])
		dst[6+i] = float32(gravity[i])
	}
	for i, joint := range b.joints {
		dst[9+i] = float32(o.PositionRad[joint] - b.defaultPoseRad[i])
		dst[9+joints+i] = float32(o.VelocityRadPerSec[joint])
		dst[9+2*joints+i] = last[i]
	}
	dst[9+3*joints] = float32(c.VxMps)
	dst[9+3*joints+1] = float32(c.VyMps)
	dst[9+3*joints+2] = float32(c.YawRateRadPerSec)
	return nil
}
