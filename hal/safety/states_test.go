package safety

import (
	"fmt"
	"math"
	"testing"
	"time"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

const session = 42

// ms is one in ns, of which times are made here.
const ms = int64(time.Millisecond)

// rig is a gate and the loop around it, played by a test: the time, the robot's sensors and the commands.
type rig struct {
	t        *testing.T
	gate     *Gate
	robot    *robot.Robot
	nowNs    int64
	measured *message.Observation
	command  *message.JointCommand // The next one to offer; its sequence and times are set by offer.
	accepted bool                  // A command was accepted.
	movedMs  float64               // For how long an event let the target of an active gate move.
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigAt(t, robot.Go1(), 1000*ms)
}

func newRigAt(t *testing.T, r *robot.Robot, nowNs int64) *rig {
	t.Helper()
	config := Defaults(r)
	config.SessionID = session
	g, err := New(r, config)
	if err != nil {
		t.Fatal(err)
	}
	rg := &rig{t: t, gate: g, robot: r, nowNs: nowNs, measured: message.NewObservation(r), command: message.NewJointCommand(r)}
	rg.command.SessionID = session
	return rg
}

// observe reads the robot now.
func (r *rig) observe() bool {
	r.measured.Sequence++
	r.measured.MonotonicNs = r.nowNs
	return r.gate.Observe(r.measured, r.nowNs)
}

// offer offers the command, made now in answer to the last observation, and then changed.
func (r *rig) offer(change func(*message.JointCommand)) Cause {
	r.command.Sequence++
	var c message.JointCommand
	c.CopyFrom(r.command)
	c.ObservationSequence = r.measured.Sequence
	c.MonotonicNs, c.ExpiresNs = r.nowNs, add(r.nowNs, 100*ms)
	if change != nil {
		change(&c)
	}
	cause := r.gate.Offer(&c, r.nowNs)
	r.accepted = r.accepted || cause == ""
	return cause
}

// good offers a command that must be accepted.
func (r *rig) good() {
	r.t.Helper()
	if cause := r.offer(nil); cause != "" {
		r.t.Fatalf("a good command was refused: %s", cause)
	}
}

// tick lets so many ms pass, reads the robot and ticks. A write of what comes succeeds.
func (r *rig) tick(afterMs int64) *message.JointCommand {
	r.nowNs += afterMs * ms
	r.observe()
	return r.blind()
}

// blind ticks without reading the robot.
func (r *rig) blind() *message.JointCommand {
	output := r.gate.Tick(r.nowNs)
	if output != nil {
		r.gate.Wrote(true)
	}
	return output
}

// into brings a new gate into a state, as a robot gets there. The target of joint 0 is then on its way from 0.1 to -0.8
// rad, while the joint is measured at 0.5.
func (r *rig) into(s State) {
	r.t.Helper()
	switch s {
	case Idle:
		r.tick(0)
		r.command.TargetRad[0] = -0.8
	case Active:
		r.into(Idle)
		r.good()
		r.tick(10)
		r.measured.PositionRad[0] = 0.5
		r.tick(10)
	case Hold:
		r.into(Active)
		r.tick(90)
	case Damp:
		r.into(Hold)
		r.tick(500)
	case Stopped:
		r.into(Active)
		r.gate.EStop("test", r.nowNs)
		r.blind()
	}
	if r.gate.State() != s {
		r.t.Fatalf("the state is %v, want %v to begin with", r.gate.State(), s)
	}
	r.accepted = false
}

// What is written after an event.
const (
	nothing = "nothing"
	follow  = "follow" // The command's gains; the target goes on from where it was.
	start   = "start"  // The command's gains; the target starts at the measured position.
	held    = "held"   // The command's gains; the target stays where it was.
	damped  = "damped" // kp 0, DampKd; the target stays where it was.
)

// is what an event leads to in a state.
type is struct {
	state State
	write string
}

// bad are the commands that nothing may come of, whatever the state.
func bad(r *rig) {
	for _, change := range []func(*message.JointCommand){
		func(c *message.JointCommand) { c.SessionID++ },
		func(c *message.JointCommand) { c.TargetRad[0] = math.NaN() },
		func(c *message.JointCommand) { c.TargetRad[0] = 9 },
		func(c *message.JointCommand) { c.Kp[0] = 1e6 },
		func(c *message.JointCommand) { c.MonotonicNs -= 101 * ms },
		func(c *message.JointCommand) { c.ObservationSequence = 0 },
	} {
		if cause := r.offer(change); cause == "" {
			r.t.Error("a bad command was accepted")
		}
	}
}

// failWrites makes so many writes fail, at ticks 1 ms apart. Only the first of them may move the target.
func failWrites(r *rig, n int) {
	r.movedMs++
	for range n {
		r.nowNs += ms
		r.observe()
		if r.gate.Tick(r.nowNs) != nil {
			r.gate.Wrote(false)
		}
	}
}

// resetFails resets a robot with a fault; where it is stopped, that must be refused.
func resetFails(r *rig) {
	was := r.gate.State()
	if err := r.gate.Reset(r.nowNs); (err != nil) != (was == Stopped) || r.gate.State() != was {
		r.t.Errorf("reset in state %v: error %v, then state %v", was, err, r.gate.State())
	}
}

// transitions is the specification: what each event leads to in each state, and what the next tick then writes. docs/hal.md
// has the same table.
var transitions = []struct {
	event string
	do    func(r *rig)
	want  [states]is // In the order idle, active, hold, damp, stopped.
}{
	{
		"a tick", func(r *rig) { r.nowNs += ms; r.observe() },
		[states]is{{Idle, nothing}, {Active, follow}, {Hold, held}, {Damp, damped}, {Stopped, damped}},
	},
	{
		"a good command", func(r *rig) { r.nowNs += ms; r.observe(); r.offer(nil) },
		[states]is{{Active, start}, {Active, follow}, {Active, start}, {Active, start}, {Stopped, damped}},
	},
	{
		"a bad command", bad,
		[states]is{{Idle, nothing}, {Active, follow}, {Hold, held}, {Damp, damped}, {Stopped, damped}},
	},
	{
		"the command expires", func(r *rig) { r.nowNs += 91 * ms; r.observe() },
		[states]is{{Idle, nothing}, {Hold, held}, {Hold, held}, {Damp, damped}, {Stopped, damped}},
	},
	{
		"the command expires and a good one comes before the tick", func(r *rig) { r.nowNs += 91 * ms; r.observe(); r.offer(nil) },
		[states]is{{Active, start}, {Active, start}, {Active, start}, {Active, start}, {Stopped, damped}},
	},
	{
		"500 ms pass since the expiry", func(r *rig) { r.nowNs += 601 * ms; r.observe() },
		[states]is{{Idle, nothing}, {Damp, damped}, {Damp, damped}, {Damp, damped}, {Stopped, damped}},
	},
	{
		"the robot is not read for 200 ms, and a good command comes", func(r *rig) {
			r.nowNs += 201 * ms
			if cause := r.offer(nil); cause != Blind && cause != EStopped {
				r.t.Errorf("cause = %q, want unobserved", cause)
			}
		},
		[states]is{{Idle, nothing}, {Hold, held}, {Hold, held}, {Damp, damped}, {Stopped, damped}},
	},
	{
		"the robot is not read for 500 ms", func(r *rig) { r.nowNs += 501 * ms },
		[states]is{{Idle, nothing}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}},
	},
	{
		"the robot is read as NaN for 500 ms", func(r *rig) {
			r.measured.PositionRad[3] = math.NaN()
			for range 501 {
				r.nowNs += ms
				r.observe()
			}
		},
		[states]is{{Idle, nothing}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}},
	},
	{
		"a joint is outside its range by the margin", func(r *rig) {
			r.measured.PositionRad[0] = r.robot.Joints[0].UpperRad + 0.2
			r.observe()
		},
		[states]is{{Idle, nothing}, {Active, follow}, {Hold, held}, {Damp, damped}, {Stopped, damped}},
	},
	{
		"a joint is outside its range by more, and a good command comes", func(r *rig) {
			r.measured.PositionRad[0] = r.robot.Joints[0].UpperRad + 0.201
			r.observe()
			if cause := r.offer(nil); cause != Outside && cause != EStopped {
				r.t.Errorf("cause = %q, want joint_outside", cause)
			}
		},
		[states]is{{Idle, nothing}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}},
	},
	{
		"5 writes in a row fail", func(r *rig) { failWrites(r, 5) },
		[states]is{{Idle, nothing}, {Active, held}, {Hold, held}, {Damp, damped}, {Stopped, damped}},
	},
	{
		"6 writes in a row fail", func(r *rig) { failWrites(r, 6) },
		[states]is{{Idle, nothing}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}},
	},
	{
		"6 writes fail, but not in a row", func(r *rig) { failWrites(r, 5); r.tick(1); failWrites(r, 1) },
		[states]is{{Idle, nothing}, {Active, held}, {Hold, held}, {Damp, damped}, {Stopped, damped}},
	},
	{
		"EStop", func(r *rig) { r.gate.EStop("button", r.nowNs) },
		[states]is{{Stopped, damped}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}},
	},
	{
		"Reset", func(r *rig) {
			if err := r.gate.Reset(r.nowNs); err != nil {
				r.t.Error(err)
			}
		},
		[states]is{{Idle, nothing}, {Active, follow}, {Hold, held}, {Damp, damped}, {Damp, damped}},
	},
	{
		"Reset, and a good command from before it", func(r *rig) {
			if err := r.gate.Reset(r.nowNs); err != nil {
				r.t.Error(err)
			}
			r.offer(func(c *message.JointCommand) { c.MonotonicNs-- })
		},
		[states]is{{Active, start}, {Active, follow}, {Active, start}, {Active, start}, {Damp, damped}},
	},
	{
		"Reset, and a good command after it", func(r *rig) {
			if err := r.gate.Reset(r.nowNs); err != nil {
				r.t.Error(err)
			}
			r.nowNs++
			r.offer(nil)
		},
		[states]is{{Active, start}, {Active, follow}, {Active, start}, {Active, start}, {Active, start}},
	},
	{
		"Reset while the robot is not read", func(r *rig) {
			r.nowNs += 201 * ms
			resetFails(r)
		},
		[states]is{{Idle, nothing}, {Hold, held}, {Hold, held}, {Damp, damped}, {Stopped, damped}},
	},
	{
		"Reset while a joint is outside its range", func(r *rig) {
			r.measured.PositionRad[11] = -4
			r.observe()
			resetFails(r)
		},
		[states]is{{Idle, nothing}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}},
	},
	{
		"Reset while writes fail", func(r *rig) {
			failWrites(r, 1)
			resetFails(r)
		},
		[states]is{{Idle, nothing}, {Active, held}, {Hold, held}, {Damp, damped}, {Stopped, damped}},
	},
	{
		"the clock goes back by 1 ms", func(r *rig) { r.nowNs -= ms },
		[states]is{{Idle, nothing}, {Active, follow}, {Hold, held}, {Damp, damped}, {Stopped, damped}},
	},
	{
		"the clock goes back by more", func(r *rig) { r.nowNs -= ms + 1 },
		[states]is{{Idle, nothing}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}},
	},
}

func TestEveryEventInEveryState(t *testing.T) {
	for _, tt := range transitions {
		for from := range states {
			t.Run(fmt.Sprintf("%s/%s", from, tt.event), func(t *testing.T) {
				r := newRig(t)
				r.into(from)
				const slew, goal = 30.1, -0.8 // rad/s of joint 0, and where it goes, in rad.
				lastRad := r.measured.PositionRad[0]
				if from != Idle {
					lastRad = r.gate.output.TargetRad[0]
				}
				// Gains that tell the event's command from the one before.
				r.command.Kp[0], r.command.Kd[0] = 20, 0.25
				tt.do(r)
				stepRad := slew * max(min(float64(r.nowNs-r.gate.tickNs)/1e9, 0.02), 0)
				output := r.blind()

				want := tt.want[from]
				if r.gate.State() != want.state {
					t.Errorf("the state is %v, want %v", r.gate.State(), want.state)
				}
				if (output == nil) != (want.write == nothing) {
					t.Fatalf("written: %+v, want %s", output, want.write)
				}
				if output == nil {
					return
				}
				if from == Active {
					lastRad -= slew * r.movedMs / 1000
				}
				targetRad, kp, kd := lastRad, 35.0, 0.5
				if r.accepted {
					kp, kd = 20, 0.25
				}
				switch want.write {
				case start:
					targetRad = max(r.measured.PositionRad[0]-stepRad, goal)
				case follow:
					targetRad = max(lastRad-stepRad, goal)
				case damped:
					kp, kd = 0, 0.5
				}
				if math.Abs(output.TargetRad[0]-targetRad) > 1e-9 || output.Kp[0] != kp || output.Kd[0] != kd {
					t.Errorf("written: target %v, kp %v, kd %v; want %s: %v, %v, %v",
						output.TargetRad[0], output.Kp[0], output.Kd[0], want.write, targetRad, kp, kd)
				}
			})
		}
	}
}
