// Package walk runs a policy in a physics simulation through the same client, bus, server and safety gate as on a robot. It records
// the robot's motion and checks it against the command.
//
// In lock step the server and the policy step in turn on one simulated clock, as fast as they compute: all runs are equal, bit for
// bit. In real time both loops run as on a robot.
//
// It must not run on a robot.
package walk

import (
	"context"
	"fmt"
	"slices"
	"time"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/runner"
	"krabby.dev/krabby/hal/backend"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/mujoco"
	"krabby.dev/krabby/hal/server"
	"krabby.dev/krabby/internal/bringup"
)

const sessionID = 1 // Constant, so that the frames of all runs are equal.

// Push is a force on the base.
type Push struct {
	// At is the start of the push in simulated time; During is its duration, 0 for no push.
	At, During time.Duration
	// ForceN is in the world frame, in N.
	ForceN [3]float64
}

// Config describes a walk.
type Config struct {
	Policy bringup.Policy
	// Physics makes the simulated robot.
	Physics mujoco.Factory
	// Locate resolves the paths of Physics; nil leaves them as they are.
	Locate func(path string) string
	// Server are further options of the server, for example its safety limits.
	Server []server.Option
	// HALRateHz is the rate of the server. In lock step it is a multiple of the policy's rate.
	HALRateHz float64
	// Command is the velocity to walk with, for Duration.
	Command  message.NavigationCommand
	Duration time.Duration
	Push     Push
	// Observer is called after each action; nil for none.
	Observer runner.Observer
	// RealTime runs both loops by the wall clock instead of in lock step.
	RealTime bool
}

// Walk is a walk that is ready to run. It must be closed.
type Walk struct {
	config    Config
	physics   *mujoco.Backend
	simulated *clock.Simulated
	system    *bringup.System
	record    *Record
}

// New loads the simulation and connects the robot's software to it. The error names the invalid value in c.
func New(ctx context.Context, c Config) (*Walk, error) {
	if _, err := bringup.StepsPerAction(c.HALRateHz, c.Policy.ControlRateHz); err != nil && !c.RealTime {
		return nil, fmt.Errorf("walk: %w", err)
	}
	readsHeights := slices.ContainsFunc(c.Policy.Observation.Terms, func(t policy.Term) bool { return t.Term == policy.TermHeightScan })
	if terrain := c.Physics.Terrain.Name; readsHeights && terrain != "" && terrain != mujoco.Flat().Name {
		return nil, fmt.Errorf("--terrain: found %s, expected %s: the policy reads a height scan, which no sensor measures: it is that of flat ground", terrain, mujoco.Flat().Name)
	}
	w := &Walk{config: c, simulated: &clock.Simulated{}, record: newRecord(c)}
	var source clock.Source = w.simulated
	if c.RealTime {
		source = clock.New()
	}
	var err error
	period := time.Duration(float64(time.Second) / c.HALRateHz)
	if w.physics, err = c.Physics.NewBackend(backend.Config{Robot: c.Policy.Robot, Period: period, Clock: source, Locate: c.Locate}); err != nil {
		return nil, err
	}
	w.system, err = bringup.New(ctx, bringup.Config{
		Robot:     c.Policy.Robot,
		Backend:   &recorder{Backend: w.physics, push: c.Push, record: w.record},
		HALRateHz: c.HALRateHz,
		Clock:     source,
		Server:    slices.Concat(c.Server, []server.Option{server.WithSession(sessionID)}),
		Runner:    []runner.Option{runner.WithCommand(c.Command), runner.WithObserver(c.Observer)},
		Policy:    &c.Policy,
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// MuJoCoVersion returns the version of the simulation's library.
func (w *Walk) MuJoCoVersion() string { return w.physics.Version() }

// Close closes the simulation and the robot's software.
func (w *Walk) Close() error { return w.system.Close() }

// Run walks from the start of the simulation until the duration is over or ctx is done, and returns the record. Call it once.
func (w *Walk) Run(ctx context.Context) (*Record, error) {
	start := time.Now()
	if err := w.run(ctx); err != nil {
		return nil, err
	}
	r, s := w.record, w.system
	if len(r.Samples) == 0 {
		return nil, fmt.Errorf("walk: no reading of the robot in %v: %v", w.config.Duration, s.Server.Stats().Unpublished)
	}
	r.WallS = time.Since(start).Seconds()
	r.Server, r.Client, r.Policy = s.Server.Stats(), s.Client.Stats(), s.Runner.Stats()
	r.Final = w.physics.State()
	return r, nil
}

func (w *Walk) run(ctx context.Context) error {
	if !w.config.RealTime {
		return w.system.RunLockStep(ctx, w.simulated, w.config.Duration)
	}
	ctx, cancel := context.WithTimeout(ctx, w.config.Duration)
	defer cancel()
	return w.system.Run(ctx, bringup.Threads{})
}

// recorder is a simulated robot that records its readings and commands, and applies the push.
type recorder struct {
	*mujoco.Backend
	push   Push
	pushed bool
	record *Record
}

// Read records the observation.
func (r *recorder) Read(ctx context.Context, o *message.Observation) error {
	if at := r.State().Time; !r.pushed && r.push.During > 0 && at >= r.push.At {
		r.pushed = true
		r.Push(r.push.ForceN, r.push.During)
	}
	if err := r.Backend.Read(ctx, o); err != nil {
		return err
	}
	r.record.add(o, r.State())
	return nil
}

// Write records the targets.
func (r *recorder) Write(ctx context.Context, c *message.JointCommand) error {
	copy(r.record.targetRad, c.TargetRad)
	return r.Backend.Write(ctx, c)
}
