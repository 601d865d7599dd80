package safety

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// world is a gate in the hands of chance, and what a bystander knows of it: the bystander's books are kept apart from the
// gate's, and what is written is held against them.
type world struct {
	t        *rapid.T
	gate     *Gate
	robot    *robot.Robot
	config   Config
	nowNs    int64
	sequence uint64 // Of observations.
	commands uint64

	accepted bool
	expiryNs int64 // Of the last accepted command.
	newestNs int64
	released bool // It was reset, and no command was accepted since.
	stopped  bool // EStop was called and no reset succeeded since.
	last     *message.JointCommand
	lastNs   int64 // Of the last tick.
	measured []float64
	seen     bool
	seenNs   int64
	times    map[uint64]int64
	outside  bool
	broken   bool // Writes fail.
	failures int
}

func newWorld(t *rapid.T) *world {
	// Few joints, so that chance gets further.
	r := &robot.Robot{
		Name: "two joints",
		Joints: []robot.Joint{
			{Name: "a", LowerRad: -1, UpperRad: 2, VelocityLimitRadPerSec: 30, EffortLimitNm: 20},
			{Name: "b", LowerRad: -0.5, UpperRad: -0.1, VelocityLimitRadPerSec: 1, EffortLimitNm: 0.5},
		},
		DefaultPoseRad: []float64{0, -0.2}, Kp: []float64{35, 100}, Kd: []float64{0.5, 3},
	}
	config := Defaults(r)
	config.SessionID = session
	config.SlewFraction = rapid.Float64Range(0.01, 1).Draw(t, "slew")
	g, err := New(r, config)
	if err != nil {
		t.Fatal(err)
	}
	start := rapid.SampledFrom([]int64{math.MinInt64, -100 * ms, 0, 1e15, math.MaxInt64 - 2000*ms}).Draw(t, "start")
	g.Tick(start)
	return &world{
		t: t, gate: g, robot: r, config: config, nowNs: start, lastNs: start,
		measured: make([]float64, len(r.Joints)), times: map[uint64]int64{},
	}
}

// pass lets time pass, most often a bit, and now and then very much, none, or backwards.
func (w *world) pass() {
	switch rapid.IntRange(0, 39).Draw(w.t, "pass") {
	case 0:
		w.nowNs = add(w.nowNs, rapid.Int64Range(0, math.MaxInt64).Draw(w.t, "far"))
	case 1:
		earlier := sub(w.nowNs, rapid.OneOf(rapid.Int64Range(ms+1, 100*ms), rapid.Int64Range(ms+1, math.MaxInt64)).Draw(w.t, "back"))
		if sub(w.nowNs, earlier) > ms { // Not at the beginning of time.
			w.nowNs, w.lastNs = earlier, earlier
			w.seen, w.times = false, map[uint64]int64{}
			w.accepted = false
			w.stopped = w.stopped || w.last != nil
		}
	case 2, 3:
		w.nowNs = add(w.nowNs, rapid.Int64Range(0, 1000*ms).Draw(w.t, "stall"))
	case 4: // None.
	default:
		w.nowNs = add(w.nowNs, rapid.Int64Range(0, 30*ms).Draw(w.t, "step"))
	}
}

// observe reads the robot: mostly somewhere in its range, now and then beyond it, or not at all.
func (w *world) observe() {
	o := message.NewObservation(w.robot)
	w.sequence++
	o.Sequence, o.MonotonicNs = w.sequence, w.nowNs
	for i, j := range w.robot.Joints {
		o.PositionRad[i] = rapid.Float64Range(j.LowerRad-0.05, j.UpperRad+0.05).Draw(w.t, "q")
	}
	i := rapid.IntRange(0, len(w.robot.Joints)-1).Draw(w.t, "joint")
	kind := rapid.IntRange(0, 19).Draw(w.t, "reading")
	switch kind {
	case 0:
		o.PositionRad[i] = rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1)}).Draw(w.t, "not finite")
	case 1:
		o.PositionRad[i] = w.robot.Joints[i].UpperRad + rapid.Float64Range(0.21, 1e300).Draw(w.t, "beyond")
	case 2:
		return
	}
	counts := w.gate.Observe(o, w.nowNs)
	if counts != (kind != 0) {
		w.t.Fatalf("an observation counts: %v, reading %d", counts, kind)
	}
	if !counts {
		return
	}
	w.seen, w.seenNs = true, w.nowNs
	w.times[w.sequence] = w.nowNs
	copy(w.measured, o.PositionRad)
	w.outside = kind == 1
}

// offer offers a command, good half of the time.
func (w *world) offer() {
	c := message.NewJointCommand(w.robot)
	w.commands++
	c.Sequence, c.SessionID = w.commands, session
	c.MonotonicNs = sub(w.nowNs, rapid.Int64Range(0, 100*ms).Draw(w.t, "age"))
	c.ExpiresNs = add(w.nowNs, rapid.Int64Range(0, 2000*ms).Draw(w.t, "validity"))
	c.ObservationSequence = w.sequence
	for i, j := range w.robot.Joints {
		c.TargetRad[i] = rapid.Float64Range(j.LowerRad, j.UpperRad).Draw(w.t, "target")
		c.Kp[i] = rapid.Float64Range(0.1, w.config.MaxKp[i]).Draw(w.t, "kp")
		c.Kd[i] = rapid.Float64Range(0, w.config.MaxKd[i]).Draw(w.t, "kd")
	}
	if rapid.Bool().Draw(w.t, "feeds forward") {
		c.ResizeFeedForward(len(w.robot.Joints))
		for i, j := range w.robot.Joints {
			c.FeedForwardNm[i] = rapid.Float64Range(-j.EffortLimitNm, j.EffortLimitNm).Draw(w.t, "effort")
		}
	}
	i := rapid.IntRange(0, len(w.robot.Joints)-1).Draw(w.t, "joint")
	wild := rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e300, -1e300, 201, -1.1})
	bad := true
	switch rapid.IntRange(0, 19).Draw(w.t, "kind") {
	case 0:
		c.TargetRad[i] = wild.Draw(w.t, "wild target")
	case 1:
		c.Kp[i] = wild.Draw(w.t, "wild kp")
	case 2:
		c.Kd[i] = wild.Draw(w.t, "wild kd")
	case 3:
		c.MonotonicNs = rapid.Int64().Draw(w.t, "made")
		c.ExpiresNs = math.MaxInt64
		age := sub(w.nowNs, c.MonotonicNs)
		bad = age > 100*ms || age < -ms
	case 4:
		c.ExpiresNs = rapid.Int64().Draw(w.t, "expires")
		bad = c.ExpiresNs < w.nowNs
	case 5:
		c.SessionID = rapid.Uint64Max(session-1).Draw(w.t, "session")
	case 6:
		c.TargetRad = c.TargetRad[:i]
	case 7:
		c.ObservationSequence = rapid.Uint64().Draw(w.t, "answers") // Judged below.
		bad = false
	case 10:
		c.ResizeFeedForward(len(w.robot.Joints))
		clear(c.FeedForwardNm)
		c.FeedForwardNm[i] = rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e300, -1e300, 20.1}).Draw(w.t, "wild effort")
	case 11:
		c.FeedForwardNm = make([]float64, rapid.SampledFrom([]int{1, 3, 64}).Draw(w.t, "efforts"))
	case 8, 9:
		c.ObservationSequence -= min(rapid.Uint64Range(1, 20).Draw(w.t, "ago"), c.ObservationSequence)
		bad = false
	default:
		bad = false
	}
	made, known := w.times[c.ObservationSequence]
	bad = bad || !known || sub(w.nowNs, made) > 200*ms || !w.seen || sub(w.nowNs, w.seenNs) > 200*ms || w.outside
	bad = bad || w.stopped || w.accepted && c.MonotonicNs < w.newestNs

	was := w.gate.State()
	if cause := w.gate.Offer(c, w.nowNs); cause != "" {
		return
	}
	if bad {
		w.t.Fatalf("a command that is wrong, old, or for a robot that may not move was accepted: %+v", c)
	}
	if was != Active || sub(w.nowNs, w.expiryNs) > 0 {
		// It starts at the measured position.
		w.last = message.NewJointCommand(w.robot)
		for i, j := range w.robot.Joints {
			w.last.TargetRad[i] = j.Clamp(w.measured[i])
		}
	}
	w.accepted, w.released, w.newestNs = true, false, c.MonotonicNs
	w.expiryNs = min(c.ExpiresNs, add(c.MonotonicNs, 100*ms))
}

// tick ticks, checks what is to be written, and lets the write succeed or fail.
func (w *world) tick() {
	output := w.gate.Tick(w.nowNs)
	dtNs := min(max(sub(w.nowNs, w.lastNs), 0), 20*ms)
	w.lastNs = max(w.lastNs, w.nowNs)
	if w.gate.State() == Active && sub(w.nowNs, w.expiryNs) > 0 {
		w.t.Fatal("a command is in force after its expiry")
	}
	if output == nil {
		if w.stopped || w.last != nil {
			w.t.Fatal("nothing to write, once there was")
		}
		return
	}
	if w.last == nil && !w.stopped {
		w.t.Fatalf("something to write before any command was accepted: %+v", output)
	}
	driven := false
	for i, j := range w.robot.Joints {
		target, kp, kd := output.TargetRad[i], output.Kp[i], output.Kd[i]
		if !(target >= j.LowerRad && target <= j.UpperRad) {
			w.t.Fatalf("joint %d: target %v rad, range %v to %v", i, target, j.LowerRad, j.UpperRad)
		}
		if !(kp >= 0 && kp <= w.config.MaxKp[i] && kd >= 0 && kd <= w.config.MaxKd[i]) {
			w.t.Fatalf("joint %d: gains %v, %v are out of bounds", i, kp, kd)
		}
		driven = driven || kp > 0
		if len(output.FeedForwardNm) != 0 {
			effort := output.FeedForwardNm[i]
			if !(math.Abs(effort) <= j.EffortLimitNm) {
				w.t.Fatalf("joint %d: a feed-forward effort of %v N·m, the limit is %v", i, effort, j.EffortLimitNm)
			}
			driven = driven || effort != 0
		}
		if w.last == nil {
			continue
		}
		moved := math.Abs(target - w.last.TargetRad[i])
		if most := w.config.SlewFraction * j.VelocityLimitRadPerSec * float64(dtNs) / 1e9; moved > most+1e-9 {
			w.t.Fatalf("joint %d: the target moved by %v rad in %d ns, the limit is %v", i, moved, dtNs, most)
		}
		if moved > 0 && sub(w.nowNs, w.expiryNs) > 0 {
			w.t.Fatalf("joint %d: the target moved after the command had expired", i)
		}
		if moved > 0 && w.failures > 0 {
			w.t.Fatalf("joint %d: the target moved on from a write that failed", i)
		}
	}
	if driven {
		switch {
		case sub(w.nowNs, w.expiryNs) > 500*ms:
			w.t.Fatal("driven more than 500 ms after the last command expired")
		case w.stopped || w.released:
			w.t.Fatal("driven after a stop, without a command since the reset")
		case w.outside:
			w.t.Fatal("driven with a joint outside its range")
		case !w.seen || sub(w.nowNs, w.seenNs) > 500*ms:
			w.t.Fatal("driven without being read")
		case w.failures > w.config.MaxWriteFailures:
			w.t.Fatal("driven after many writes failed")
		}
	}
	if w.last == nil {
		w.last = message.NewJointCommand(w.robot)
	}
	w.last.CopyFrom(output)
	if w.outside || !w.seen || sub(w.nowNs, w.seenNs) > 500*ms {
		w.stopped = true
	}
	if rapid.IntRange(0, 4).Draw(w.t, "turns") == 0 {
		w.broken = !w.broken
	}
	if w.broken {
		w.failures++
		w.gate.Wrote(false)
	} else {
		w.failures = 0
		w.gate.Wrote(true)
	}
	w.stopped = w.stopped || w.failures > w.config.MaxWriteFailures
	if w.stopped != (w.gate.State() == Stopped) {
		w.t.Fatalf("the state is %v, stopped should be %v", w.gate.State(), w.stopped)
	}
}

func (w *world) eStop() {
	w.gate.EStop("test", w.nowNs)
	w.stopped = true
}

func (w *world) reset() {
	fault := w.outside || !w.seen || sub(w.nowNs, w.seenNs) > 200*ms || w.failures > 0
	err := w.gate.Reset(w.nowNs)
	switch {
	case w.stopped && fault && err == nil:
		w.t.Fatal("a reset succeeded while the fault lasted")
	case err == nil:
		if w.stopped {
			w.accepted, w.released, w.newestNs = true, true, w.nowNs
		}
		w.stopped = false
	case !fault:
		w.t.Fatalf("a reset was refused without a fault: %v", err)
	}
}

// Whatever is observed, commanded and written at whatever times, what is written keeps the limits.
func TestWhatIsWrittenKeepsTheLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		silent := false // The client.
		for range rapid.IntRange(1, 60).Draw(t, "turns") {
			// A loop like the server's, of which each part may fall out, and which others break into.
			w.pass()
			if rapid.IntRange(0, 9).Draw(t, "read") > 0 {
				w.observe()
			}
			if rapid.IntRange(0, 9).Draw(t, "falls silent") == 0 {
				silent = !silent
			}
			if !silent {
				for range rapid.IntRange(0, 2).Draw(t, "offers") {
					w.offer()
				}
			}
			w.tick()
			switch rapid.IntRange(0, 29).Draw(t, "break in") {
			case 0:
				w.eStop()
			case 1, 2, 3:
				w.reset()
			}
		}
	})
}
