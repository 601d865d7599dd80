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

var offerTests = []struct {
	name   string
	change func(*message.JointCommand)
	want   RejectReason
}{
	{"other session", func(c *message.JointCommand) { c.SessionID++ }, RejectSession},
	{"too few targets", func(c *message.JointCommand) { c.TargetRad = c.TargetRad[:11] }, RejectShape},
	{"no kp", func(c *message.JointCommand) { c.Kp = nil }, RejectShape},
	{"too many kd", func(c *message.JointCommand) { c.Kd = append(c.Kd, 0) }, RejectShape},
	{"too few feed-forward efforts", func(c *message.JointCommand) { c.FeedForwardNm = make([]float64, 11) }, RejectShape},
	{"NaN feed-forward effort", func(c *message.JointCommand) { feedForward(c, 11, math.NaN()) }, RejectNotFinite},
	{"infinite feed-forward effort", func(c *message.JointCommand) { feedForward(c, 0, math.Inf(-1)) }, RejectNotFinite},
	{"NaN target", func(c *message.JointCommand) { c.TargetRad[4] = math.NaN() }, RejectNotFinite},
	{"infinite target", func(c *message.JointCommand) { c.TargetRad[4] = math.Inf(1) }, RejectNotFinite},
	{"NaN kp", func(c *message.JointCommand) { c.Kp[0] = math.NaN() }, RejectNotFinite},
	{"infinite kd", func(c *message.JointCommand) { c.Kd[11] = math.Inf(1) }, RejectNotFinite},
	{"negative kp", func(c *message.JointCommand) { c.Kp[0] = -1e-9 }, RejectGain},
	{"negative kd", func(c *message.JointCommand) { c.Kd[0] = -1e-9 }, RejectGain},
	{"kp above bound", func(c *message.JointCommand) { c.Kp[11] = math.Nextafter(70, 71) }, RejectGain},
	{"kd above bound", func(c *message.JointCommand) { c.Kd[11] = math.Nextafter(1, 2) }, RejectGain},
	{"target just above range", func(c *message.JointCommand) { c.TargetRad[0] = math.Nextafter(0.863, 1) }, RejectJointLimit},
	{"target just below range", func(c *message.JointCommand) { c.TargetRad[11] = math.Nextafter(-2.818, -3) }, RejectJointLimit},
	{"feed-forward effort just above limit", func(c *message.JointCommand) { feedForward(c, 0, math.Nextafter(23.7, 24)) }, RejectEffortLimit},
	{"feed-forward effort just below limit", func(c *message.JointCommand) { feedForward(c, 11, math.Nextafter(-35.55, -36)) }, RejectEffortLimit},
	{"more than 1 ms in the future", func(c *message.JointCommand) { c.MonotonicNs += ms + 1 }, RejectFuture},
	{"maximum time", func(c *message.JointCommand) { c.MonotonicNs = math.MaxInt64 }, RejectFuture},
	{"more than 100 ms old", func(c *message.JointCommand) { c.MonotonicNs -= 100*ms + 1 }, RejectStale},
	{"minimum time", func(c *message.JointCommand) { c.MonotonicNs, c.ExpiresNs = math.MinInt64, math.MaxInt64 }, RejectStale},
	{"just expired", func(c *message.JointCommand) { c.ExpiresNs = c.MonotonicNs - 1 }, RejectExpired},
	{"minimum expiry", func(c *message.JointCommand) { c.ExpiresNs = math.MinInt64 }, RejectExpired},
	{"no observation", func(c *message.JointCommand) { c.ObservationSequence = 0 }, RejectObservationUnknown},
	{"next observation", func(c *message.JointCommand) { c.ObservationSequence++ }, RejectObservationUnknown},
	{"maximum observation", func(c *message.JointCommand) { c.ObservationSequence = math.MaxUint64 }, RejectObservationUnknown},
	{"observation 201 ms old", func(c *message.JointCommand) { c.ObservationSequence -= 201 }, RejectObservationOld},
	{"observation before history", func(c *message.JointCommand) { c.ObservationSequence -= historyLength }, RejectObservationOld},

	{"bounds of range", func(c *message.JointCommand) { c.TargetRad[0], c.TargetRad[11] = 0.863, -2.818 }, ""},
	{"bounds of gains", func(c *message.JointCommand) { c.Kp[0], c.Kd[0], c.Kp[1], c.Kd[1] = 70, 1, 0, 0 }, ""},
	{"bounds of effort", func(c *message.JointCommand) { feedForward(c, 0, 23.7); c.FeedForwardNm[11] = -35.55 }, ""},
	{"1 ms in the future", func(c *message.JointCommand) { c.MonotonicNs += ms }, ""},
	{"100 ms old", func(c *message.JointCommand) { c.MonotonicNs -= 100 * ms }, ""},
	{"expires now", func(c *message.JointCommand) { c.ExpiresNs = c.MonotonicNs }, ""},
	{"maximum expiry", func(c *message.JointCommand) { c.ExpiresNs = math.MaxInt64 }, ""},
	{"observation 200 ms old", func(c *message.JointCommand) { c.ObservationSequence -= 200 }, ""},
}

func TestOffer(t *testing.T) {
	for _, tt := range offerTests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			for range historyLength + 10 { // One observation a ms.
				r.tick(1)
			}
			if got := r.offer(tt.change); got != tt.want {
				t.Errorf("reason = %q, want %q", got, tt.want)
			}
			verdict := string(tt.want)
			if tt.want == "" {
				verdict = "accepted"
			}
			if got := r.gate.Report(r.nowNs); got.Verdict != verdict {
				t.Errorf("verdict = %q, want %q", got.Verdict, verdict)
			}
			if output := r.tickUnobserved(); (output != nil) != (tt.want == "") {
				t.Errorf("output = %+v", output)
			}
		})
	}
}

// feedForward sets the feed-forward effort of c: effortNm for one joint, 0 for the others.
func feedForward(c *message.JointCommand, joint int, effortNm float64) {
	c.ResizeFeedForward(len(c.TargetRad))
	clear(c.FeedForwardNm)
	c.FeedForwardNm[joint] = effortNm
}

func TestTick_feedForwardEffort(t *testing.T) {
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
			t.Errorf("feed-forward effort in %v = %v, want %v in %v", r.gate.State(), got, step.want, step.state)
		}
	}
	r.offerValid()
	if got := r.tick(1).FeedForwardNm; len(got) != 0 {
		t.Errorf("feed-forward effort after a command without one = %v, want none", got)
	}
}

func TestOffer_superseded(t *testing.T) {
	tests := []struct {
		name   string
		change func(*message.JointCommand)
		want   RejectReason
	}{
		{"same command", func(c *message.JointCommand) { c.Sequence-- }, RejectSuperseded},
		{"older, later sequence", func(c *message.JointCommand) { c.MonotonicNs--; c.Sequence += 9 }, RejectSuperseded},
		{"same time, earlier sequence", func(c *message.JointCommand) { c.Sequence -= 2 }, RejectSuperseded},
		{"same time, later sequence", func(*message.JointCommand) {}, ""},
		{"newer, sequence restarted", func(c *message.JointCommand) { c.MonotonicNs++; c.Sequence = 1 }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.tick(0)
			r.command.Sequence = 10
			r.offerValid()
			if got := r.offer(tt.change); got != tt.want {
				t.Errorf("reason = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTick_commandExpires(t *testing.T) {
	for name, tt := range map[string]struct{ madeMs, expiresMs, lastMs int64 }{
		"expiry":             {0, 30, 30},
		"age":                {0, math.MaxInt64 / ms, 100},
		"age of old command": {-60, math.MaxInt64 / ms, 40},
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
				t.Errorf("state after %d ms = %v, want active", tt.lastMs, r.gate.State())
			}
			r.nowNs++
			r.tick(0)
			if r.gate.State() != Hold {
				t.Errorf("state 1 ns later = %v, want hold", r.gate.State())
			}
			r.tick(500)
			if r.gate.State() != Damp {
				t.Errorf("state 500 ms later = %v, want damp", r.gate.State())
			}
		})
	}
}

func TestTick_stalledLoop(t *testing.T) {
	r := newRig(t)
	r.tick(0)
	r.command.TargetRad[1] = 4 // From 0.9.
	r.offer(nil)
	r.tick(10)
	before := r.gate.output.TargetRad[1]
	r.tick(80)
	if got, most := r.gate.output.TargetRad[1]-before, 30.1*0.02; math.Abs(got-most) > 1e-9 {
		t.Errorf("the target moved by %v rad after 80 ms, want %v, as after 20 ms", got, most)
	}
	// After a stall that is longer than any command is valid, the target starts at the measured position.
	r.measured.PositionRad[1] = 2
	r.nowNs += int64(time.Hour)
	r.observe()
	r.offerValid()
	if got, want := r.tickUnobserved().TargetRad[1], 2+30.1*0.02; math.Abs(got-want) > 1e-9 {
		t.Errorf("target an hour later = %v rad, want %v: 20 ms from the measured position", got, want)
	}
}

func TestTick_startOutsideRange(t *testing.T) {
	r := newRig(t)
	r.measured.PositionRad[0] = 1.0 // The range ends at 0.863.
	r.tick(0)
	r.command.TargetRad[0] = 0.863
	r.offerValid()
	if got := r.tickUnobserved().TargetRad[0]; got != 0.863 {
		t.Errorf("target = %v rad, want 0.863", got)
	}
}

func TestTick_slewFraction(t *testing.T) {
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
	r.offerValid()
	if got, want := r.tick(10).TargetRad[2], -1.8+0.1*20.06*0.01; math.Abs(got-want) > 1e-12 {
		t.Errorf("target = %v rad, want %v", got, want)
	}
}

func TestEStop_beforeFirstObservation(t *testing.T) {
	r := newRig(t)
	r.gate.EStop("", r.nowNs)
	o := r.tickUnobserved()
	if o == nil || o.Kp[0] != 0 || o.Kd[0] != 0.5 || o.TargetRad[1] != 0.9 {
		t.Errorf("output = %+v, want damping", o)
	}
	if got := r.gate.Report(r.nowNs); got.StoppedBy != "unnamed" {
		t.Errorf("stopped by %q, want unnamed", got.StoppedBy)
	}
	if err := r.gate.Reset(r.nowNs); err == nil || !strings.Contains(err.Error(), "has not been read") {
		t.Errorf("Reset = %v, want an error", err)
	}
}

func TestStoppedBy_firstFault(t *testing.T) {
	r := newRig(t)
	r.into(Active)
	r.gate.EStop("button", r.nowNs)
	r.gate.EStop("another", r.nowNs)
	r.nowNs += int64(time.Second)
	r.tickUnobserved() // Unobserved, too.
	got := r.gate.Report(r.nowNs)
	if want := map[string]uint64{"button": 1}; got.StoppedBy != "button" || !reflect.DeepEqual(got.Trips, want) {
		t.Errorf("stopped by %q, trips %v; want button, %v", got.StoppedBy, got.Trips, want)
	}
}

func TestStoppedNs(t *testing.T) {
	r := newRig(t)
	r.into(Active)
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"fault", func() { r.nowNs += 501 * ms; r.tickUnobserved() }},
		{"e-stop while stopped", func() { r.nowNs += ms; r.gate.EStop("button", r.nowNs) }},
		{"clock goes back", func() { r.nowNs -= 300 * ms; r.tickUnobserved() }},
	} {
		step.do()
		if r.gate.State() != Stopped || r.gate.StoppedNs() != r.nowNs {
			t.Errorf("%s: %v at %d, want stopped at %d", step.name, r.gate.State(), r.gate.StoppedNs(), r.nowNs)
		}
	}
	stoppedNs := r.nowNs
	r.tick(1)
	if r.gate.StoppedNs() != stoppedNs {
		t.Errorf("StoppedNs after another tick = %d, want %d", r.gate.StoppedNs(), stoppedNs)
	}
}

func TestReset_clockWentBack(t *testing.T) {
	r := newRig(t)
	r.into(Active)
	r.nowNs -= 2 * ms
	r.tickUnobserved()
	if by := r.gate.StoppedBy(); by != FaultClock {
		t.Fatalf("stopped by %q, want clock", by)
	}
	if err := r.gate.Reset(r.nowNs); err == nil {
		t.Error("Reset succeeded without an observation since the clock went back")
	}
	r.tick(1)
	if err := r.gate.Reset(r.nowNs); err != nil {
		t.Error(err)
	}
	r.nowNs++
	r.offerValid()
}

func TestObserve(t *testing.T) {
	tests := []struct {
		name   string
		change func(*message.Observation)
		want   bool
	}{
		{"next", func(*message.Observation) {}, true},
		{"sequence with a gap", func(o *message.Observation) { o.Sequence += 5 }, true},
		{"1 ms in the future", func(o *message.Observation) { o.MonotonicNs += ms }, true},
		{"repeated", func(o *message.Observation) { o.Sequence-- }, false},
		{"older than the last", func(o *message.Observation) { o.MonotonicNs -= ms + 1 }, false},
		{"more than 1 ms in the future", func(o *message.Observation) { o.MonotonicNs += ms + 1 }, false},
		{"NaN", func(o *message.Observation) { o.PositionRad[11] = math.NaN() }, false},
		{"infinity", func(o *message.Observation) { o.PositionRad[11] = math.Inf(-1) }, false},
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

// All transitions at both ends of the time range, where sums and differences of stamps overflow.
func TestGate_extremeTimes(t *testing.T) {
	for name, startNs := range map[string]int64{"minimum": math.MinInt64, "before zero": -50 * ms, "near maximum": math.MaxInt64 - 800*ms} {
		t.Run(name, func(t *testing.T) {
			r := newRigAt(t, robot.Go1(), startNs)
			r.tick(0)
			r.offerValid()
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
			// Only a command with a current time is accepted.
			for _, made := range []int64{math.MinInt64, math.MinInt64 + 1, -1, 0, 1, math.MaxInt64 - 1, math.MaxInt64} {
				if near := sub(made, r.nowNs); near > -101*ms && near < 2*ms {
					continue
				}
				if got := r.offer(func(c *message.JointCommand) { c.MonotonicNs, c.ExpiresNs = made, math.MaxInt64 }); got != RejectStale && got != RejectFuture {
					t.Errorf("reason for a command made at %d = %q, want stale or future", made, got)
				}
			}
			r.offerValid()
		})
	}
	r := newRigAt(t, robot.Go1(), math.MinInt64)
	r.into(Active)
	r.nowNs = math.MaxInt64
	if r.tickUnobserved(); r.gate.State() != Stopped {
		t.Errorf("state after the longest time without an observation = %v, want stopped", r.gate.State())
	}
}

func TestAddSub_saturate(t *testing.T) {
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

func TestReport(t *testing.T) {
	r := newRig(t)
	r.into(Damp) // 20 ms in active, slew-limited; 90 ms until hold; 500 ms in hold.
	r.nowNs += 40 * ms
	r.gate.EStop("button", r.nowNs)
	r.nowNs += 1000 * ms
	if r.gate.Reset(r.nowNs) == nil {
		t.Error("Reset succeeded without a recent observation")
	}
	want := Report{
		State: "stopped", TimeS: map[string]float64{"active": 0.11, "hold": 0.5, "damp": 0.04, "stopped": 1.5},
		Verdict: "accepted", SlewLimited: 2, StoppedBy: "button",
		Trips: map[string]uint64{"button": 1}, ResetsRejected: map[string]uint64{"unobserved": 1},
	}
	if got := r.gate.Report(r.nowNs + 500*ms); !reflect.DeepEqual(got, want) {
		t.Errorf("report = %+v, want %+v", got, want)
	}
}

func TestNew_invalidConfig(t *testing.T) {
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
		{func(c *Config, _ *robot.Robot) { c.MaxKp[3] = -1 }, "MaxKp[3]: found -1, expected 0 or more and finite"},
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

func TestNew_knownRobots(t *testing.T) {
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

func TestGate_allocations(t *testing.T) {
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
				r.gate.Offer(c, r.nowNs) // Rejected.
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

// A policy may have smaller or greater gains than the robot's defaults, 35 and 0.5, or their doubles.
func TestDefaultsFor(t *testing.T) {
	r := robot.Go1()
	for name, test := range map[string]struct {
		maxKp, maxKd, kp, kd float64
		want                 RejectReason
	}{
		"the policy's gains":         {20, 0.25, 20, 0.25, ""},
		"the robot's gains":          {20, 0.25, 35, 0.25, RejectGain},
		"the robot's damping":        {20, 0.25, 20, 0.5, RejectGain},
		"three times the robot's":    {105, 1.5, 105, 1.5, ""},
		"a little more":              {105, 1.5, math.Nextafter(105, 106), 1.5, RejectGain},
		"no damping":                 {20, 0, 20, 0, ""},
		"damping of undamped joints": {20, 0, 20, 0.1, RejectGain},
	} {
		t.Run(name, func(t *testing.T) {
			config := DefaultsFor(r, slices.Repeat([]float64{test.maxKp}, 12), slices.Repeat([]float64{test.maxKd}, 12))
			if !slices.Equal(config.DampKd, r.Kd) {
				t.Errorf("damping gains = %v, want the robot's", config.DampKd)
			}
			rig := newRigWith(t, r, config, 1000*ms)
			rig.tick(1)
			if got := rig.offer(func(c *message.JointCommand) {
				c.Kp[11], c.Kd[11] = test.kp, test.kd
				fillGains(c, test.maxKp, test.maxKd)
			}); got != test.want {
				t.Errorf("reason = %q, want %q", got, test.want)
			}
		})
	}
}

// fillGains sets the gains of all joints but the last.
func fillGains(c *message.JointCommand, kp, kd float64) {
	for i := range c.Kp[:len(c.Kp)-1] {
		c.Kp[i], c.Kd[i] = kp, kd
	}
}
