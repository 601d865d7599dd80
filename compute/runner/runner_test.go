package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/wire"
)

// rig is a loop with a fake link, builder and model.
type rig struct {
	runner *Runner

	fresh   bool // A new observation is available.
	session uint64
	age     time.Duration
	pollErr error
	sent    []message.JointCommand
	sendErr error

	lastActions [][]float32 // As given to Build.
	buildErr    error
	input       []float32
	output      []float32
	infer       func() error
	resets      int
}

func (r *rig) Poll(o *message.Observation) (time.Duration, error) {
	if r.pollErr != nil {
		return 0, r.pollErr
	}
	if !r.fresh {
		return 0, client.ErrNoObservation
	}
	r.fresh = false
	o.Sequence++
	o.SessionID = r.session
	return r.age, nil
}

func (r *rig) Send(c *message.JointCommand) error {
	if r.sendErr != nil {
		return r.sendErr
	}
	var kept message.JointCommand
	kept.CopyFrom(c)
	r.sent = append(r.sent, kept)
	return nil
}

func (r *rig) Build(dst []float32, _ *message.Observation, _ message.NavigationCommand, lastAction []float32) error {
	r.lastActions = append(r.lastActions, slices.Clone(lastAction))
	return r.buildErr
}

func (r *rig) Reset()            { r.resets++ }
func (r *rig) Input() []float32  { return r.input }
func (r *rig) Output() []float32 { return r.output }
func (r *rig) Run() error {
	if r.infer != nil {
		return r.infer()
	}
	return nil
}

func testPolicy() *policy.Policy {
	g := robot.Go1()
	return &policy.Policy{
		Robot: g,
		Manifest: policy.Manifest{
			DefaultPoseRad: g.DefaultPoseRad, Action: policy.Action{Scale: policy.Numbers{0.5}}, ControlRateHz: 50,
			Observation: policy.Observation{Size: 48},
		},
	}
}

// play runs test with a loop in a bubble of virtual time, after a first step without an observation.
func play(t *testing.T, test func(t *testing.T, r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.wait(1)
		test(t, r)
	})
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{session: 1, input: make([]float32, 48), output: make([]float32, 12)}
	var err error
	if r.runner, err = New(testPolicy(), r, r, r); err != nil {
		t.Fatal(err)
	}
	return r
}

// run runs the loop by the time of the bubble.
func (r *rig) run(ctx context.Context) {
	r.runner.run(ctx, clock.NewPacer(20*time.Millisecond, clock.WithSleep(func(until time.Time) { time.Sleep(time.Until(until)) })))
}

// tick runs one step with a new observation.
func (r *rig) tick() {
	r.fresh = true
	r.wait(1)
}

// wait runs n steps, 20 ms apart.
func (r *rig) wait(ticks int) {
	for range ticks {
		r.runner.step(0)
		time.Sleep(20 * time.Millisecond)
	}
}

func TestStep_oneActionPerObservation(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		for i := range 10 {
			r.output[0] = float32(i) / 100
			r.tick()
			r.wait(1) // No new observation.
		}
		if len(r.sent) != 10 {
			t.Fatalf("%d commands for 10 observations", len(r.sent))
		}
		for i, c := range r.sent {
			if c.ObservationSequence != uint64(i+1) {
				t.Errorf("command %d answers observation %d, want %d", i, c.ObservationSequence, i+1)
			}
			if want := 0.1 + 0.5*float64(float32(i)/100); c.TargetRad[0] != want || c.TargetRad[2] != -1.8 || c.Kp[0] != 35 || c.Kd[0] != 0.5 {
				t.Errorf("command %d = %+v, want first target %v", i, c, want)
			}
		}
		st := r.runner.Stats()
		want := map[SkipReason]uint64{NoObservation: 1, NotNew: 10}
		if st.Steps != 21 || st.ObservationsRead != 10 || st.Actions != 10 || !maps.Equal(st.Skipped, want) || st.MissedDeadlines != 0 {
			t.Errorf("stats = %+v, want 21 ticks, 10 observations, 10 actions, no action %v", st, want)
		}
		if st.Action.Distinct != 10 || !st.Action.Finite || st.Action.Min != 0 || st.Action.Max != 0.09 || st.Action.First[0] != 0 || st.Action.Last[0] != 0.09 {
			t.Errorf("action summary = %+v", st.Action)
		}
		if st.RateHz != 50 {
			t.Errorf("rate = %v Hz, want 50", st.RateHz)
		}
	})
}

func TestStep_skipReasons(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		cause SkipReason
		set   func(*rig)
		unset func(*rig)
		read  uint64 // Observations read without an action.
	}{
		{Malformed, func(r *rig) { r.pollErr = wire.RejectChecksum }, func(r *rig) { r.pollErr = nil }, 0},
		{Malformed, func(r *rig) { r.pollErr = client.ErrOutdated }, func(r *rig) { r.pollErr = nil }, 0},
		{Invalid, func(r *rig) { r.pollErr = &message.FieldError{} }, func(r *rig) { r.pollErr = nil }, 0},
		{UnknownTime, func(r *rig) { r.pollErr = fmt.Errorf("%w: not yet", client.ErrClock) }, func(r *rig) { r.pollErr = nil }, 0},
		{UnknownTime, func(r *rig) { r.sendErr = fmt.Errorf("%w: no longer", client.ErrClock) }, func(r *rig) { r.sendErr = nil }, 1},
		{Transport, func(r *rig) { r.pollErr = broken }, func(r *rig) { r.pollErr = nil }, 0},
		{Stale, func(r *rig) { r.age = 101 * time.Millisecond }, func(r *rig) { r.age = 100 * time.Millisecond }, 1},
		{Stale, func(r *rig) { r.age = -2 * time.Millisecond }, func(r *rig) { r.age = -time.Millisecond }, 1},
		{Stale, func(r *rig) { r.age = math.MinInt64 }, func(r *rig) { r.age = 0 }, 1},
		{BuildFailed, func(r *rig) { r.buildErr = broken }, func(r *rig) { r.buildErr = nil }, 1},
		{InferenceFailed, func(r *rig) { r.infer = func() error { return broken } }, func(r *rig) { r.infer = nil }, 1},
		{Panicked, func(r *rig) { r.infer = func() error { panic("oops") } }, func(r *rig) { r.infer = nil }, 1},
		{NotFinite, func(r *rig) { r.output[11] = float32(math.NaN()) }, func(r *rig) { r.output[11] = 0 }, 1},
		{NotFinite, func(r *rig) { r.output[0] = float32(math.Inf(-1)) }, func(r *rig) { r.output[0] = 0 }, 1},
		{SendFailed, func(r *rig) { r.sendErr = broken }, func(r *rig) { r.sendErr = nil }, 1},
	}
	for _, tt := range tests {
		t.Run(string(tt.cause), func(t *testing.T) {
			play(t, func(t *testing.T, r *rig) {
				tt.set(r)
				r.tick()
				if len(r.sent) != 0 {
					t.Errorf("%d commands sent, want none", len(r.sent))
				}
				tt.unset(r)
				r.tick()
				if len(r.sent) != 1 {
					t.Errorf("%d commands sent once all is well, want 1", len(r.sent))
				}
				st := r.runner.Stats()
				want := map[SkipReason]uint64{NoObservation: 1, tt.cause: 1}
				if !maps.Equal(st.Skipped, want) || st.ObservationsRead != tt.read+1 || st.Actions != 1 {
					t.Errorf("stats = %+v, want no action %v, %d observations read, 1 action", st, want, tt.read+1)
				}
				if finite := tt.cause != NotFinite; st.Action.Finite != finite {
					t.Errorf("finite = %v, want %v", st.Action.Finite, finite)
				}
			})
		})
	}
}

func TestStep_targetsClipped(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.output[0], r.output[2] = 100, -100
		r.tick()
		if got := r.sent[0].TargetRad; got[0] != 0.863 || got[2] != -2.818 || got[1] != 0.9 {
			t.Errorf("targets = %v, want the limits 0.863 and -2.818 for the first and third", got)
		}
		if st := r.runner.Stats(); st.Clipped != 1 || st.Action.Max != 100 {
			t.Errorf("%d clipped, largest action %v; want 1 and 100: the policy's own", st.Clipped, st.Action.Max)
		}
	})
}

func TestStep_lastActionOfSession(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.output[0] = 1
		r.tick()
		r.output[0], r.sendErr = 2, errors.New("broken")
		r.tick()
		r.output[0], r.sendErr = 3, nil
		r.tick()
		r.tick()
		r.session = 2
		r.tick()
		var got []float32
		for _, last := range r.lastActions {
			got = append(got, last[0])
		}
		if want := []float32{0, 1, 1, 3, 0}; !slices.Equal(got, want) {
			t.Errorf("last actions = %v, want %v", got, want)
		}
		if r.resets != 4 {
			t.Errorf("builder and model were made to forget %d times, want 4: each once in each session", r.resets)
		}
	})
}

func TestStep_resetAfterFault(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name    string
		set     func(*rig)
		forgets bool
	}{
		{"a panic", func(r *rig) { r.infer = func() error { panic("oops") } }, true},
		{"an error of the model", func(r *rig) { r.infer = func() error { return broken } }, true},
		{"an output that is not finite", func(r *rig) { r.output[11] = float32(math.NaN()) }, true},
		{"an input that cannot be built", func(r *rig) { r.buildErr = broken }, false},
		{"a command that cannot be sent", func(r *rig) { r.sendErr = broken }, false},
		{"a stale observation", func(r *rig) { r.age = time.Second }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, func(t *testing.T, r *rig) {
				r.output[0] = 1
				r.tick()
				tt.set(r)
				for range 3 {
					r.tick()
				}
				r.infer, r.buildErr, r.sendErr, r.age, r.output[11] = nil, nil, nil, 0, 0
				before := r.resets
				r.lastActions = nil
				r.tick()
				r.tick()
				last, want, resets := []float32{r.lastActions[0][0], r.lastActions[1][0]}, []float32{1, 1}, 0
				if tt.forgets {
					want, resets = []float32{0, 1}, 2
				}
				if !slices.Equal(last, want) || r.resets-before != resets {
					t.Errorf("last actions after it %v and %d resets, want %v and %d", last, r.resets-before, want, resets)
				}
			})
		})
	}
}

func TestStep_alwaysPanicking(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.infer = func() error { panic("oops") }
		for range 100 {
			r.tick()
		}
		st := r.runner.Stats()
		if len(r.sent) != 0 || st.Skipped[Panicked] != 100 || st.Steps != 101 {
			t.Errorf("%d commands, stats %+v; want none and 100 panics", len(r.sent), st)
		}
		if r.resets != 200 {
			t.Errorf("%d resets, want one of builder and model before each step", r.resets)
		}
	})
}

func TestRun_missedDeadlinesLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var log bytes.Buffer
		r.runner.log = slog.New(slog.NewTextHandler(&log, nil))
		r.fresh = true
		slow := 0
		r.runner.link = pollFunc{r, func() {
			r.fresh = true
			if slow++; slow <= 75 { // For 75 steps, which take 3 s: each misses its own and one more deadline.
				time.Sleep(41 * time.Millisecond)
			}
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		r.run(ctx)
		var counts []int
		sum := 0
		for _, line := range strings.Split(log.String(), "\n") {
			if _, number, ok := strings.Cut(line, `msg="missed deadlines" count=`); ok {
				n, err := strconv.Atoi(number)
				if err != nil {
					t.Fatal(err)
				}
				counts = append(counts, n)
				sum += n
			}
		}
		if missed := r.runner.Stats().MissedDeadlines; len(counts) > 5 || len(counts) < 3 || counts[0] != 2 || uint64(sum) != missed || missed < 150 {
			t.Errorf("logged %v, want 3 to 5 lines, the first of 2, that add up to the %d missed", counts, missed)
		}
	})
}

// pollFunc is a link that calls a function at each poll.
type pollFunc struct {
	*rig
	do func()
}

func (p pollFunc) Poll(o *message.Observation) (time.Duration, error) {
	p.do()
	return p.rig.Poll(o)
}

func TestRun_untilContextDone(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	r.runner.Run(ctx)
	// A busy machine runs fewer steps, never more.
	if st, most := r.runner.Stats(), uint64(time.Since(start)/(20*time.Millisecond))+1; st.Steps == 0 || st.Steps > most {
		t.Errorf("%d ticks, want 1 to %d", st.Steps, most)
	}
}

func TestRun_keepsDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.fresh = true
		r.infer = func() error { time.Sleep(25 * time.Millisecond); return nil } // More than a period, once.
		ctx, cancel := context.WithTimeout(t.Context(), 990*time.Millisecond)
		defer cancel()
		r.run(ctx)
		st := r.runner.Stats()
		if st.MissedDeadlines != 1 {
			t.Errorf("%d missed deadlines, want 1", st.MissedDeadlines)
		}
		if st.Steps != 50 || math.Abs(st.RateHz-50) > 1e-9 {
			t.Errorf("%d ticks at %v Hz in 990 ms, want 50 at 50", st.Steps, st.RateHz)
		}
		if got := st.StepLatency.P50; math.Abs(got-25000) > 25 {
			t.Errorf("median step latency = %v µs, want 25000", got)
		}
	})
}

func TestStats_json(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		content, err := json.Marshal(r.runner.Stats())
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`"steps":1`, `"skipped":{"no_observation":1}`, `"step_latency_us":{"p50":0,`, `"first":[]`, `"rate_measured_hz":0`} {
			if !strings.Contains(string(content), want) {
				t.Errorf("JSON = %s, want %s in it", content, want)
			}
		}
	})
}

func TestStep_doesNotAllocate(t *testing.T) {
	r := &rig{session: 1, input: make([]float32, 48), output: make([]float32, 12)}
	loop, err := New(testPolicy(), r, builderFunc(func([]float32) {}), r)
	if err != nil {
		t.Fatal(err)
	}
	loop.link = quietLink{r}
	if n := testing.AllocsPerRun(100, func() {
		r.fresh = true
		loop.step(0)
	}); n != 0 {
		t.Errorf("%v allocations a tick, want 0", n)
	}
	if st := loop.Stats(); st.Actions == 0 || st.Actions != st.Steps {
		t.Errorf("%d actions in %d ticks, want one each", st.Actions, st.Steps)
	}
}

// quietLink is a link that stores nothing.
type quietLink struct{ *rig }

func (quietLink) Send(*message.JointCommand) error { return nil }

type builderFunc func([]float32)

func (f builderFunc) Build(dst []float32, _ *message.Observation, _ message.NavigationCommand, _ []float32) error {
	f(dst)
	return nil
}

func (builderFunc) Reset() {}

func TestNew_invalid(t *testing.T) {
	tests := []struct {
		name          string
		input, output int
		opt           Option
		want          string
	}{
		{"input", 47, 12, nil, "model input of 47 values: expected 48"},
		{"output", 48, 18, nil, "model output of 18 values: expected 12"},
		{"rate", 48, 12, WithRate(0), "rate of 0 Hz"},
		{"age", 48, 12, WithMaxObservationAge(-1), "observation age of -1ns"},
		{"command", 48, 12, WithCommand(message.NavigationCommand{VxMps: math.NaN()}), "vx_mps: found NaN"},
	}
	for _, tt := range tests {
		r := &rig{input: make([]float32, tt.input), output: make([]float32, tt.output)}
		var opts []Option
		if tt.opt != nil {
			opts = append(opts, tt.opt)
		}
		if _, err := New(testPolicy(), r, r, r, opts...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error = %v, want %q in it", tt.name, err, tt.want)
		}
	}
}

func TestStep(t *testing.T) {
	r := newRig(t)
	r.output[0] = 0.1
	for want := range 3 {
		if got := r.runner.Stats().Actions; got != uint64(want) || len(r.sent) != want {
			t.Errorf("%d actions and %d commands after %d turns", got, len(r.sent), want)
		}
		r.fresh = true
		r.runner.Step()
	}
}

func TestWithObserver_actionsOnly(t *testing.T) {
	r := newRig(t)
	var told [][]float32 // Input, action, and the last action as Build got it.
	WithObserver(func(o *message.Observation, command message.NavigationCommand, input, action []float32) {
		if o.SessionID != 1 || command.VxMps != 0.5 {
			t.Errorf("session %d, command %+v, want those of the step", o.SessionID, command)
		}
		told = append(told, []float32{input[0], action[0], r.lastActions[len(r.lastActions)-1][0]})
	})(r.runner)
	r.runner.navigation.VxMps = 0.5
	for step, fault := range []error{nil, errors.New("full"), nil} {
		r.fresh, r.sendErr = true, fault
		r.input[0], r.output[0] = float32(step), float32(10+step)
		r.runner.Step()
	}
	if want := [][]float32{{0, 10, 0}, {2, 12, 10}}; !reflect.DeepEqual(told, want) {
		t.Errorf("told of %v, want %v: a command that was not sent is no action", told, want)
	}
}

func TestRunner_commandsHaveGainsOfPolicy(t *testing.T) {
	p := testPolicy()
	kp := slices.Repeat(policy.Numbers{15.875, 15.875, 35.75}, 4)
	p.Gains = policy.Gains{Kp: kp, Kd: policy.Numbers{1.5}}
	synctest.Test(t, func(t *testing.T) {
		r := &rig{session: 1, input: make([]float32, 48), output: make([]float32, 12)}
		var err error
		if r.runner, err = New(p, r, r, r); err != nil {
			t.Fatal(err)
		}
		r.tick()
		r.tick()
		if len(r.sent) != 2 {
			t.Fatalf("%d commands, want 2", len(r.sent))
		}
		for _, sent := range r.sent {
			if !slices.Equal(sent.Kp, kp) || !slices.Equal(sent.Kd, slices.Repeat([]float64{1.5}, 12)) {
				t.Errorf("gains = %v and %v, want the policy's", sent.Kp, sent.Kd)
			}
		}
	})
}

func TestRunner_resetClearsSmoothing(t *testing.T) {
	p := testPolicy()
	p.Action.Smoothing = 0.5
	synctest.Test(t, func(t *testing.T) {
		r := &rig{session: 1, input: make([]float32, 48), output: make([]float32, 12)}
		var err error
		if r.runner, err = New(p, r, r, r); err != nil {
			t.Fatal(err)
		}
		r.output[0] = 0.4
		for _, want := range []float64{0.2, 0.3, 0.2} {
			if want == 0.2 {
				r.session++
			}
			r.tick()
			if got := r.sent[len(r.sent)-1].TargetRad[0] - p.DefaultPoseRad[0]; math.Abs(got-0.5*want) > 1e-7 {
				t.Errorf("target moved by %v rad, want %v", got, 0.5*want)
			}
		}
	})
}
