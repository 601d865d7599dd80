package server

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"krabby.dev/krabby/hal/backend/backendtest"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/safety"
)

func TestDeactivate_dampsJoints(t *testing.T) {
	for _, tt := range []struct {
		name string
		play func(r *rig)
		want string // The final state of the gate.
	}{
		{"of a robot that is moved", func(r *rig) { r.send(func(c *message.JointCommand) { c.TargetRad[0] = 0.25 }); r.ticks(3) }, "active"},
		{"with a feed-forward effort", func(r *rig) {
			r.send(func(c *message.JointCommand) { c.FeedForwardNm = slices.Repeat([]float64{1}, 12) })
			r.ticks(3)
		}, "active"},
		{"of a robot that holds", func(r *rig) { r.send(nil); r.ticks(20) }, "hold"},
		{"of a robot that is damped", func(r *rig) { r.send(nil); r.ticks(100) }, "damp"},
		{"of a robot that is stopped", func(r *rig) { r.server.EStop(safety.FaultUnnamed); r.ticks(3) }, "stopped"},
		{"where nothing could be written before", func(r *rig) { r.writeErr = errors.New("off"); r.send(nil); r.ticks(1); r.writeErr = nil }, "active"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, func(t *testing.T, r *rig) {
				tt.play(r)
				before := len(r.written)
				ctx, cancel := context.WithCancel(t.Context())
				cancel() // As at the end of Run.
				r.server.Deactivate(ctx)
				if len(r.written) != before+1 {
					t.Fatalf("%d writes at the end, want 1", len(r.written)-before)
				}
				model := robot.Go1()
				last := r.written[before]
				if !slices.Equal(last.Kp, make([]float64, 12)) || !slices.Equal(last.Kd, model.Kd) || len(last.FeedForwardNm) != 0 {
					t.Errorf("the last write is %+v, want kp 0 and the robot's kd", last)
				}
				if got := r.server.Stats().Safety.State; got != tt.want {
					t.Errorf("state = %s, want %s, as it was", got, tt.want)
				}
			})
		})
	}
}

func TestDeactivate_idleWritesNothing(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.ticks(10)
		r.send(func(c *message.JointCommand) { c.SessionID++ })
		r.ticks(1)
		r.server.Deactivate(t.Context())
		if len(r.written) != 0 {
			t.Errorf("written %+v, want nothing", r.written)
		}
	})
}

func TestRun_endsWithShutdownCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run(15 * time.Millisecond)
		r.send(nil)
		r.run(45 * time.Millisecond)
		if n := len(r.written); n < 3 || r.written[n-2].Kp[0] != 35 || r.written[n-1].Kp[0] != 0 {
			t.Errorf("%d writes, want those of the command and one that damps", n)
		}
	})
}

// slow is a backend that fails, or hangs until its context is done.
type slow struct {
	*rig
	hangs bool
	asked int
}

func (s *slow) Write(ctx context.Context, c *message.JointCommand) error {
	s.asked++
	if s.hangs {
		<-ctx.Done()
	} else if s.asked == shutdownAttempts {
		return s.rig.Write(ctx, c)
	}
	return errors.New("the bus of the motors is busy")
}

func TestDeactivate_retriesFailedWrite(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		play(t, func(t *testing.T, r *rig) {
			r.send(nil)
			r.ticks(2)
			b := &slow{rig: r, hangs: hangs}
			r.server.backend = backendtest.Active(t, b)
			before, errorsBefore, start := len(r.written), r.server.Stats().WriteErrors, time.Now()
			err := r.server.Deactivate(t.Context())
			if (err != nil) != hangs {
				t.Errorf("hangs %v: error = %v", hangs, err)
			}
			if took := time.Since(start); took > shutdownTimeout {
				t.Errorf("hangs %v: it took %v, want at most %v", hangs, took, shutdownTimeout)
			}
			failures := r.server.Stats().WriteErrors - errorsBefore
			if hangs && failures != shutdownAttempts || !hangs && (failures != shutdownAttempts-1 || len(r.written) != before+1) {
				t.Errorf("hangs %v: %d failures, %d writes", hangs, failures, len(r.written)-before)
			}
		})
	}
}
