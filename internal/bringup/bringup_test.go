package bringup_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/backend"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/server"
	"krabby.dev/krabby/hal/synthetic"
	"krabby.dev/krabby/internal/bringup"
)

const halRateHz, policyRateHz = 100, 50

// stub is a builder and a model: it moves the first joint by the number of its steps.
type stub struct {
	input, output []float32
	steps         float32
}

func newPolicy() *bringup.Policy {
	g := robot.Go1()
	s := &stub{input: make([]float32, 48), output: make([]float32, 12)}
	return &bringup.Policy{
		Policy: &policy.Policy{Robot: g, Manifest: policy.Manifest{
			DefaultPoseRad: g.DefaultPoseRad, Action: policy.Action{Scale: policy.Numbers{0.001}}, ControlRateHz: policyRateHz, Observation: policy.Observation{Size: 48},
		}},
		Builder: s,
		Model:   s,
	}
}

func (s *stub) Build([]float32, *message.Observation, message.NavigationCommand, []float32) error {
	return nil
}
func (s *stub) Input() []float32  { return s.input }
func (s *stub) Output() []float32 { return s.output }
func (s *stub) Reset()            { s.steps = 0 }
func (s *stub) Run() error {
	s.steps++
	s.output[0] = s.steps
	return nil
}

// tapped is a synthetic robot that records its life cycle and the written targets of the first joint.
type tapped struct {
	*synthetic.Backend
	calls        []string
	targets      []float64
	configureErr error
}

func newTapped() *tapped {
	return &tapped{Backend: synthetic.New(robot.Go1(), time.Second/halRateHz)}
}

func (b *tapped) Configure(context.Context) error {
	b.calls = append(b.calls, "configure")
	return b.configureErr
}

func (b *tapped) Activate(context.Context) error {
	b.calls = append(b.calls, "activate")
	return nil
}

func (b *tapped) Deactivate(ctx context.Context) error {
	b.calls = append(b.calls, "deactivate")
	return b.Backend.Deactivate(ctx)
}

func (b *tapped) Close() error {
	b.calls = append(b.calls, "close")
	return nil
}

func (b *tapped) Write(ctx context.Context, c *message.JointCommand) error {
	b.targets = append(b.targets, c.TargetRad[0])
	return b.Backend.Write(ctx, c)
}

func config(b backend.Backend) bringup.Config {
	return bringup.Config{Robot: robot.Go1(), Backend: b, HALRateHz: halRateHz, Policy: newPolicy()}
}

func TestRun_realTime(t *testing.T) {
	b := newTapped()
	s, err := bringup.New(t.Context(), config(b))
	if err != nil {
		t.Fatal(err)
	}
	prepared := make(chan string, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := s.Run(ctx, bringup.Threads{
		Server: func() error { prepared <- "server"; return nil },
		Runner: func() error { prepared <- "runner"; return nil },
	}); err != nil {
		t.Fatal(err)
	}
	if st := s.Server.Stats(); st.Published == 0 || st.Applied == 0 || st.Backend.State != "inactive" {
		t.Errorf("server = %+v, want observations published, commands applied, backend inactive", st)
	}
	if st := s.Runner.Stats(); st.Actions == 0 || len(prepared) != 2 {
		t.Errorf("%d actions, %d threads prepared; want some and 2", st.Actions, len(prepared))
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if want := []string{"configure", "activate", "deactivate", "close"}; !slices.Equal(b.calls, want) {
		t.Errorf("life cycle = %q, want %q", b.calls, want)
	}
}

func TestRun_threadError_endsBothLoops(t *testing.T) {
	for _, loop := range []string{"server", "runner"} {
		t.Run(loop, func(t *testing.T) {
			s, err := bringup.New(t.Context(), config(newTapped()))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			notPermitted := errors.New("operation not permitted")
			threads := bringup.Threads{Server: func() error { return notPermitted }}
			if loop == "runner" {
				threads = bringup.Threads{Runner: func() error { return notPermitted }}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := s.Run(ctx, threads); !errors.Is(err, notPermitted) || ctx.Err() != nil {
				t.Errorf("Run = %v, context %v; want the error before the deadline", err, ctx.Err())
			}
		})
	}
}

func TestRunLockStep_deterministic(t *testing.T) {
	run := func() (*tapped, *bringup.System) {
		simulated := &clock.Simulated{}
		b := newTapped()
		c := config(b)
		c.Clock, c.Server = simulated, []server.Option{server.WithSession(1)}
		s, err := bringup.New(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		if err := s.RunLockStep(t.Context(), simulated, time.Second); err != nil {
			t.Fatal(err)
		}
		return b, s
	}
	first, s := run()
	second, _ := run()
	if !slices.Equal(first.targets, second.targets) || len(first.targets) == 0 {
		t.Errorf("targets differ: %v, %v", first.targets, second.targets)
	}
	// The last action follows the last step of the server.
	if st, actions := s.Server.Stats(), s.Runner.Stats().Actions; st.Steps != halRateHz || actions != policyRateHz || st.Applied < actions-1 {
		t.Errorf("%d steps, %d actions, %d applied; want %d, %d and all but the last", st.Steps, actions, st.Applied, halRateHz, policyRateHz)
	}
	if want := []string{"configure", "activate", "deactivate"}; !slices.Equal(first.calls, want) {
		t.Errorf("life cycle = %q, want %q", first.calls, want)
	}
}

func TestRunLockStep_ratesDoNotFit(t *testing.T) {
	c := config(newTapped())
	simulated := &clock.Simulated{}
	c.Clock, c.HALRateHz = simulated, 120
	s, err := bringup.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.RunLockStep(t.Context(), simulated, time.Second); err == nil || !strings.Contains(err.Error(), "found 120 Hz, expected a multiple of the policy's, 50 Hz") {
		t.Errorf("RunLockStep = %v, want the rates", err)
	}
}

func TestNew_invalid(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		change func(*bringup.Config, *tapped)
		want   string
		calls  []string
	}{
		"backend":  {func(_ *bringup.Config, b *tapped) { b.configureErr = broken }, "broken", []string{"configure", "close"}},
		"endpoint": {func(c *bringup.Config, _ *tapped) { c.Observations = "udp://x" }, "udp://x", []string{"configure", "close"}},
		"rate":     {func(c *bringup.Config, _ *tapped) { c.HALRateHz = 1 }, "rate of 1 Hz", []string{"configure", "close"}},
		"policy": {func(c *bringup.Config, _ *tapped) {
			c.Policy.Model = &stub{input: make([]float32, 47), output: make([]float32, 12)}
		},
			"model input of 47 values", []string{"configure", "close"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTapped()
			c := config(b)
			test.change(&c, b)
			if s, err := bringup.New(t.Context(), c); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("New = %v, %v; want %q in the error", s, err, test.want)
			}
			if !slices.Equal(b.calls, test.calls) {
				t.Errorf("life cycle = %q, want %q", b.calls, test.calls)
			}
		})
	}
}

func TestNew_withoutPolicy(t *testing.T) {
	c := config(newTapped())
	c.Policy, c.Observations, c.Commands = nil, "tcp://127.0.0.1:0", "tcp://127.0.0.1:0"
	s, err := bringup.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var o message.Observation
	if err := s.Server.Activate(ctx); err != nil {
		t.Fatal(err)
	}
	for ctx.Err() == nil {
		s.Server.Step(ctx)
		if _, err := s.Client.Poll(&o); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if o.Sequence == 0 || s.Runner != nil {
		t.Errorf("observation %d, runner %v; want an observation over TCP and no runner", o.Sequence, s.Runner)
	}
}

// The gate accepts the gains of the policy, also above twice the robot's own.
func TestRunLockStep_gainsOfPolicy(t *testing.T) {
	for _, kp := range []float64{20, 150} {
		c, simulated := config(newTapped()), &clock.Simulated{}
		c.Clock, c.Policy = simulated, newPolicy()
		c.Policy.Gains = policy.Gains{Kp: policy.Numbers{kp}, Kd: policy.Numbers{kp / 50}}
		s, err := bringup.New(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.RunLockStep(t.Context(), simulated, time.Second); err != nil {
			t.Fatal(err)
		}
		if st := s.Server.Stats(); st.Applied < 40 || len(st.Rejected) > 0 {
			t.Errorf("kp %v: %d commands applied, rejected %v; want about 50 and none", kp, st.Applied, st.Rejected)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
