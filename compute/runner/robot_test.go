package runner_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/runner"
	"krabby.dev/krabby/hal/backend/backendtest"
	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/safety"
	"krabby.dev/krabby/hal/server"
	"krabby.dev/krabby/hal/synthetic"
)

// robotRig is the loop of a policy with a robot's server, safety gate and bus on one simulated clock, and a fake builder and model.
type robotRig struct {
	now                     clock.Simulated
	hal                     *server.Server
	client                  *client.Client
	loop                    *runner.Runner
	halPeriod, policyPeriod time.Duration

	written message.JointCommand // The last write.
	targets []float64            // Of the first joint, one per write.

	lag    time.Duration // The delay from the robot to the policy.
	build  func() error
	infer  func() error
	built  []buildCall
	action [12]float32
	steps  float32 // The model's state: steps since its reset.
}

// buildCall has the arguments of a call of Build.
type buildCall struct {
	madeNs     int64 // When the observation was made.
	lastAction float32
}

const robotPeriodsHz = 2000 // A multiple of the rates of these tests, and of four times each.

func newRobotRig(t testing.TB, halHz, policyHz float64) *robotRig {
	t.Helper()
	g := robot.Go1()
	r := &robotRig{
		halPeriod:    time.Duration(float64(time.Second) / halHz),
		policyPeriod: time.Duration(float64(time.Second) / policyHz),
	}
	b, err := bus.NewContext()
	fatal(t, err)
	t.Cleanup(func() { fatal(t, b.Close()) })
	out, err := b.NewPublisher("inproc://observation")
	fatal(t, err)
	in, err := b.NewReceiver("inproc://commands")
	fatal(t, err)
	r.hal, err = server.New(g, backendtest.Active(t, &tapped{synthetic.New(g, r.halPeriod), r}), out, in,
		server.WithRate(halHz), server.WithClock(&r.now), server.WithSession(1))
	fatal(t, err)
	subscriber, err := b.NewSubscriber("inproc://observation")
	fatal(t, err)
	sender, err := b.NewSender("inproc://commands")
	fatal(t, err)
	r.client = client.New(g, subscriber, sender, client.WithClock(&r.now))
	r.loop, err = runner.New(&policy.Policy{Robot: g, Manifest: policy.Manifest{
		DefaultPoseRad: g.DefaultPoseRad, Action: policy.Action{Scale: policy.Numbers{0.5}}, ControlRateHz: policyHz, Observation: policy.Observation{Size: 48},
	}}, laggingLink{r.client, r}, r, model{r, make([]float32, 48)})
	fatal(t, err)
	return r
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tapped is a backend that records writes in the rig.
type tapped struct {
	*synthetic.Backend
	rig *robotRig
}

func (b *tapped) Write(ctx context.Context, c *message.JointCommand) error {
	b.rig.written.CopyFrom(c)
	b.rig.targets = append(b.rig.targets, c.TargetRad[0])
	return b.Backend.Write(ctx, c)
}

// laggingLink is a client with a delay.
type laggingLink struct {
	*client.Client
	rig *robotRig
}

func (l laggingLink) Poll(o *message.Observation) (time.Duration, error) {
	age, err := l.Client.Poll(o)
	return age + l.rig.lag, err
}

// Build records the call.
func (r *robotRig) Build(dst []float32, o *message.Observation, _ message.NavigationCommand, lastAction []float32) error {
	if r.build != nil {
		if err := r.build(); err != nil {
			return err
		}
	}
	r.built = append(r.built, buildCall{o.MonotonicNs, lastAction[0]})
	return nil
}

// Reset does nothing: the rig's builder has no state.
func (r *robotRig) Reset() {}

// model is the rig as a model: its action is the number of steps since its reset.
type model struct {
	*robotRig
	input []float32
}

func (m model) Input() []float32  { return m.input }
func (m model) Output() []float32 { return m.action[:] }
func (m model) Reset()            { m.steps = 0 }
func (m model) Run() error {
	if m.infer != nil {
		return m.infer()
	}
	m.steps++
	m.action[0] = m.steps / 1000
	return nil
}

// pass advances the time, with a step of each loop at each of its deadlines. The policy's deadlines lie a quarter of the server's period
// after the server's, as in the programs.
func (r *robotRig) pass(t testing.TB, d time.Duration) {
	const step = time.Second / robotPeriodsHz
	for end := r.now.NowNs() + int64(d); r.now.NowNs() < end; r.now.Advance(step) {
		now := time.Duration(r.now.NowNs())
		if now%r.halPeriod == 0 {
			r.hal.Step(t.Context())
		}
		if now >= r.halPeriod/4 && (now-r.halPeriod/4)%r.policyPeriod == 0 {
			r.loop.Step()
		}
	}
}

func TestStep_rateIndependentOfServer(t *testing.T) {
	const run = 2 * time.Second
	for _, tt := range []struct {
		halHz, policyHz float64
		actions, notNew uint64
		period          time.Duration // Between the observations that lead to actions.
	}{
		{halHz: 50, policyHz: 50, actions: 100, period: 20 * time.Millisecond},
		{halHz: 100, policyHz: 50, actions: 100, period: 20 * time.Millisecond},
		{halHz: 500, policyHz: 50, actions: 100, period: 20 * time.Millisecond},
		// A policy faster than the robot acts at the robot's rate: a step without a new observation is skipped.
		{halHz: 50, policyHz: 100, actions: 100, notNew: 100, period: 20 * time.Millisecond},
		{halHz: 100, policyHz: 500, actions: 200, notNew: 799, period: 10 * time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%v Hz on %v Hz", tt.policyHz, tt.halHz), func(t *testing.T) {
			r := newRobotRig(t, tt.halHz, tt.policyHz)
			r.pass(t, run)
			st := r.loop.Stats()
			want := map[runner.SkipReason]uint64{}
			if tt.notNew > 0 {
				want[runner.NotNew] = tt.notNew
			}
			if st.Actions != tt.actions || !reflect.DeepEqual(st.Skipped, want) || st.Steps != tt.actions+tt.notNew {
				t.Errorf("%d ticks, %d actions, no action %v; want %d, %d and %v", st.Steps, st.Actions, st.Skipped, tt.actions+tt.notNew, tt.actions, want)
			}
			// The state of builders, such as the last action and the history of parkour, advances once per action.
			if uint64(len(r.built)) != tt.actions {
				t.Errorf("%d inputs built, want %d", len(r.built), tt.actions)
			}
			for i, b := range r.built {
				if b.madeNs != int64(i)*int64(tt.period) || b.lastAction != float32(i)/1000 {
					t.Fatalf("input %d: of an observation of %v with last action %v, want %v and %v",
						i, time.Duration(b.madeNs), b.lastAction, time.Duration(i)*tt.period, float32(i)/1000)
				}
			}
			skipped := uint64(run/r.halPeriod) - uint64(run/tt.period)
			if c := r.client.Stats(); c.Observations != tt.actions || c.Sent != tt.actions || c.Skipped > skipped || c.Skipped+tt.actions < skipped || len(c.Rejected) != 0 {
				t.Errorf("client = %+v, want %d observations read and answered, and about %d skipped", c, tt.actions, skipped)
			}
			// With equal rates the last command follows the server's last step.
			if s := r.hal.Stats(); s.Applied+1 < tt.actions || len(s.Rejected) != 0 || s.Holds != 0 || s.Safety.State != safety.Active.String() {
				t.Errorf("server = %+v, want every command applied, and no hold", s)
			}
		})
	}
}

func TestStep_deterministicInSimulatedTime(t *testing.T) {
	one, other := newRobotRig(t, 500, 50), newRobotRig(t, 500, 50)
	one.pass(t, time.Second)
	other.pass(t, time.Second)
	if len(one.targets) == 0 || !slices.Equal(one.targets, other.targets) || !slices.Equal(one.built, other.built) {
		t.Errorf("%d and %d writes, %d and %d inputs; want some, and all the same", len(one.targets), len(other.targets), len(one.built), len(other.built))
	}
}

func TestStep_policyFaultLeadsToSafeState(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name    string
		cause   runner.SkipReason
		set     func(*robotRig)
		forgets bool // The policy is reset afterwards.
	}{
		{"stale observations", runner.Stale, func(r *robotRig) { r.lag = 101 * time.Millisecond }, false},
		{"a panic of the model", runner.Panicked, func(r *robotRig) { r.infer = func() error { panic("oops") } }, true},
		{"a panic of the builder", runner.Panicked, func(r *robotRig) { r.build = func() error { panic("oops") } }, true},
		{"an index out of range", runner.Panicked, func(r *robotRig) { r.infer = func() error { _ = r.built[len(r.built):][0]; return nil } }, true},
		{"an error of the model", runner.InferenceFailed, func(r *robotRig) { r.infer = func() error { return broken } }, true},
		{"an error of the builder", runner.BuildFailed, func(r *robotRig) { r.build = func() error { return broken } }, false},
		{"an output that is not a number", runner.NotFinite, func(r *robotRig) {
			r.infer = func() error { r.action[3] = float32(math.NaN()); return nil }
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRobotRig(t, 100, 50)
			state := func(want safety.State) {
				t.Helper()
				if got := r.hal.Stats().Safety.State; got != want.String() {
					t.Errorf("at %v the gate is in state %s, want %s", time.Duration(r.now.NowNs()), got, want)
				}
			}
			r.pass(t, time.Second)
			state(safety.Active)
			sent, steps := r.client.Stats().Sent, r.steps

			tt.set(r)
			r.pass(t, 80*time.Millisecond) // The last command is in force for 100 ms, and was sent 17.5 ms before.
			state(safety.Active)
			r.pass(t, 40*time.Millisecond)
			state(safety.Hold)
			held := slices.Clone(r.written.TargetRad)
			r.pass(t, 400*time.Millisecond) // Held for 500 ms.
			state(safety.Hold)
			if !slices.Equal(r.written.TargetRad, held) || r.written.Kp[0] == 0 {
				t.Errorf("held: %v with kp %v, want %v with a gain", r.written.TargetRad, r.written.Kp[0], held)
			}
			r.pass(t, 480*time.Millisecond)
			state(safety.Damp)
			if slices.Max(r.written.Kp) != 0 || slices.Min(r.written.Kd) <= 0 {
				t.Errorf("damped: kp %v and kd %v, want 0 and more than 0", r.written.Kp, r.written.Kd)
			}
			if got := r.client.Stats().Sent; got != sent {
				t.Errorf("%d commands sent meanwhile, want none", got-sent)
			}
			if st := r.loop.Stats(); st.Steps != 100 || !reflect.DeepEqual(st.Skipped, map[runner.SkipReason]uint64{tt.cause: 50}) {
				t.Errorf("%d ticks, no action %v; want 100, half of them %s", st.Steps, st.Skipped, tt.cause)
			}

			r.lag, r.build, r.infer, r.action, r.built = 0, nil, nil, [12]float32{}, nil
			r.pass(t, time.Second)
			state(safety.Active)
			if tt.forgets {
				steps = 0
			}
			if st := r.loop.Stats(); st.Actions != 100 || r.built[0].lastAction != steps/1000 || r.steps != steps+50 {
				t.Errorf("afterwards %d actions in all, first last action %v, %v steps remembered; want 100, %v, %v",
					st.Actions, r.built[0].lastAction, r.steps, steps/1000, steps+50)
			}
			if s := r.hal.Stats(); s.Holds != 1 || s.Damps != 1 || len(s.Safety.Trips) != 0 {
				t.Errorf("server = %+v, want one hold, one damping, no stop", s)
			}
		})
	}
}

func TestStep_serverAndRunnerDoNotAllocate(t *testing.T) {
	r := newRobotRig(t, 50, 50)
	r.built, r.targets = make([]buildCall, 0, 1000), make([]float64, 0, 1000)
	ctx := t.Context()
	step := func() {
		r.hal.Step(ctx)
		r.loop.Step()
		r.now.Advance(r.halPeriod)
	}
	for range 10 { // Memory is allocated at its first use.
		step()
	}
	if n := testing.AllocsPerRun(200, step); n != 0 {
		t.Errorf("%v allocations per step of server, bus, client and loop, want 0", n)
	}
	if st := r.loop.Stats(); st.Actions != st.Steps {
		t.Errorf("%d actions in %d ticks, want one each", st.Actions, st.Steps)
	}
}
