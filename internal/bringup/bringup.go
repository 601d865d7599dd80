// Package bringup connects a robot's software in one process: backend, server, bus, client, clock and, optionally, a policy.
// Programs, benchmarks and tests share it, in real time and in lock step with a simulated clock.
//
// It must not read command lines.
package bringup

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
	"krabby.dev/krabby/hal/backend"
	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/safety"
	"krabby.dev/krabby/hal/server"
)

// Default endpoints between server and client.
const (
	Observations = "inproc://hal_observation"
	Commands     = "inproc://hal_commands"
)

// Config describes a system.
type Config struct {
	Robot *robot.Robot
	// Backend is unconfigured. The system closes it.
	Backend backend.Backend
	// HALRateHz is the rate of the server. In lock step it is a multiple of the policy's rate.
	HALRateHz float64
	// Clock is that of server and client; nil is the machine's monotonic clock.
	Clock clock.Source
	// Observations and Commands are the endpoints between server and client; empty are the defaults.
	Observations, Commands string
	// WrapReceiver, if set, wraps the server's receiver of commands, for example to wait for a command instead of polling.
	WrapReceiver func(*bus.Receiver) server.Receiver
	// Links, if set, binds further endpoints on the bus and returns the server's options for them.
	Links func(*bus.Context) ([]server.Option, error)
	// Server, Client and Runner are additional options of the parts of these names.
	Server []server.Option
	Client []client.Option
	Runner []runner.Option
	// Policy is optional.
	Policy *Policy
}

// Policy is a policy and the parts that compute its observations and actions.
type Policy struct {
	*policy.Policy
	Builder runner.Builder
	Model   runner.Model
}

// System is a robot's software in one process. Server and Client are always set, Runner if the Config has a policy.
type System struct {
	Server *server.Server
	Client *client.Client
	Runner *runner.Runner

	config Config
	bus    *bus.Context
	robot  *backend.Lifecycle
	// publisher and receiver are the server's sockets. The client connects to their endpoints.
	publisher *bus.Publisher
	receiver  *bus.Receiver
}

// New connects the parts of the system and configures the backend. The caller must close the system.
func New(ctx context.Context, c Config) (_ *System, err error) {
	s := &System{config: c, robot: backend.NewLifecycle(c.Backend)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.config.Clock == nil {
		s.config.Clock = clock.New()
	}
	if err := s.robot.Configure(ctx); err != nil {
		return nil, err
	}
	if s.bus, err = bus.NewContext(); err != nil {
		return nil, err
	}
	if err := s.newServer(); err != nil {
		return nil, err
	}
	if err := s.newClient(); err != nil {
		return nil, err
	}
	if c.Policy == nil {
		return s, nil
	}
	s.Runner, err = runner.New(c.Policy.Policy, s.Client, c.Policy.Builder, c.Policy.Model, c.Runner...)
	return s, err
}

func (s *System) newServer() (err error) {
	c := s.config
	if s.publisher, err = s.bus.NewPublisher(orDefault(c.Observations, Observations)); err != nil {
		return err
	}
	if s.receiver, err = s.bus.NewReceiver(orDefault(c.Commands, Commands)); err != nil {
		return err
	}
	options := []server.Option{server.WithRate(c.HALRateHz), server.WithClock(c.Clock)}
	if c.Policy != nil {
		kp, kd := c.Policy.RobotGains()
		options = append(options, server.WithSafety(safety.DefaultsFor(c.Robot, kp, kd)), server.WithV1Gains(kp, kd))
	}
	if c.Links != nil {
		links, err := c.Links(s.bus)
		if err != nil {
			return err
		}
		options = append(options, links...)
	}
	var receiver server.Receiver = s.receiver
	if c.WrapReceiver != nil {
		receiver = c.WrapReceiver(s.receiver)
	}
	s.Server, err = server.New(c.Robot, s.robot, s.publisher, receiver, slices.Concat(options, c.Server)...)
	return err
}

func (s *System) newClient() error {
	in, err := s.bus.NewSubscriber(s.publisher.Endpoint())
	if err != nil {
		return err
	}
	out, err := s.bus.NewSender(s.receiver.Endpoint())
	if err != nil {
		return err
	}
	s.Client = client.New(s.config.Robot, in, out, slices.Concat([]client.Option{client.WithClock(s.config.Clock)}, s.config.Client)...)
	return nil
}

func orDefault(endpoint, fallback string) string {
	if endpoint == "" {
		return fallback
	}
	return endpoint
}

// Close deactivates the robot and closes all parts. Further calls return nil.
func (s *System) Close() error {
	err := s.robot.Close()
	if s.bus != nil {
		err = errors.Join(err, s.bus.Close())
	}
	return err
}

// Threads has functions that prepare the threads of the two loops, for example their priority; each can be nil. An error ends both
// loops.
type Threads struct{ Server, Runner func() error }

// Run runs the server's loop and the policy's, each on its own thread, until ctx is done.
func (s *System) Run(ctx context.Context, threads Threads) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var loops sync.WaitGroup
	var serverErr, runnerErr error
	start := func(err *error, prepare func() error, loop func() error) {
		loops.Go(func() {
			if prepare != nil {
				*err = prepare()
			}
			if *err == nil {
				*err = loop()
			}
			if *err != nil {
				cancel()
			}
		})
	}
	start(&serverErr, threads.Server, func() error { return s.Server.Run(ctx) })
	if s.Runner != nil {
		start(&runnerErr, threads.Runner, func() error {
			// The policy's deadlines lie a quarter of a period after the server's, when the newest observation has arrived.
			offset := clock.NewPacer(s.period() / 4)
			for range 2 {
				if _, err := offset.Wait(ctx); err != nil {
					return nil
				}
			}
			s.Runner.Run(ctx)
			return nil
		})
	}
	loops.Wait()
	return errors.Join(serverErr, runnerErr)
}

func (s *System) period() time.Duration {
	return time.Duration(float64(time.Second) / s.config.HALRateHz)
}

// StepsPerAction returns how many steps of the server one step of the policy takes in lock step.
func StepsPerAction(halRateHz, policyRateHz float64) (int, error) {
	n := int(math.Round(halRateHz / policyRateHz))
	if n < 1 || math.Abs(float64(n)*policyRateHz-halRateHz) > 1e-9 {
		return 0, fmt.Errorf("rate of the server: found %v Hz, expected a multiple of the policy's, %v Hz", halRateHz, policyRateHz)
	}
	return n, nil
}

// RunLockStep runs server and policy in turn for a simulated duration, as fast as they compute, or until ctx is done. simulated is
// the Config's Clock. The server writes a command one period after the observation that the command answers, as on a robot.
func (s *System) RunLockStep(ctx context.Context, simulated *clock.Simulated, duration time.Duration) error {
	every, err := StepsPerAction(s.config.HALRateHz, s.config.Policy.ControlRateHz)
	if err != nil {
		return err
	}
	if err := s.Server.Activate(ctx); err != nil {
		return err
	}
	period := s.period()
	for step := 0; time.Duration(step)*period < duration && ctx.Err() == nil; step++ {
		simulated.Advance(period)
		s.Server.Step(ctx)
		if step%every == 0 {
			s.Runner.Step()
		}
	}
	return s.Server.Deactivate(ctx)
}

// PolicySettings are what reports say about a policy.
type PolicySettings struct {
	// Joints are the policy's joints, in the order of Gains and ActionScale.
	Joints      []string       `json:"policy_joints"`
	Gains       policy.Gains   `json:"policy_gains"`
	ActionScale policy.Numbers `json:"policy_action_scale"`
	// Formats are the versions of each graph's file, which the runtime read.
	Formats map[string]string `json:"policy_formats"`
}

// Settings returns the settings of p.
func Settings(p *policy.Policy) PolicySettings {
	s := PolicySettings{Joints: p.JointNames(), Gains: p.Gains, ActionScale: p.Action.Scale, Formats: map[string]string{}}
	for name, m := range p.Metadata {
		s.Formats[name] = m.Format()
	}
	return s
}

// Report is the result of running a policy.
type Report struct {
	Policy string `json:"policy"`
	PolicySettings
	Robot           string  `json:"robot"`
	Limits          string  `json:"limits,omitempty"` // Of --limits.
	Backend         string  `json:"backend"`
	RateRequestedHz float64 `json:"rate_requested_hz"`
	DurationS       float64 `json:"duration_s"`
	runner.Stats
	Server server.Stats `json:"server"`
	Client client.Stats `json:"client"`
}
