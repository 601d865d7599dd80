package safety

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

func TestCommandsAreRefused(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	tests := []struct {
		name   string
		change func(*message.JointCommand)
		want   Cause
	}{
		{"another session", func(c *message.JointCommand) { c.SessionID++ }, Session},
		{"too few targets", func(c *message.JointCommand) { c.TargetRad = c.TargetRad[:11] }, Shape},
		{"no kp", func(c *message.JointCommand) { c.Kp = nil }, Shape},
		{"too many kd", func(c *message.JointCommand) { c.Kd = append(c.Kd, 0) }, Shape},
		{"too few feed-forward efforts", func(c *message.JointCommand) { c.FeedForwardNm = make([]float64, 11) }, Shape},
		{"a NaN feed-forward effort", func(c *message.JointCommand) { feedForward(c, 11, nan) }, NotFinite},
		{"an infinite feed-forward effort", func(c *message.JointCommand) { feedForward(c, 0, -inf) }, NotFinite},
		{"a NaN target", func(c *message.JointCommand) { c.TargetRad[4] = nan }, NotFinite},
		{"an infinite target", func(c *message.JointCommand) { c.TargetRad[4] = inf }, NotFinite},
		{"a NaN kp", func(c *message.JointCommand) { c.Kp[0] = nan }, NotFinite},
		{"an infinite kd", func(c *message.JointCommand) { c.Kd[11] = inf }, NotFinite},
		{"a negative kp", func(c *message.JointCommand) { c.Kp[0] = -1e-9 }, Gain},
		{"a negative kd", func(c *message.JointCommand) { c.Kd[0] = -1e-9 }, Gain},
		{"a kp above its bound", func(c *message.JointCommand) { c.Kp[11] = math.Nextafter(70, 71) }, Gain},
		{"a kd above its bound", func(c *message.JointCommand) { c.Kd[11] = math.Nextafter(1, 2) }, Gain},
		{"a target just above the range", func(c *message.JointCommand) { c.TargetRad[0] = math.Nextafter(0.863, 1) }, JointLimit},
		{"a target just below the range", func(c *message.JointCommand) { c.TargetRad[11] = math.Nextafter(-2.818, -3) }, JointLimit},
		{"a feed-forward effort just above its limit", func(c *message.JointCommand) { feedForward(c, 0, math.Nextafter(23.7, 24)) }, EffortLimit},
		{"a feed-forward effort just below its limit", func(c *message.JointCommand) { feedForward(c, 11, math.Nextafter(-35.55, -36)) }, EffortLimit},
		{"made in 1 ms and a bit", func(c *message.JointCommand) { c.MonotonicNs += ms + 1 }, Future},
		{"made at the end of time", func(c *message.JointCommand) { c.MonotonicNs = math.MaxInt64 }, Future},
		{"made 100 ms and a bit ago", func(c *message.JointCommand) { c.MonotonicNs -= 100*ms + 1 }, Stale},
		{"made at the beginning of time", func(c *message.JointCommand) { c.MonotonicNs, c.ExpiresNs = math.MinInt64, math.MaxInt64 }, Stale},
		{"expired just now", func(c *message.JointCommand) { c.ExpiresNs = c.MonotonicNs - 1 }, Expired},
		{"expired at the beginning of time", func(c *message.JointCommand) { c.ExpiresNs = math.MinInt64 }, Expired},
		{"an answer to nothing", func(c *message.JointCommand) { c.ObservationSequence = 0 }, ObservationUnknown},
		{"an answer to what is to come", func(c *message.JointCommand) { c.ObservationSequence++ }, ObservationUnknown},
		{"an answer to the last observation that there can be", func(c *message.JointCommand) { c.ObservationSequence = math.MaxUint64 }, ObservationUnknown},
		{"an answer to what was 201 ms ago", func(c *message.JointCommand) { c.ObservationSequence -= 201 }, ObservationOld},
		{"an answer to what is forgotten", func(c *message.JointCommand) { c.ObservationSequence -= history }, ObservationOld},

		{"the bounds of the range", func(c *message.JointCommand) { c.TargetRad[0], c.TargetRad[11] = 0.863, -2.818 }, ""},
		{"the bounds of the gains", func(c *message.JointCommand) { c.Kp[0], c.Kd[0], c.Kp[1], c.Kd[1] = 70, 1, 0, 0 }, ""},
		{"the bounds of the effort", func(c *message.JointCommand) { feedForward(c, 0, 23.7); c.FeedForwardNm[11] = -35.55 }, ""},
		{"made in 1 ms", func(c *message.JointCommand) { c.MonotonicNs += ms }, ""},
		{"made 100 ms ago", func(c *message.JointCommand) { c.MonotonicNs -= 100 * ms }, ""},
		{"expires now", func(c *message.JointCommand) { c.ExpiresNs = c.MonotonicNs }, ""},
		{"expires at the end of time", func(c *message.JointCommand) { c.ExpiresNs = math.MaxInt64 }, ""},
		{"an answer to what was 200 ms ago", func(c *message.JointCommand) { c.ObservationSequence -= 200 }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			for range history + 10 { // One observation a ms.
				r.tick(1)
			}
			if got := r.offer(tt.change); got != tt.want {
				t.Errorf("cause = %q, want %q", got, tt.want)
			}
			verdict := string(tt.want)
			if tt.want == "" {
				verdict = "accepted"
			}
			if got := r.gate.Report(r.nowNs); got.Verdict != verdict {
				t.Errorf("verdict = %q, want %q", got.Verdict, verdict)
			}
			if written := r.blind() != nil; written != (tt.want == "") {
				t.Errorf("written = %v", written)
			}
		})
	}
}

// feedForward gives c a feed-forward effort, 0 for every joint but one.
func feedForward(c *message.JointCommand, joint int, effortNm float64) {
	c.ResizeFeedForward(len(c.TargetRad))
	clear(c.FeedForwardNm)
	c.FeedForwardNm[joint] = effortNm
}

func TestAFeedForwardEffortIsWrittenWhileItsCommandIsWrittenAndNotWhenDamped(t *testing.T) {
	r := newRig(t)
	r.tick(0)
	r.offer(func(c *message.JointCommand) { feedForward(c, 3, -7) })
	for _, step := range []struct {
		ms    int64
		state State
		want  []float64
	}{
		{1, Active, []float64{0, 0, 0, -7, 0, 0, 0, 0, 0, 0, 0, 0}},
		{100, Hold, []float64{0, 0, 0, -7, 0, 0, 0, 0, 0, 0, 0, 0}},
		{500, Damp, nil},
	} {
		got := r.tick(step.ms).FeedForwardNm
		if r.gate.State() != step.state || !slices.Equal(got, step.want) {
			t.Errorf("in %v, a feed-forward effort of %v; want %v in %v", r.gate.State(), got, step.want, step.state)
		}
	}
	r.good()
	if got := r.tick(1).FeedForwardNm; len(got) != 0 {
		t.Errorf("after a command without one, a feed-forward effort of %v", got)
	}
}

func TestOlderCommandsAndTheSameAgainAreRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(*message.JointCommand)
		want   Cause
	}{
		{"the same again", func(c *message.JointCommand) { c.Sequence-- }, Superseded},
		{"older, of a later sequence", func(c *message.JointCommand) { c.MonotonicNs--; c.Sequence += 9 }, Superseded},
		{"as old, of an earlier sequence", func(c *message.JointCommand) { c.Sequence -= 2 }, Superseded},
		{"as old, of a later sequence", func(*message.JointCommand) {}, ""},
		{"newer, of a client that counts anew", func(c *message.JointCommand) { c.MonotonicNs++; c.Sequence = 1 }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.tick(0)
			r.command.Sequence = 10
			r.good()
			if got := r.offer(tt.change); got != tt.want {
				t.Errorf("cause = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestACommandIsInForceUntilItsExpiryOrItsAge(t *testing.T) {
	for name, tt := range map[string]struct{ madeMs, expiresMs, lastMs int64 }{
		"its expiry":     {0, 30, 30},
		"its age":        {0, math.MaxInt64 / ms, 100},
		"of one not new": {-60, math.MaxInt64 / ms, 40},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.tick(0)
			r.offer(func(c *message.JointCommand) {
				c.MonotonicNs += tt.madeMs * ms
				c.ExpiresNs = tt.expiresMs * ms
				if tt.expiresMs < 1000 {
					c.ExpiresNs += r.nowNs
				}
			})
			r.tick(tt.lastMs)
			if r.gate.State() != Active {
				t.Errorf("state %v, want active until %d ms", r.gate.State(), tt.lastMs)
			}
			r.nowNs++
			r.tick(0)
			if r.gate.State() != Hold {
				t.Errorf("state %v, want hold from then on", r.gate.State())
			}
			r.tick(500)
			if r.gate.State() != Damp {
				t.Errorf("state %v, want damp more than 500 ms after", r.gate.State())
			}
		})
	}
}

func TestAStalledLoopDoesNotLetTheTargetJump(t *testing.T) {
	r := newRig(t)
	r.tick(0)
	r.command.TargetRad[1] = 4 // From 0.9.
	r.offer(nil)
	r.tick(10)
	before := r.gate.output.TargetRad[1]
	r.tick(80)
	if got, most := r.gate.output.TargetRad[1]-before, 30.1*0.02; math.Abs(got-most) > 1e-9 {
		t.Errorf("after 80 ms the target moved by %v rad, want %v, that of 20 ms", got, most)
	}
	// Stalled for longer than any command lasts: from where the joint is now.
	r.measured.PositionRad[1] = 2
	r.nowNs += int64(time.Hour)
	r.observe()
	r.good()
	if got, want := r.blind().TargetRad[1], 2+30.1*0.02; math.Abs(got-want) > 1e-9 {
		t.Errorf("an hour later the target is %v rad, want %v: 20 ms from the joint's position", got, want)
	}
}

func TestAStartOutsideTheRangeIsAtItsBound(t *testing.T) {
	r := newRig(t)
	r.measured.PositionRad[0] = 1.0 // The range ends at 0.863.
	r.tick(0)
	r.command.TargetRad[0] = 0.863
	r.good()
	if got := r.blind().TargetRad[0]; got != 0.863 {
		t.Errorf("target = %v rad, want 0.863", got)
	}
}

func TestASlewFractionSlowsTheTarget(t *testing.T) {
	g1 := robot.Go1()
	r := newRig(t)
	config := Defaults(g1)
	config.SessionID, config.SlewFraction = session, 0.1
	var err error
	if r.gate, err = New(g1, config); err != nil {
		t.Fatal(err)
	}
	r.tick(0)
	r.command.TargetRad[2] = -0.9 // From -1.8, at 20.06 rad/s.
	r.good()
	if got, want := r.tick(10).TargetRad[2], -1.8+0.1*20.06*0.01; math.Abs(got-want) > 1e-12 {
		t.Errorf("target = %v rad, want %v", got, want)
	}
}

func TestAStopBeforeAnythingWasReadDampsAroundTheDefaultPose(t *testing.T) {
	r := newRig(t)
	r.gate.EStop("", r.nowNs)
	o := r.blind()
	if o == nil || o.Kp[0] != 0 || o.Kd[0] != 0.5 || o.TargetRad[1] != 0.9 {
		t.Errorf("written: %+v, want damping", o)
	}
	if got := r.gate.Report(r.nowNs); got.StoppedBy != "unnamed" {
		t.Errorf("stopped by %q, want unnamed", got.StoppedBy)
	}
	if err := r.gate.Reset(r.nowNs); err == nil || !strings.Contains(err.Error(), "has not been read") {
		t.Errorf("reset = %v, want it to be refused", err)
	}
}

func TestTheFirstFaultIsTheOneThatStopped(t *testing.T) {
	r := newRig(t)
	r.into(Active)
	r.gate.EStop("button", r.nowNs)
	r.gate.EStop("another", r.nowNs)
	r.nowNs += int64(time.Second)
	r.blind() // Unobserved, too.
	got := r.gate.Report(r.nowNs)
	if want := map[string]uint64{"button": 1}; got.StoppedBy != "button" || !reflect.DeepEqual(got.Trips, want) {
		t.Errorf("stopped by %q, trips %v; want button, %v", got.StoppedBy, got.Trips, want)
	}
}

func TestWhenTheRobotWasStoppedLastIsKnown(t *testing.T) {
	r := newRig(t)
	r.into(Active)
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"a fault", func() { r.nowNs += 501 * ms; r.blind() }},
		{"an e-stop of a robot that is stopped", func() { r.nowNs += ms; r.gate.EStop("button", r.nowNs) }},
		{"a clock that goes back", func() { r.nowNs -= 300 * ms; r.blind() }},
	} {
		step.do()
		if r.gate.State() != Stopped || r.gate.StoppedNs() != r.nowNs {
			t.Errorf("%s: %v at %d, want stopped at %d", step.name, r.gate.State(), r.gate.StoppedNs(), r.nowNs)
		}
	}
	stoppedNs := r.nowNs
	r.tick(1)
	if r.gate.StoppedNs() != stoppedNs {
		t.Errorf("a tick later it was stopped at %d, want %d", r.gate.StoppedNs(), stoppedNs)
	}
}

func TestAClockThatWentBackNeedsANewObservation(t *testing.T) {
	r := newRig(t)
	r.into(Active)
	r.nowNs -= 2 * ms
	r.blind()
	if by := r.gate.StoppedBy(); by != ClockBack {
		t.Fatalf("stopped by %q, want clock", by)
	}
	if err := r.gate.Reset(r.nowNs); err == nil {
		t.Error("reset without an observation on the new time")
	}
	r.tick(1)
	if err := r.gate.Reset(r.nowNs); err != nil {
		t.Error(err)
	}
	r.nowNs++
	r.good()
}

func TestObservationsThatDoNotCount(t *testing.T) {
	tests := []struct {
		name   string
		change func(*message.Observation)
		want   bool
	}{
		{"a new one", func(*message.Observation) {}, true},
		{"one that leaves some out", func(o *message.Observation) { o.Sequence += 5 }, true},
		{"one of 1 ms from now", func(o *message.Observation) { o.MonotonicNs += ms }, true},
		{"the last again", func(o *message.Observation) { o.Sequence-- }, false},
		{"one made before the last", func(o *message.Observation) { o.MonotonicNs -= ms + 1 }, false},
		{"one of the future", func(o *message.Observation) { o.MonotonicNs += ms + 1 }, false},
		{"a NaN", func(o *message.Observation) { o.PositionRad[11] = math.NaN() }, false},
		{"an infinity", func(o *message.Observation) { o.PositionRad[11] = math.Inf(-1) }, false},
		{"too few joints", func(o *message.Observation) { o.PositionRad = o.PositionRad[:11] }, false},
		{"too many joints", func(o *message.Observation) { o.PositionRad = append(o.PositionRad, 0) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.tick(0)
			r.nowNs += ms
			r.measured.Sequence++
			r.measured.MonotonicNs = r.nowNs
			tt.change(r.measured)
			if got := r.gate.Observe(r.measured, r.nowNs); got != tt.want {
				t.Errorf("Observe = %v, want %v", got, tt.want)
			}
		})
	}
}

// The whole life of a gate at both ends of time, where sums and differences of stamps overflow.
func TestTheEndsOfTime(t *testing.T) {
	for name, startNs := range map[string]int64{"the beginning": math.MinInt64, "before zero": -50 * ms, "the end": math.MaxInt64 - 800*ms} {
		t.Run(name, func(t *testing.T) {
			r := newRigAt(t, robot.Go1(), startNs)
			r.tick(0)
			r.good()
			r.tick(10)
			if r.gate.State() != Active {
				t.Errorf("state %v, want active", r.gate.State())
			}
			r.tick(91)
			if r.gate.State() != Hold {
				t.Errorf("state %v, want hold", r.gate.State())
			}
			r.tick(500)
			if r.gate.State() != Damp {
				t.Errorf("state %v, want damp", r.gate.State())
			}
			// Whatever a command claims, only one made now is accepted.
			for _, made := range []int64{math.MinInt64, math.MinInt64 + 1, -1, 0, 1, math.MaxInt64 - 1, math.MaxInt64} {
				if near := sub(made, r.nowNs); near > -101*ms && near < 2*ms {
					continue
				}
				if got := r.offer(func(c *message.JointCommand) { c.MonotonicNs, c.ExpiresNs = made, math.MaxInt64 }); got != Stale && got != Future {
					t.Errorf("a command made at %d was judged %q, want stale or future", made, got)
				}
			}
			r.good()
		})
	}
	r := newRigAt(t, robot.Go1(), math.MinInt64)
	r.into(Active)
	r.nowNs = math.MaxInt64
	if r.blind(); r.gate.State() != Stopped {
		t.Errorf("after all of time without an observation, the state is %v, want stopped", r.gate.State())
	}
}

func TestSumsAndDifferencesStopAtTheEnds(t *testing.T) {
	const lowest, highest = math.MinInt64, math.MaxInt64
	for _, tt := range []struct{ a, b, sum, difference int64 }{
		{5, 3, 8, 2}, {5, -3, 2, 8}, {-5, -3, -8, -2}, {0, 0, 0, 0},
		{highest, 1, highest, highest - 1}, {highest, -1, highest - 1, highest}, {highest, highest, highest, 0},
		{lowest, -1, lowest, lowest + 1}, {lowest, 1, lowest + 1, lowest}, {lowest, lowest, lowest, 0},
		{highest, lowest, -1, highest}, {lowest, highest, -1, lowest}, {0, lowest, lowest, highest}, {-1, lowest, lowest, highest},
		{-2, highest, highest - 2, lowest},
	} {
		if got := add(tt.a, tt.b); got != tt.sum {
			t.Errorf("add(%d, %d) = %d, want %d", tt.a, tt.b, got, tt.sum)
		}
		if got := sub(tt.a, tt.b); got != tt.difference {
			t.Errorf("sub(%d, %d) = %d, want %d", tt.a, tt.b, got, tt.difference)
		}
	}
}

func TestTheReportSaysHowLongAndHowOften(t *testing.T) {
	r := newRig(t)
	r.into(Damp) // 20 ms active, in which no target was reached; 90 ms to the hold; 500 ms.
	r.nowNs += 40 * ms
	r.gate.EStop("button", r.nowNs)
	r.nowNs += 1000 * ms
	if r.gate.Reset(r.nowNs) == nil {
		t.Error("reset of a robot that is not read")
	}
	want := Report{
		State: "stopped", TimeS: map[string]float64{"active": 0.11, "hold": 0.5, "damp": 0.04, "stopped": 1.5},
		Verdict: "accepted", SlewLimited: 2, StoppedBy: "button",
		Trips: map[string]uint64{"button": 1}, ResetsRefused: map[string]uint64{"unobserved": 1},
	}
	if got := r.gate.Report(r.nowNs + 500*ms); !reflect.DeepEqual(got, want) {
		t.Errorf("report = %+v, want %+v", got, want)
	}
}

func TestConfigurationsThatMakeNoSenseAreRefused(t *testing.T) {
	tests := []struct {
		change func(*Config, *robot.Robot)
		want   string
	}{
		{func(c *Config, _ *robot.Robot) { c.MaxCommandAge = 0 }, "MaxCommandAge: found 0s, expected more than 0"},
		{func(c *Config, _ *robot.Robot) { c.MaxObservationAge = -1 }, "MaxObservationAge: found -1ns"},
		{func(c *Config, _ *robot.Robot) { c.DampAfter = 0 }, "DampAfter: found 0s"},
		{func(c *Config, _ *robot.Robot) { c.StopObservationAge = 0 }, "StopObservationAge: found 0s"},
		{func(c *Config, _ *robot.Robot) { c.StopObservationAge = ns(199) }, "StopObservationAge: found 199ms, expected at least MaxObservationAge, 200ms"},
		{func(c *Config, _ *robot.Robot) { c.MaxStep = 0 }, "MaxStep: found 0s"},
		{func(c *Config, _ *robot.Robot) { c.StopMarginRad = math.NaN() }, "StopMarginRad: found NaN"},
		{func(c *Config, _ *robot.Robot) { c.StopMarginRad = math.Inf(1) }, "StopMarginRad: found +Inf"},
		{func(c *Config, _ *robot.Robot) { c.MaxWriteFailures = -1 }, "MaxWriteFailures: found -1"},
		{func(c *Config, _ *robot.Robot) { c.SlewFraction = 0 }, "SlewFraction: found 0"},
		{func(c *Config, _ *robot.Robot) { c.SlewFraction = 1.1 }, "SlewFraction: found 1.1"},
		{func(c *Config, _ *robot.Robot) { c.SlewFraction = math.NaN() }, "SlewFraction: found NaN"},
		{func(c *Config, _ *robot.Robot) { c.MaxKp = nil }, "MaxKp: found 0 values, expected 12"},
		{func(c *Config, _ *robot.Robot) { c.MaxKd[3] = math.Inf(1) }, "MaxKd[3]: found +Inf"},
		{func(c *Config, _ *robot.Robot) { c.DampKd[3] = 0 }, "DampKd[3]: found 0"},
		{func(c *Config, _ *robot.Robot) { c.DampKd[3] = 1.5 }, "DampKd[3]: found 1.5, expected at most MaxKd, 1"},
		{func(_ *Config, r *robot.Robot) { r.DefaultPoseRad = nil }, "robot go1: found a default pose of 0 values, expected 12"},
		{func(_ *Config, r *robot.Robot) { r.Joints[1].UpperRad = math.NaN() }, "joint FR_thigh_joint: found a range of -0.686 to NaN rad"},
		{func(_ *Config, r *robot.Robot) { r.Joints[1].LowerRad = math.Inf(-1) }, "joint FR_thigh_joint: found a range of -Inf to 4.501 rad"},
		{func(_ *Config, r *robot.Robot) { r.DefaultPoseRad[0] = 2 }, "joint FR_hip_joint: found a range of -0.863 to 0.863 rad, expected a finite one around the default pose, 2 rad"},
		{func(_ *Config, r *robot.Robot) { r.Joints[2].VelocityLimitRadPerSec = 0 }, "joint FR_calf_joint: found a velocity limit of 0 rad/s"},
		{func(_ *Config, r *robot.Robot) { r.Joints[2].EffortLimitNm = 0 }, "joint FR_calf_joint: found an effort limit of 0 N·m"},
		{func(_ *Config, r *robot.Robot) { r.Joints[2].EffortLimitNm = math.NaN() }, "found an effort limit of NaN N·m"},
		{func(_ *Config, r *robot.Robot) { r.Joints[2].VelocityLimitRadPerSec = math.Inf(1) }, "found a velocity limit of +Inf rad/s"},
	}
	for _, tt := range tests {
		r := robot.Go1()
		config := Defaults(r)
		tt.change(&config, r)
		if _, err := New(r, config); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error = %v, want %q in it", err, tt.want)
		}
	}
}

func ns(milliseconds int64) time.Duration { return time.Duration(milliseconds * ms) }

func TestEveryKnownRobotHasAGate(t *testing.T) {
	for _, name := range robot.Names() {
		r, err := robot.ByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(r, Defaults(r)); err != nil {
			t.Error(err)
		}
	}
}

func TestNothingAllocates(t *testing.T) {
	r := newRig(t)
	r.tick(0)
	c := message.NewJointCommand(r.robot)
	c.SessionID, c.ExpiresNs = session, math.MaxInt64
	feedForward(c, 0, 1)
	for _, state := range []State{Active, Hold, Damp, Stopped} {
		if n := testing.AllocsPerRun(100, func() {
			r.tick(1)
			if state == Active {
				c.Sequence, c.ObservationSequence, c.MonotonicNs = c.Sequence+1, r.measured.Sequence, r.nowNs
				r.gate.Offer(c, r.nowNs)
				r.tick(1)
			} else {
				r.gate.Offer(c, r.nowNs) // Refused.
			}
		}); n != 0 {
			t.Errorf("%v allocations a tick in state %v, want 0", n, state)
		}
		if r.gate.State() != state {
			t.Errorf("state %v, want %v", r.gate.State(), state)
		}
		switch state {
		case Active:
			r.tick(101)
		case Hold:
			r.tick(501)
		case Damp:
			r.gate.EStop("test", r.nowNs)
		}
	}
}
