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
	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/safety"
	"krabby.dev/krabby/hal/server"
	"krabby.dev/krabby/hal/synthetic"
)

// robotRig is a policy's loop at a robot's server with its safety gate, through the bus, on one simulated clock. The test
// plays the builder and the model.
type robotRig struct {
	now                     clock.Simulated
	hal                     *server.Server
	client                  *client.Client
	loop                    *runner.Runner
	halPeriod, policyPeriod time.Duration

	written message.JointCommand // The last write of the gate.
	targets []float64            // Of the first joint, one a write.

	lag    time.Duration // Of the way from the robot to the policy.
	build  func() error
	infer  func() error
	built  []buildCall
	action [12]float32
	steps  float32 // The model's memory: steps since it last forgot.
}

// buildCall is what a builder was given.
type buildCall struct {
	madeNs     int64 // When the observation was made.
	lastAction float32
}

const robotPeriodsHz = 2000 // What the rates of these tests, and a quarter of their periods, are whole parts of.

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
	r.hal, err = server.New(g, &tapped{synthetic.New(g, r.halPeriod), r}, out, in,
		server.WithRate(halHz), server.WithClock(&r.now), server.WithSession(1))
	fatal(t, err)
	subscriber, err := b.NewSubscriber("inproc://observation")
	fatal(t, err)
	sender, err := b.NewSender("inproc://commands")
	fatal(t, err)
	r.client = client.New(g, subscriber, sender, client.WithClock(&r.now))
	r.loop, err = runner.New(&policy.Policy{Robot: g, Manifest: policy.Manifest{
		DefaultPoseRad: g.DefaultPoseRad, ActionScale: 0.5, ControlRateHz: policyHz, Observation: policy.Observation{Size: 48},
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

// tapped is a backend of which the rig sees the writes.
type tapped struct {
	*synthetic.Backend
	rig *robotRig
}

func (b *tapped) Write(ctx context.Context, c *message.JointCommand) error {
	b.rig.written.CopyFrom(c)
	b.rig.targets = append(b.rig.targets, c.TargetRad[0])
	return b.Backend.Write(ctx, c)
}

// laggingLink is a client on a way that takes time.
type laggingLink struct {
	*client.Client
	rig *robotRig
}

func (l laggingLink) Poll(o *message.Observation) (time.Duration, error) {
	age, err := l.Client.Poll(o)
	return age + l.rig.lag, err
}

// Build is that of the rig as builder.
func (r *robotRig) Build(dst []float32, o *message.Observation, _ message.NavigationCommand, lastAction []float32) error {
	if r.build != nil {
		if err := r.build(); err != nil {
			return err
		}
	}
	r.built = append(r.built, buildCall{o.MonotonicNs, lastAction[0]})
	return nil
}

// model is the rig as model: its action says how many steps it remembers.
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

// pass lets so much time pass, with a turn of each loop at each of its deadlines. The policy's lie a quarter of the
// server's period after those of the server, as in the programs.
func (r *robotRig) pass(t testing.TB, d time.Duration) {
	const step = time.Second / robotPeriodsHz
	for end := r.now.NowNs() + int64(d); r.now.NowNs() < end; r.now.Advance(step) {
		now := time.Duration(r.now.NowNs())
		if now%r.halPeriod == 0 {
			r.hal.Turn(t.Context())
		}
		if now >= r.halPeriod/4 && (now-r.halPeriod/4)%r.policyPeriod == 0 {
			r.loop.Turn()
		}
	}
}

func TestThePolicyKeepsItsRateWhateverTheRateOfTheRobot(t *testing.T) {
	const run = 2 * time.Second
	for _, tt := range []struct {
		halHz, policyHz float64
		actions, notNew uint64
		period          time.Duration // Between the observations that are acted on.
	}{
		{halHz: 50, policyHz: 50, actions: 100, period: 20 * time.Millisecond},
		{halHz: 100, policyHz: 50, actions: 100, period: 20 * time.Millisecond},
		{halHz: 500, policyHz: 50, actions: 100, period: 20 * time.Millisecond},
		// A policy that is too fast acts at the rate of the robot: nothing new is no error, and no action.
		{halHz: 50, policyHz: 100, actions: 100, notNew: 100, period: 20 * time.Millisecond},
		{halHz: 100, policyHz: 500, actions: 200, notNew: 799, period: 10 * time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%v Hz on %v Hz", tt.policyHz, tt.halHz), func(t *testing.T) {
			r := newRobotRig(t, tt.halHz, tt.policyHz)
			r.pass(t, run)
			st := r.loop.Stats()
			want := map[runner.Cause]uint64{}
			if tt.notNew > 0 {
				want[runner.NotNew] = tt.notNew
			}
			if st.Actions != tt.actions || !reflect.DeepEqual(st.NoAction, want) || st.Ticks != tt.actions+tt.notNew {
				t.Errorf("%d ticks, %d actions, no action %v; want %d, %d and %v", st.Ticks, st.Actions, st.NoAction, tt.actions+tt.notNew, tt.actions, want)
			}
			// What builders keep, such as the last action and the history of parkour, goes on once an action.
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
			if c := r.client.Stats(); c.Observations != tt.actions || c.Sent != tt.actions || c.Skipped > skipped || c.Skipped+tt.actions < skipped || len(c.Refused) != 0 {
				t.Errorf("client = %+v, want %d observations read and answered, and about %d skipped", c, tt.actions, skipped)
			}
			// The last command comes after the server's last turn where the two are as fast.
			if s := r.hal.Stats(); s.Applied+1 < tt.actions || len(s.Refused) != 0 || s.Holds != 0 || s.Safety.State != safety.Active.String() {
				t.Errorf("server = %+v, want every command applied, and no hold", s)
			}
		})
	}
}

func TestARunInSimulatedTimeIsLikeTheOther(t *testing.T) {
	one, other := newRobotRig(t, 500, 50), newRobotRig(t, 500, 50)
	one.pass(t, time.Second)
	other.pass(t, time.Second)
	if len(one.targets) == 0 || !slices.Equal(one.targets, other.targets) || !slices.Equal(one.built, other.built) {
		t.Errorf("%d and %d writes, %d and %d inputs; want some, and all the same", len(one.targets), len(other.targets), len(one.built), len(other.built))
	}
}

func TestAFaultOfThePolicyEndsInTheSafeStateAndTheLoopGoesOn(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name    string
		cause   runner.Cause
		set     func(*robotRig)
		forgets bool // The policy begins anew afterwards.
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
			if st := r.loop.Stats(); st.Ticks != 100 || !reflect.DeepEqual(st.NoAction, map[runner.Cause]uint64{tt.cause: 50}) {
				t.Errorf("%d ticks, no action %v; want 100, half of them %s", st.Ticks, st.NoAction, tt.cause)
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

func TestATurnOfBothSidesDoesNotAllocate(t *testing.T) {
	r := newRobotRig(t, 50, 50)
	r.built, r.targets = make([]buildCall, 0, 1000), make([]float64, 0, 1000)
	ctx := t.Context()
	turn := func() {
		r.hal.Turn(ctx)
		r.loop.Turn()
		r.now.Advance(r.halPeriod)
	}
	for range 10 { // Memory is had when it is first needed.
		turn()
	}
	if n := testing.AllocsPerRun(200, turn); n != 0 {
		t.Errorf("%v allocations a turn of server, bus, client and loop, want 0", n)
	}
	if st := r.loop.Stats(); st.Actions != st.Ticks {
		t.Errorf("%d actions in %d ticks, want one each", st.Actions, st.Ticks)
	}
}
