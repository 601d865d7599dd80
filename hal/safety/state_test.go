package safety

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

const session = 42

var errWrite = errors.New("bus off")

// ms is a millisecond in ns.
const ms = int64(time.Millisecond)

// rig is a gate with a simulated loop: the time, the robot's sensors and the commands.
type rig struct {
	t        *testing.T
	gate     *Gate
	robot    *robot.Robot
	nowNs    int64
	measured *message.Observation
	command  *message.JointCommand // The next command; offer sets its sequence and times.
	accepted bool                  // An event led to an accepted command.
	slewMs   float64               // How long an event moved the target of an active gate, in ms.
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigAt(t, robot.Go1(), 1000*ms)
}

func newRigAt(t *testing.T, r *robot.Robot, nowNs int64) *rig {
	t.Helper()
	return newRigWith(t, r, Defaults(r), nowNs)
}

func newRigWith(t *testing.T, r *robot.Robot, config Config, nowNs int64) *rig {
	t.Helper()
	config.SessionID = session
	g, err := New(r, config)
	if err != nil {
		t.Fatal(err)
	}
	rg := &rig{t: t, gate: g, robot: r, nowNs: nowNs, measured: message.NewObservation(r), command: message.NewJointCommand(r)}
	rg.command.SessionID = session
	return rg
}

// observe passes an observation of now to the gate.
func (r *rig) observe() bool {
	r.measured.Sequence++
	r.measured.MonotonicNs = r.nowNs
	return r.gate.Observe(r.measured, r.nowNs)
}

// offer offers the command, made now as the answer to the last observation, after change.
func (r *rig) offer(change func(*message.JointCommand)) RejectReason {
	r.command.Sequence++
	var c message.JointCommand
	c.CopyFrom(r.command)
	c.ObservationSequence = r.measured.Sequence
	c.MonotonicNs, c.ExpiresNs = r.nowNs, add(r.nowNs, 100*ms)
	if change != nil {
		change(&c)
	}
	reason := r.gate.Offer(&c, r.nowNs)
	r.accepted = r.accepted || reason == ""
	return reason
}

// offerValid offers a command that the gate must accept.
func (r *rig) offerValid() {
	r.t.Helper()
	if reason := r.offer(nil); reason != "" {
		r.t.Fatalf("a valid command was rejected: %s", reason)
	}
}

// tick lets afterMs pass, observes and ticks. A write of the output succeeds.
func (r *rig) tick(afterMs int64) *message.JointCommand {
	r.nowNs += afterMs * ms
	r.observe()
	return r.tickUnobserved()
}

// tickUnobserved ticks without an observation.
func (r *rig) tickUnobserved() *message.JointCommand {
	output := r.gate.Tick(r.nowNs)
	if output != nil {
		r.gate.ReportWrite(nil)
	}
	return output
}

// into leads a new gate into a state by regular events. The target of joint 0 then moves from 0.1 to -0.8 rad, and the joint is
// measured at 0.5 rad.
func (r *rig) into(s State) {
	r.t.Helper()
	switch s {
	case Idle:
		r.tick(0)
		r.command.TargetRad[0] = -0.8
	case Active:
		r.into(Idle)
		r.offerValid()
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
		r.tickUnobserved()
	}
	if r.gate.State() != s {
		r.t.Fatalf("initial state = %v, want %v", r.gate.State(), s)
	}
	r.accepted = false
}

// The output of the tick after an event.
const (
	none   = "none"
	follow = "follow" // Gains of the command; the target moves on.
	start  = "start"  // Gains of the command; the target starts at the measured position.
	held   = "held"   // Gains of the command; the target stays.
	damped = "damped" // kp 0, DampKd; the target stays.
)

// outcome is the result of an event in a state.
type outcome struct {
	state  State
	output string
}

// offerInvalid offers commands that are rejected in every state.
func offerInvalid(r *rig) {
	for _, change := range []func(*message.JointCommand){
		func(c *message.JointCommand) { c.SessionID++ },
		func(c *message.JointCommand) { c.TargetRad[0] = math.NaN() },
		func(c *message.JointCommand) { c.TargetRad[0] = 9 },
		func(c *message.JointCommand) { c.Kp[0] = 1e6 },
		func(c *message.JointCommand) { c.MonotonicNs -= 101 * ms },
		func(c *message.JointCommand) { c.ObservationSequence = 0 },
	} {
		if reason := r.offer(change); reason == "" {
			r.t.Error("an invalid command was accepted")
		}
	}
}

// failWrites makes n writes fail, at ticks 1 ms apart. Only the first tick may move the target.
func failWrites(r *rig, n int) {
	r.slewMs++
	for range n {
		r.nowNs += ms
		r.observe()
		if r.gate.Tick(r.nowNs) != nil {
			r.gate.ReportWrite(errWrite)
		}
	}
}

// resetFails resets a gate with an active fault. The gate must reject that in stopped.
func resetFails(r *rig) {
	before := r.gate.State()
	if err := r.gate.Reset(r.nowNs); (err != nil) != (before == Stopped) || r.gate.State() != before {
		r.t.Errorf("Reset in %v = %v, then state %v", before, err, r.gate.State())
	}
}

// transitions is the specification of the gate: the state after each event in each state, and the output of the next tick.
// docs/hal.md has the same table.
var transitions = []struct {
	event string
	do    func(r *rig)
	want  [stateCount]outcome // In the order idle, active, hold, damp, stopped.
}{
	{
		"tick", func(r *rig) { r.nowNs += ms; r.observe() },
		[stateCount]outcome{{Idle, none}, {Active, follow}, {Hold, held}, {Damp, damped}, {Stopped, damped}},
	},
	{
		"valid command", func(r *rig) { r.nowNs += ms; r.observe(); r.offer(nil) },
		[stateCount]outcome{{Active, start}, {Active, follow}, {Active, start}, {Active, start}, {Stopped, damped}},
	},
	{
		"invalid command", offerInvalid,
		[stateCount]outcome{{Idle, none}, {Active, follow}, {Hold, held}, {Damp, damped}, {Stopped, damped}},
	},
	{
		"expiry", func(r *rig) { r.nowNs += 91 * ms; r.observe() },
		[stateCount]outcome{{Idle, none}, {Hold, held}, {Hold, held}, {Damp, damped}, {Stopped, damped}},
	},
	{
		"expiry, valid command before the tick", func(r *rig) { r.nowNs += 91 * ms; r.observe(); r.offer(nil) },
		[stateCount]outcome{{Active, start}, {Active, start}, {Active, start}, {Active, start}, {Stopped, damped}},
	},
	{
		"500 ms after the expiry", func(r *rig) { r.nowNs += 601 * ms; r.observe() },
		[stateCount]outcome{{Idle, none}, {Damp, damped}, {Damp, damped}, {Damp, damped}, {Stopped, damped}},
	},
	{
		"no observation for 200 ms, valid command", func(r *rig) {
			r.nowNs += 201 * ms
			if reason := r.offer(nil); reason != RejectUnobserved && reason != RejectStopped {
				r.t.Errorf("reason = %q, want unobserved", reason)
			}
		},
		[stateCount]outcome{{Idle, none}, {Hold, held}, {Hold, held}, {Damp, damped}, {Stopped, damped}},
	},
	{
		"no observation for 500 ms", func(r *rig) { r.nowNs += 501 * ms },
		[stateCount]outcome{{Idle, none}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}},
	},
	{
		"NaN observations for 500 ms", func(r *rig) {
			r.measured.PositionRad[3] = math.NaN()
			for range 501 {
				r.nowNs += ms
				r.observe()
			}
		},
		[stateCount]outcome{{Idle, none}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}},
	},
	{
		"joint outside range by the margin", func(r *rig) {
			r.measured.PositionRad[0] = r.robot.Joints[0].UpperRad + 0.2
			r.observe()
		},
		[stateCount]outcome{{Idle, none}, {Active, follow}, {Hold, held}, {Damp, damped}, {Stopped, damped}},
	},
	{
		"joint outside range by more than the margin, valid command", func(r *rig) {
			r.measured.PositionRad[0] = r.robot.Joints[0].UpperRad + 0.201
			r.observe()
			if reason := r.offer(nil); reason != RejectJointOutside && reason != RejectStopped {
				r.t.Errorf("reason = %q, want joint_outside", reason)
			}
		},
		[stateCount]outcome{{Idle, none}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}},
	},
	{
		"5 consecutive failed writes", func(r *rig) { failWrites(r, 5) },
		[stateCount]outcome{{Idle, none}, {Active, held}, {Hold, held}, {Damp, damped}, {Stopped, damped}},
	},
	{
		"6 consecutive failed writes", func(r *rig) { failWrites(r, 6) },
		[stateCount]outcome{{Idle, none}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}},
	},
	{
		"6 failed writes with a successful one between", func(r *rig) { failWrites(r, 5); r.tick(1); failWrites(r, 1) },
		[stateCount]outcome{{Idle, none}, {Active, held}, {Hold, held}, {Damp, damped}, {Stopped, damped}},
	},
	{
		"EStop", func(r *rig) { r.gate.EStop("button", r.nowNs) },
		[stateCount]outcome{{Stopped, damped}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}},
	},
	{
		"Reset", func(r *rig) {
			if err := r.gate.Reset(r.nowNs); err != nil {
				r.t.Error(err)
			}
		},
		[stateCount]outcome{{Idle, none}, {Active, follow}, {Hold, held}, {Damp, damped}, {Damp, damped}},
	},
	{
		"Reset, older valid command", func(r *rig) {
			if err := r.gate.Reset(r.nowNs); err != nil {
				r.t.Error(err)
			}
			r.offer(func(c *message.JointCommand) { c.MonotonicNs-- })
		},
		[stateCount]outcome{{Active, start}, {Active, follow}, {Active, start}, {Active, start}, {Damp, damped}},
	},
	{
		"Reset, newer valid command", func(r *rig) {
			if err := r.gate.Reset(r.nowNs); err != nil {
				r.t.Error(err)
			}
			r.nowNs++
			r.offer(nil)
		},
		[stateCount]outcome{{Active, start}, {Active, follow}, {Active, start}, {Active, start}, {Active, start}},
	},
	{
		"Reset without an observation for 200 ms", func(r *rig) {
			r.nowNs += 201 * ms
			resetFails(r)
		},
		[stateCount]outcome{{Idle, none}, {Hold, held}, {Hold, held}, {Damp, damped}, {Stopped, damped}},
	},
	{
		"Reset with a joint outside range", func(r *rig) {
			r.measured.PositionRad[11] = -4
			r.observe()
			resetFails(r)
		},
		[stateCount]outcome{{Idle, none}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}},
	},
	{
		"Reset after a failed write", func(r *rig) {
			failWrites(r, 1)
			resetFails(r)
		},
		[stateCount]outcome{{Idle, none}, {Active, held}, {Hold, held}, {Damp, damped}, {Stopped, damped}},
	},
	{
		"clock goes back by 1 ms", func(r *rig) { r.nowNs -= ms },
		[stateCount]outcome{{Idle, none}, {Active, follow}, {Hold, held}, {Damp, damped}, {Stopped, damped}},
	},
	{
		"clock goes back by more than 1 ms", func(r *rig) { r.nowNs -= ms + 1 },
		[stateCount]outcome{{Idle, none}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}, {Stopped, damped}},
	},
}

func TestGate_transitions(t *testing.T) {
	for _, tt := range transitions {
		for from := range stateCount {
			t.Run(fmt.Sprintf("%s/%s", from, tt.event), func(t *testing.T) {
				r := newRig(t)
				r.into(from)
				const slewRadPerSec, goalRad = 30.1, -0.8 // Of joint 0.
				lastRad := r.measured.PositionRad[0]
				if from != Idle {
					lastRad = r.gate.output.TargetRad[0]
				}
				// Gains that differ from those of the command before the event.
				r.command.Kp[0], r.command.Kd[0] = 20, 0.25
				tt.do(r)
				stepRad := slewRadPerSec * max(min(float64(r.nowNs-r.gate.tickNs)/1e9, 0.02), 0)
				output := r.tickUnobserved()

				want := tt.want[from]
				if r.gate.State() != want.state {
					t.Errorf("state = %v, want %v", r.gate.State(), want.state)
				}
				if (output == nil) != (want.output == none) {
					t.Fatalf("output = %+v, want %s", output, want.output)
				}
				if output == nil {
					return
				}
				if from == Active {
					lastRad -= slewRadPerSec * r.slewMs / 1000
				}
				targetRad, kp, kd := lastRad, 35.0, 0.5
				if r.accepted {
					kp, kd = 20, 0.25
				}
				switch want.output {
				case start:
					targetRad = max(r.measured.PositionRad[0]-stepRad, goalRad)
				case follow:
					targetRad = max(lastRad-stepRad, goalRad)
				case damped:
					kp, kd = 0, 0.5
				}
				if math.Abs(output.TargetRad[0]-targetRad) > 1e-9 || output.Kp[0] != kp || output.Kd[0] != kd {
					t.Errorf("output = target %v, kp %v, kd %v; want %s: %v, %v, %v",
						output.TargetRad[0], output.Kp[0], output.Kd[0], want.output, targetRad, kp, kd)
				}
			})
		}
	}
}
