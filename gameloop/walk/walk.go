// Package walk lets a policy walk in physics, through everything that a robot has between the two: client, bus, server
// and safety gate. It records what the robot did, and judges whether that was what it was told.
//
// In lock step the turns of the server and of the policy follow each other on one simulated clock, as fast as they can
// be computed: one run is like the other, bit for bit. In real time both loops run as they do on a robot.
//
// It must never be part of what runs on a robot.
package walk

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/runner"
	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/mujoco"
	"krabby.dev/krabby/hal/server"
)

const (
	observations = "inproc://walk_observation"
	commands     = "inproc://walk_commands"
	sessionID    = 1 // The same for each run: it is in every frame.
)

// Push is a force on the base.
type Push struct {
	// At is when it begins; During, how long it lasts, is 0 for no push.
	At, During time.Duration
	// ForceN is in the world frame, in N.
	ForceN [3]float64
}

// Config is one walk.
type Config struct {
	Policy  *policy.Policy
	Builder runner.Builder
	Model   runner.Model
	Library *mujoco.Library
	// RobotModel is the file with the model of the policy's robot.
	RobotModel string
	// Backend and Server are options of the two: terrain, seed; safety.
	Backend []mujoco.Option
	Server  []server.Option
	// HALRateHz is the rate of the server, which the policy's must divide in lock step.
	HALRateHz float64
	// Command is the velocity to walk with, for Duration.
	Command  message.NavigationCommand
	Duration time.Duration
	Push     Push
	// Observer, if any, is told of each action.
	Observer runner.Observer
	// RealTime keeps to the wall clock instead of going in lock step.
	RealTime bool
}

// Run lets the robot walk from its start until the duration is over or ctx is done, and returns what it did.
func Run(ctx context.Context, c Config) (_ *Record, err error) {
	period := time.Duration(float64(time.Second) / c.HALRateHz)
	every := int(math.Round(c.HALRateHz / c.Policy.ControlRateHz))
	if !c.RealTime && (every < 1 || math.Abs(float64(every)*c.Policy.ControlRateHz-c.HALRateHz) > 1e-9) {
		return nil, fmt.Errorf("walk: rate of the server: found %v Hz, expected a multiple of the policy's, %v Hz", c.HALRateHz, c.Policy.ControlRateHz)
	}
	var source clock.Source = clock.New()
	simulated := &clock.Simulated{}
	if !c.RealTime {
		source = simulated
	}
	physics, err := c.Library.New(c.Policy.Robot, c.RobotModel, period, slices.Concat(c.Backend, []mujoco.Option{mujoco.WithClock(source)})...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, physics.Close()) }()
	b, err := bus.NewContext()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()

	record := newRecord(c)
	hal, link, err := connect(c, b, &recorder{physics: physics, push: c.Push, record: record}, source)
	if err != nil {
		return nil, err
	}
	loop, err := runner.New(c.Policy, link, c.Builder, c.Model, runner.WithCommand(c.Command), runner.WithObserver(c.Observer))
	if err != nil {
		return nil, err
	}

	start := time.Now()
	if c.RealTime {
		realTime(ctx, c, hal, loop, period)
	} else {
		lockStep(ctx, c, hal, loop, simulated, period, every)
	}
	if len(record.Samples) == 0 {
		return nil, fmt.Errorf("walk: found no reading of the robot in %v, expected at least one: %v", c.Duration, hal.Stats().Unpublished)
	}
	record.WallS = time.Since(start).Seconds()
	record.Server, record.Client, record.Policy = hal.Stats(), link.Stats(), loop.Stats()
	record.Final = physics.State()
	return record, nil
}

// connect makes the server on the backend, and the client.
func connect(c Config, b *bus.Context, backend server.Backend, source clock.Source) (*server.Server, *client.Client, error) {
	publisher, err := b.NewPublisher(observations)
	if err != nil {
		return nil, nil, err
	}
	receiver, err := b.NewReceiver(commands)
	if err != nil {
		return nil, nil, err
	}
	hal, err := server.New(c.Policy.Robot, backend, publisher, receiver, slices.Concat(c.Server, []server.Option{
		server.WithRate(c.HALRateHz), server.WithClock(source), server.WithSession(sessionID)})...)
	if err != nil {
		return nil, nil, err
	}
	subscriber, err := b.NewSubscriber(observations)
	if err != nil {
		return nil, nil, err
	}
	sender, err := b.NewSender(commands)
	if err != nil {
		return nil, nil, err
	}
	return hal, client.New(c.Policy.Robot, subscriber, sender, client.WithClock(source)), nil
}

// lockStep lets the server and the policy take turns. A command is written at the server's turn after the one whose
// observation it answers: a period later, as on a robot.
func lockStep(ctx context.Context, c Config, hal *server.Server, loop *runner.Runner, simulated *clock.Simulated, period time.Duration, every int) {
	for tick := 0; time.Duration(tick)*period < c.Duration && ctx.Err() == nil; tick++ {
		simulated.Advance(period)
		hal.Turn(ctx)
		if tick%every == 0 {
			loop.Turn()
		}
	}
}

// realTime lets both loops run.
func realTime(ctx context.Context, c Config, hal *server.Server, loop *runner.Runner, period time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, c.Duration)
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() { hal.Run(ctx) })
	both.Go(func() {
		// The policy's deadlines lie between the server's, where the newest observation is there and not just coming.
		select {
		case <-time.After(period / 4):
			loop.Run(ctx)
		case <-ctx.Done():
		}
	})
	both.Wait()
}

// recorder is the backend that writes down what passes, and pushes when it is time.
type recorder struct {
	physics *mujoco.Backend
	push    Push
	pushed  bool
	record  *Record
}

func (r *recorder) Read(ctx context.Context, o *message.Observation) error {
	if at := r.physics.State().Time; !r.pushed && r.push.During > 0 && at >= r.push.At {
		r.pushed = true
		r.physics.Push(r.push.ForceN, r.push.During)
	}
	if err := r.physics.Read(ctx, o); err != nil {
		return err
	}
	r.record.observed(o, r.physics.State())
	return nil
}

func (r *recorder) Write(ctx context.Context, c *message.JointCommand) error {
	copy(r.record.targetRad, c.TargetRad)
	return r.physics.Write(ctx, c)
}
