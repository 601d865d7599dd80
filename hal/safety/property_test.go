package safety

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// model drives a gate with random events, and checks its output against records of its own.
type model struct {
	t        *rapid.T
	gate     *Gate
	robot    *robot.Robot
	config   Config
	nowNs    int64
	sequence uint64 // Of observations.
	commands uint64 // Sequence of commands.

	accepted bool  // Commands must be newer than orderNs.
	expiryNs int64 // Of the last accepted command.
	orderNs  int64
	released bool                  // Reset since the last accepted command.
	stopped  bool                  // The gate must be stopped.
	last     *message.JointCommand // Last output, or the position at which a command was accepted.
	lastNs   int64                 // Of the last tick.
	measured []float64
	observed bool // observedNs is valid.

	observedNs   int64
	times        map[uint64]int64 // Of observations, by sequence.
	jointOutside bool
	writesFail   bool
	failures     int
}

func newModel(t *rapid.T) *model {
	// With two joints, random values reach more combinations.
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
	return &model{
		t: t, gate: g, robot: r, config: config, nowNs: start, lastNs: start,
		measured: make([]float64, len(r.Joints)), times: map[uint64]int64{},
	}
}

// pass lets time pass: most often a short time, sometimes a long one, none, or backwards.
func (m *model) pass() {
	switch rapid.IntRange(0, 39).Draw(m.t, "pass") {
	case 0:
		m.nowNs = add(m.nowNs, rapid.Int64Range(0, math.MaxInt64).Draw(m.t, "far"))
	case 1:
		earlier := sub(m.nowNs, rapid.OneOf(rapid.Int64Range(ms+1, 100*ms), rapid.Int64Range(ms+1, math.MaxInt64)).Draw(m.t, "back"))
		if sub(m.nowNs, earlier) > ms { // Not saturated.
			m.nowNs, m.lastNs = earlier, earlier
			m.observed, m.times = false, map[uint64]int64{}
			m.accepted = false
			m.stopped = m.stopped || m.last != nil
		}
	case 2, 3:
		m.nowNs = add(m.nowNs, rapid.Int64Range(0, 1000*ms).Draw(m.t, "stall"))
	case 4: // None.
	default:
		m.nowNs = add(m.nowNs, rapid.Int64Range(0, 30*ms).Draw(m.t, "step"))
	}
}

// observe passes an observation to the gate: mostly within the joints' ranges, sometimes outside or not finite, or none.
func (m *model) observe() {
	o := message.NewObservation(m.robot)
	m.sequence++
	o.Sequence, o.MonotonicNs = m.sequence, m.nowNs
	for i, j := range m.robot.Joints {
		o.PositionRad[i] = rapid.Float64Range(j.LowerRad-0.05, j.UpperRad+0.05).Draw(m.t, "q")
	}
	i := rapid.IntRange(0, len(m.robot.Joints)-1).Draw(m.t, "joint")
	kind := rapid.IntRange(0, 19).Draw(m.t, "reading")
	switch kind {
	case 0:
		o.PositionRad[i] = rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1)}).Draw(m.t, "not finite")
	case 1:
		o.PositionRad[i] = m.robot.Joints[i].UpperRad + rapid.Float64Range(0.21, 1e300).Draw(m.t, "beyond")
	case 2:
		return
	}
	accepted := m.gate.Observe(o, m.nowNs)
	if accepted != (kind != 0) {
		m.t.Fatalf("observation accepted: %v, reading %d", accepted, kind)
	}
	if !accepted {
		return
	}
	m.observed, m.observedNs = true, m.nowNs
	m.times[m.sequence] = m.nowNs
	copy(m.measured, o.PositionRad)
	m.jointOutside = kind == 1
}

// offer offers a command that is valid half of the time.
func (m *model) offer() {
	c := m.command()
	invalid := m.spoil(c)
	madeNs, known := m.times[c.ObservationSequence]
	invalid = invalid || !known || sub(m.nowNs, madeNs) > 200*ms || !m.observed || sub(m.nowNs, m.observedNs) > 200*ms || m.jointOutside
	invalid = invalid || m.stopped || m.accepted && c.MonotonicNs < m.orderNs

	before := m.gate.State()
	if reason := m.gate.Offer(c, m.nowNs); reason != "" {
		return
	}
	if invalid {
		m.t.Fatalf("an invalid or old command was accepted, or one for a stopped robot: %+v", c)
	}
	if before != Active || sub(m.nowNs, m.expiryNs) > 0 {
		// It starts at the measured position.
		m.last = message.NewJointCommand(m.robot)
		for i, j := range m.robot.Joints {
			m.last.TargetRad[i] = j.Clamp(m.measured[i])
		}
	}
	m.accepted, m.released, m.orderNs = true, false, c.MonotonicNs
	m.expiryNs = min(c.ExpiresNs, add(c.MonotonicNs, 100*ms))
}

// command returns a random command with valid values.
func (m *model) command() *message.JointCommand {
	c := message.NewJointCommand(m.robot)
	m.commands++
	c.Sequence, c.SessionID = m.commands, session
	c.MonotonicNs = sub(m.nowNs, rapid.Int64Range(0, 100*ms).Draw(m.t, "age"))
	c.ExpiresNs = add(m.nowNs, rapid.Int64Range(0, 2000*ms).Draw(m.t, "validity"))
	c.ObservationSequence = m.sequence
	for i, j := range m.robot.Joints {
		c.TargetRad[i] = rapid.Float64Range(j.LowerRad, j.UpperRad).Draw(m.t, "target")
		c.Kp[i] = rapid.Float64Range(0.1, m.config.MaxKp[i]).Draw(m.t, "kp")
		c.Kd[i] = rapid.Float64Range(0, m.config.MaxKd[i]).Draw(m.t, "kd")
	}
	if rapid.Bool().Draw(m.t, "feed forward") {
		c.ResizeFeedForward(len(m.robot.Joints))
		for i, j := range m.robot.Joints {
			c.FeedForwardNm[i] = rapid.Float64Range(-j.EffortLimitNm, j.EffortLimitNm).Draw(m.t, "effort")
		}
	}
	return c
}

// spoil makes c invalid about half of the time, and reports whether the gate must reject its values. It leaves the observation
// that c answers to the caller.
func (m *model) spoil(c *message.JointCommand) (invalid bool) {
	i := rapid.IntRange(0, len(m.robot.Joints)-1).Draw(m.t, "joint")
	wild := rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e300, -1e300, 201, -1.1})
	switch rapid.IntRange(0, 19).Draw(m.t, "kind") {
	case 0:
		c.TargetRad[i] = wild.Draw(m.t, "wild target")
	case 1:
		c.Kp[i] = wild.Draw(m.t, "wild kp")
	case 2:
		c.Kd[i] = wild.Draw(m.t, "wild kd")
	case 3:
		c.MonotonicNs = rapid.Int64().Draw(m.t, "made")
		c.ExpiresNs = math.MaxInt64
		age := sub(m.nowNs, c.MonotonicNs)
		return age > 100*ms || age < -ms
	case 4:
		c.ExpiresNs = rapid.Int64().Draw(m.t, "expires")
		return c.ExpiresNs < m.nowNs
	case 5:
		c.SessionID = rapid.Uint64Max(session-1).Draw(m.t, "session")
	case 6:
		c.TargetRad = c.TargetRad[:i]
	case 7:
		c.ObservationSequence = rapid.Uint64().Draw(m.t, "answers")
		return false
	case 8, 9:
		c.ObservationSequence -= min(rapid.Uint64Range(1, 20).Draw(m.t, "ago"), c.ObservationSequence)
		return false
	case 10:
		c.ResizeFeedForward(len(m.robot.Joints))
		clear(c.FeedForwardNm)
		c.FeedForwardNm[i] = rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e300, -1e300, 20.1}).Draw(m.t, "wild effort")
	case 11:
		c.FeedForwardNm = make([]float64, rapid.SampledFrom([]int{1, 3, 64}).Draw(m.t, "efforts"))
	default:
		return false
	}
	return true
}

// tick ticks, checks the output, and reports a failed or successful write.
func (m *model) tick() {
	output := m.gate.Tick(m.nowNs)
	dtNs := min(max(sub(m.nowNs, m.lastNs), 0), 20*ms)
	m.lastNs = max(m.lastNs, m.nowNs)
	if m.gate.State() == Active && sub(m.nowNs, m.expiryNs) > 0 {
		m.t.Fatal("a command is in force after its expiry")
	}
	if output == nil {
		if m.stopped || m.last != nil {
			m.t.Fatal("no output after the first one")
		}
		return
	}
	if m.last == nil && !m.stopped {
		m.t.Fatalf("output before a command was accepted: %+v", output)
	}
	m.checkOutput(output, dtNs)
	if m.last == nil {
		m.last = message.NewJointCommand(m.robot)
	}
	m.last.CopyFrom(output)
	if m.jointOutside || !m.observed || sub(m.nowNs, m.observedNs) > 500*ms {
		m.stopped = true
	}
	m.reportWrite()
	if m.stopped != (m.gate.State() == Stopped) {
		m.t.Fatalf("state = %v, want stopped: %v", m.gate.State(), m.stopped)
	}
}

// checkOutput checks that output is within all limits, and does not drive a joint that must be damped.
func (m *model) checkOutput(output *message.JointCommand, dtNs int64) {
	driven := false
	for i, j := range m.robot.Joints {
		target, kp, kd := output.TargetRad[i], output.Kp[i], output.Kd[i]
		if !(target >= j.LowerRad && target <= j.UpperRad) {
			m.t.Fatalf("joint %d: target %v rad, range %v to %v", i, target, j.LowerRad, j.UpperRad)
		}
		if !(kp >= 0 && kp <= m.config.MaxKp[i] && kd >= 0 && kd <= m.config.MaxKd[i]) {
			m.t.Fatalf("joint %d: gains %v, %v are out of bounds", i, kp, kd)
		}
		driven = driven || kp > 0
		if len(output.FeedForwardNm) != 0 {
			effort := output.FeedForwardNm[i]
			if !(math.Abs(effort) <= j.EffortLimitNm) {
				m.t.Fatalf("joint %d: feed-forward effort %v N·m, limit %v", i, effort, j.EffortLimitNm)
			}
			driven = driven || effort != 0
		}
		if m.last != nil {
			m.checkSlew(i, math.Abs(target-m.last.TargetRad[i]), dtNs)
		}
	}
	if !driven {
		return
	}
	switch {
	case sub(m.nowNs, m.expiryNs) > 500*ms:
		m.t.Fatal("driven more than 500 ms after the last command expired")
	case m.stopped || m.released:
		m.t.Fatal("driven after a stop, without a command since the reset")
	case m.jointOutside:
		m.t.Fatal("driven with a joint outside its range")
	case !m.observed || sub(m.nowNs, m.observedNs) > 500*ms:
		m.t.Fatal("driven without an observation")
	case m.failures > m.config.MaxWriteFailures:
		m.t.Fatal("driven after many failed writes")
	}
}

// checkSlew checks that the target of joint i may have moved by movedRad.
func (m *model) checkSlew(i int, movedRad float64, dtNs int64) {
	limitRad := m.config.SlewFraction * m.robot.Joints[i].VelocityLimitRadPerSec * float64(dtNs) / 1e9
	if movedRad > limitRad+1e-9 {
		m.t.Fatalf("joint %d: the target moved by %v rad in %d ns, limit %v", i, movedRad, dtNs, limitRad)
	}
	if movedRad > 0 && sub(m.nowNs, m.expiryNs) > 0 {
		m.t.Fatalf("joint %d: the target moved after the command expired", i)
	}
	if movedRad > 0 && m.failures > 0 {
		m.t.Fatalf("joint %d: the target moved after a failed write", i)
	}
}

// reportWrite reports the result of a write. Writes start or stop to fail at random.
func (m *model) reportWrite() {
	if rapid.IntRange(0, 4).Draw(m.t, "writes change") == 0 {
		m.writesFail = !m.writesFail
	}
	if m.writesFail {
		m.failures++
		m.gate.ReportWrite(errWrite)
	} else {
		m.failures = 0
		m.gate.ReportWrite(nil)
	}
	m.stopped = m.stopped || m.failures > m.config.MaxWriteFailures
}

func (m *model) eStop() {
	m.gate.EStop("test", m.nowNs)
	m.stopped = true
}

func (m *model) reset() {
	fault := m.jointOutside || !m.observed || sub(m.nowNs, m.observedNs) > 200*ms || m.failures > 0
	err := m.gate.Reset(m.nowNs)
	switch {
	case m.stopped && fault && err == nil:
		m.t.Fatal("a reset succeeded with an active fault")
	case err == nil:
		if m.stopped {
			m.accepted, m.released, m.orderNs = true, true, m.nowNs
		}
		m.stopped = false
	case !fault:
		m.t.Fatalf("a reset was rejected without a fault: %v", err)
	}
}

// The output is within the limits for random observations, commands, write errors and times.
func TestGate_randomEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		silent := false // The client sends no commands.
		for range rapid.IntRange(1, 60).Draw(t, "ticks") {
			// A loop like the server's, with missing parts and requests from outside.
			m.pass()
			if rapid.IntRange(0, 9).Draw(t, "read") > 0 {
				m.observe()
			}
			if rapid.IntRange(0, 9).Draw(t, "silence changes") == 0 {
				silent = !silent
			}
			if !silent {
				for range rapid.IntRange(0, 2).Draw(t, "offers") {
					m.offer()
				}
			}
			m.tick()
			switch rapid.IntRange(0, 29).Draw(t, "request") {
			case 0:
				m.eStop()
			case 1, 2, 3:
				m.reset()
			}
		}
	})
}
