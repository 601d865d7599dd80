package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"krabby.dev/krabby/hal/backend"
	"krabby.dev/krabby/hal/backend/backendtest"
	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/bus/bustest"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/safety"
	"krabby.dev/krabby/hal/wire"
)

const session = 42

// rig is a server with a fake backend and a fake bus.
type rig struct {
	backend.Stateless
	bustest.NoConnections

	t      *testing.T
	server *Server
	start  time.Time
	next   time.Time // The time of the next step.

	read      func(*message.Observation) error
	writeErr  error
	publErr   error
	published []message.Observation
	written   []message.JointCommand
	writtenAt []time.Duration
	frames    [][]byte
	recvErr   error
}

func (r *rig) Read(_ context.Context, o *message.Observation) error {
	if r.read != nil {
		return r.read(o)
	}
	copy(o.PositionRad, r.server.robot.DefaultPoseRad)
	return nil
}

func (r *rig) Write(_ context.Context, c *message.JointCommand) error {
	if r.writeErr != nil {
		return r.writeErr
	}
	var kept message.JointCommand
	kept.CopyFrom(c)
	r.written = append(r.written, kept)
	r.writtenAt = append(r.writtenAt, time.Since(r.start))
	return nil
}

func (r *rig) Acquire(bytes int) ([]byte, error) { return make([]byte, 0, bytes), nil }

func (r *rig) Publish(frame []byte) error {
	if r.publErr != nil {
		return r.publErr
	}
	var o message.Observation
	if err := wire.DecodeObservation(&o, bytes.Clone(frame)); err != nil {
		r.t.Errorf("published a malformed frame: %v", err)
	}
	r.published = append(r.published, o)
	return nil
}

func (r *rig) TryReceive() ([]byte, error) {
	if r.recvErr != nil {
		return nil, r.recvErr
	}
	if len(r.frames) == 0 {
		return nil, bus.ErrEmpty
	}
	frame := r.frames[0]
	r.frames = r.frames[1:]
	return frame, nil
}

// send queues a valid command, made now and modified by change, for the server's next step.
func (r *rig) send(change func(*message.JointCommand)) {
	r.t.Helper()
	c := message.NewJointCommand(robot.Go1())
	c.SessionID = session
	c.ObservationSequence = r.server.sequence
	c.MonotonicNs = r.server.clock.NowNs()
	c.ExpiresNs = c.MonotonicNs + int64(100*time.Millisecond)
	if change != nil {
		change(c)
	}
	frame, err := wire.AppendJointCommand(nil, c)
	if err != nil {
		r.t.Fatal(err)
	}
	r.frames = append(r.frames, frame)
}

// ticks runs n more steps, 10 ms apart.
func (r *rig) ticks(n int) {
	for range n {
		time.Sleep(r.next.Sub(time.Now()))
		r.server.step(r.t.Context(), 0)
		r.next = r.next.Add(10 * time.Millisecond)
		time.Sleep(5 * time.Millisecond)
	}
}

// play runs test with a server in a bubble of virtual time. The first step was at 0 ms; test begins at 5 ms, halfway between two
// steps.
func play(t *testing.T, test func(t *testing.T, r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.ticks(1)
		test(t, r)
	})
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, start: time.Now(), next: time.Now()}
	s, err := New(robot.Go1(), backendtest.Active(t, r), r, r, WithSession(session))
	if err != nil {
		t.Fatal(err)
	}
	r.server = s
	return r
}

// run runs the server's own loop for a duration of the bubble's time.
func (r *rig) run(d time.Duration) {
	ctx, cancel := context.WithTimeout(r.t.Context(), d)
	defer cancel()
	if err := r.server.run(ctx, clock.NewPacer(10*time.Millisecond, clock.WithSleep(func(until time.Time) { time.Sleep(time.Until(until)) }))); err != nil {
		r.t.Error(err)
	}
}

func TestRun_publishesAtRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run(995 * time.Millisecond)
		if len(r.published) != 100 {
			t.Fatalf("%d observations in 1 s at 100 Hz, want 100", len(r.published))
		}
		for i, o := range r.published {
			if o.Sequence != uint64(i+1) || o.SessionID != session {
				t.Errorf("observation %d has sequence %d and session %d, want %d and %d", i, o.Sequence, o.SessionID, i+1, session)
			}
			if i > 0 && o.MonotonicNs-r.published[i-1].MonotonicNs != int64(10*time.Millisecond) {
				t.Errorf("observation %d was read %d ns after the one before, want 10 ms", i, o.MonotonicNs-r.published[i-1].MonotonicNs)
			}
		}
		if st := r.server.Stats(); st.Steps != 100 || st.Published != 100 || st.MissedDeadlines != 0 || len(st.Unpublished) != 0 {
			t.Errorf("stats = %+v", st)
		}
	})
}

func TestStep_noCommandWritesNothing(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.ticks(100)
		if len(r.written) != 0 || r.server.Stats().Holds != 0 {
			t.Errorf("%d writes and %d holds, want none", len(r.written), r.server.Stats().Holds)
		}
	})
}

func TestStep_appliesAndRepeatsCommand(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.send(func(c *message.JointCommand) { c.Sequence, c.TargetRad[0] = 7, 0.25 })
		r.ticks(3)
		if len(r.written) != 3 {
			t.Fatalf("%d writes in 3 ticks, want 3", len(r.written))
		}
		if r.writtenAt[0] != 10*time.Millisecond {
			t.Errorf("first write after %v, want 10ms", r.writtenAt[0])
		}
		for _, c := range r.written {
			if c.Sequence != 7 || c.TargetRad[0] != 0.25 || c.Kp[0] != 35 {
				t.Errorf("written command = %+v", c)
			}
		}
		if st := r.server.Stats(); st.Applied != 1 || len(st.Rejected) != 0 {
			t.Errorf("stats = %+v, want 1 applied, none rejected", st)
		}
	})
}

// feedForward returns feed-forward efforts of a Go1 with a value for one joint only.
func feedForward(joint int, effortNm float64) []float64 {
	values := make([]float64, 12)
	values[joint] = effortNm
	return values
}

func TestStep_rejectReasons(t *testing.T) {
	tests := []struct {
		name   string
		change func(*message.JointCommand)
		want   safety.RejectReason
	}{
		{"another session", func(c *message.JointCommand) { c.SessionID++ }, safety.RejectSession},
		{"too few joints", func(c *message.JointCommand) { c.Resize(11) }, safety.RejectShape},
		{"too many joints", func(c *message.JointCommand) { c.Resize(18) }, safety.RejectShape},
		{"a NaN target", func(c *message.JointCommand) { c.TargetRad[4] = math.NaN() }, safety.RejectNotFinite},
		{"an infinite target", func(c *message.JointCommand) { c.TargetRad[4] = math.Inf(1) }, safety.RejectNotFinite},
		{"a NaN gain", func(c *message.JointCommand) { c.Kd[11] = math.NaN() }, safety.RejectNotFinite},
		{"a negative gain", func(c *message.JointCommand) { c.Kp[0] = -1 }, safety.RejectGain},
		{"a feed-forward of NaN", func(c *message.JointCommand) { c.FeedForwardNm = feedForward(11, math.NaN()) }, safety.RejectNotFinite},
		{"a feed-forward above the limit", func(c *message.JointCommand) { c.FeedForwardNm = feedForward(0, math.Nextafter(23.7, 24)) }, safety.RejectEffortLimit},
		{"a feed-forward below the limit", func(c *message.JointCommand) { c.FeedForwardNm = feedForward(2, -35.6) }, safety.RejectEffortLimit},
		{"a target just above the range", func(c *message.JointCommand) { c.TargetRad[0] = math.Nextafter(0.863, 1) }, safety.RejectJointLimit},
		{"a target just below the range", func(c *message.JointCommand) { c.TargetRad[11] = math.Nextafter(-2.818, -3) }, safety.RejectJointLimit},
		{"a command of the future", func(c *message.JointCommand) { c.MonotonicNs += int64(time.Second) }, safety.RejectFuture},
		{"a command of an hour ago", func(c *message.JointCommand) { c.MonotonicNs -= int64(time.Hour) }, safety.RejectStale},
		{"a command just too old", func(c *message.JointCommand) { c.MonotonicNs -= int64(96 * time.Millisecond) }, safety.RejectStale},
		{"a command so old that its age overflows", func(c *message.JointCommand) {
			c.MonotonicNs, c.ExpiresNs = math.MinInt64, math.MaxInt64
		}, safety.RejectStale},
		{"a gain above its bound", func(c *message.JointCommand) { c.Kp[0] = math.Nextafter(70, 71) }, safety.RejectGain},
		{"an answer to no observation", func(c *message.JointCommand) { c.ObservationSequence = 0 }, safety.RejectObservationUnknown},
		{"an answer to an observation of the future", func(c *message.JointCommand) { c.ObservationSequence = 99 }, safety.RejectObservationUnknown},
		{"an expired command", func(c *message.JointCommand) { c.ExpiresNs = c.MonotonicNs }, safety.RejectExpired},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, func(t *testing.T, r *rig) {
				r.send(tt.change)
				r.ticks(1)
				if len(r.written) != 0 {
					t.Errorf("%d writes, want none", len(r.written))
				}
				if got, want := r.server.Stats().Rejected, (map[string]uint64{string(tt.want): 1}); !maps.Equal(got, want) {
					t.Errorf("rejected = %v, want %v", got, want)
				}
				r.send(nil)
				r.ticks(1)
				if len(r.written) != 1 {
					t.Errorf("%d writes after a good command, want 1", len(r.written))
				}
			})
		})
	}
}

func TestStep_olderCommandRejected(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.send(func(c *message.JointCommand) { c.TargetRad[0] = 0.5 })
		r.ticks(1)
		// Not stale, but made before the applied one.
		r.send(func(c *message.JointCommand) {
			c.TargetRad[0] = -0.5
			c.MonotonicNs -= int64(50 * time.Millisecond)
		})
		r.ticks(1)
		// The same command again.
		r.send(func(c *message.JointCommand) {
			c.TargetRad[0] = 0.5
			c.MonotonicNs -= int64(20 * time.Millisecond)
		})
		r.ticks(1)
		if last := r.written[len(r.written)-1]; last.TargetRad[0] != 0.5 {
			t.Errorf("target = %v, want 0.5 of the newer command", last.TargetRad[0])
		}
		if st := r.server.Stats(); st.Applied != 1 || st.Rejected[string(safety.RejectSuperseded)] != 2 {
			t.Errorf("stats = %+v, want 1 applied, 2 superseded", st)
		}
	})
}

func TestStep_acceptsLimits(t *testing.T) {
	for name, change := range map[string]func(*message.JointCommand){
		"upper limit": func(c *message.JointCommand) { c.TargetRad[0] = 0.863 },
		"lower limit": func(c *message.JointCommand) { c.TargetRad[0] = -0.863 },
		"age":         func(c *message.JointCommand) { c.MonotonicNs -= int64(95 * time.Millisecond) },
		"expiry":      func(c *message.JointCommand) { c.ExpiresNs = c.MonotonicNs + int64(5*time.Millisecond) },
		"no gains":    func(c *message.JointCommand) { clear(c.Kp); clear(c.Kd) },
	} {
		play(t, func(t *testing.T, r *rig) {
			r.send(change) // Half a period, 5 ms, before the step.
			r.ticks(1)
			if st := r.server.Stats(); st.Applied != 1 {
				t.Errorf("%s: stats = %+v, want 1 applied", name, st)
			}
		})
	}
}

func TestStep_malformedFramesCounted(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.send(nil)
		flipped := slices.Clone(r.frames[0])
		flipped[30] ^= 1
		other := slices.Clone(r.frames[0])
		other[4] = 3
		observation, err := wire.AppendObservation(nil, message.NewObservation(robot.Go1()))
		if err != nil {
			t.Fatal(err)
		}
		r.frames = [][]byte{nil, []byte("hello, this is not a frame"), flipped, other, observation, r.frames[0][:200]}
		r.ticks(1)
		want := map[string]uint64{"short": 1, "magic": 1, "checksum": 1, "version": 1, "kind": 1, "length": 1}
		if got := r.server.Stats().Rejected; !maps.Equal(got, want) {
			t.Errorf("rejected = %v, want %v", got, want)
		}
		r.send(nil)
		r.ticks(1)
		if len(r.written) != 1 {
			t.Errorf("%d writes after a good command, want 1", len(r.written))
		}
	})
}

func TestStep_newestCommandWins(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		for sequence, ageMs := range []int64{3, 1, 2} {
			r.send(func(c *message.JointCommand) {
				c.Sequence = uint64(sequence)
				c.MonotonicNs -= ageMs * int64(time.Millisecond)
			})
		}
		r.ticks(1)
		if len(r.written) != 1 || r.written[0].Sequence != 1 {
			t.Errorf("written = %+v, want the command made last", r.written)
		}
		if st := r.server.Stats(); st.Applied != 1 || st.Rejected[string(safety.RejectSuperseded)] != 2 {
			t.Errorf("stats = %+v, want 1 applied and 2 superseded", st)
		}
	})
}

func TestStep_expiredCommandHoldsThenDamps(t *testing.T) {
	tests := []struct {
		name      string
		expiresMs int64
		holdsAt   time.Duration // Of the first step that holds; the command is made at 5 ms.
	}{
		{"at its own expiry", 30, 40 * time.Millisecond},
		{"at the age limit where its expiry is later", 10_000, 110 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, func(t *testing.T, r *rig) {
				checkCounts := func(holds, damps uint64, state safety.State) {
					t.Helper()
					if st := r.server.Stats(); st.Holds != holds || st.Damps != damps || st.Safety.State != state.String() {
						t.Fatalf("%v after the start: %d holds, %d damps, state %s; want %d, %d, %v",
							time.Since(r.start), st.Holds, st.Damps, st.Safety.State, holds, damps, state)
					}
				}
				checkLast := func(writes int, target, kp, kd float64) {
					t.Helper()
					last := r.written[len(r.written)-1]
					if len(r.written) != writes || last.TargetRad[0] != target || last.Kp[0] != kp || last.Kd[0] != kd {
						t.Fatalf("%d writes, the last with target %v, kp %v, kd %v; want %d, %v, %v, %v",
							len(r.written), last.TargetRad[0], last.Kp[0], last.Kd[0], writes, target, kp, kd)
					}
				}
				r.send(func(c *message.JointCommand) {
					c.TargetRad[0], c.Kd[0] = 0.25, 0.75
					c.ExpiresNs = c.MonotonicNs + tt.expiresMs*int64(time.Millisecond)
				})
				before := int(tt.holdsAt/(10*time.Millisecond)) - 1
				r.ticks(before)
				checkCounts(0, 0, safety.Active)
				r.ticks(1)
				checkCounts(1, 0, safety.Hold)
				r.ticks(49)
				checkCounts(1, 0, safety.Hold)
				checkLast(before+50, 0.25, 35, 0.75)
				r.ticks(1)
				checkCounts(1, 1, safety.Damp)
				r.ticks(100)
				checkCounts(1, 1, safety.Damp)
				checkLast(before+151, 0.25, 0, 0.5)
				r.send(func(c *message.JointCommand) { c.TargetRad[0] = 0.3 })
				r.ticks(1)
				checkCounts(1, 1, safety.Active)
				checkLast(before+152, 0.3, 35, 0.5)
			})
		})
	}
}

func TestStep_slewLimitFromMeasuredPosition(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.send(func(c *message.JointCommand) { c.TargetRad[0] = -0.863 })
		r.ticks(5)
		const step = 30.1 * 0.01 // rad: the joint's velocity limit for a period of 10 ms.
		want := []float64{0.1 - step, 0.1 - 2*step, 0.1 - 3*step, -0.863, -0.863}
		for i, c := range r.written {
			if math.Abs(c.TargetRad[0]-want[i]) > 1e-12 {
				t.Errorf("target of write %d = %v, want %v", i, c.TargetRad[0], want[i])
			}
		}
		if st := r.server.Stats(); st.Safety.SlewLimited != 3 {
			t.Errorf("%d ticks limited by the slew, want 3", st.Safety.SlewLimited)
		}
	})
}

func TestEStop_latchesUntilReset(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.send(nil)
		r.ticks(1)
		r.server.EStop("button")
		for range 20 {
			r.send(nil)
			r.ticks(1)
			if last := r.written[len(r.written)-1]; last.Kp[0] != 0 || last.Kd[0] != 0.5 {
				t.Fatalf("stopped, kp = %v and kd = %v were written, want 0 and 0.5", last.Kp[0], last.Kd[0])
			}
		}
		st := r.server.Stats()
		if st.Safety.State != "stopped" || st.Safety.StoppedBy != "button" || st.Safety.Trips["button"] != 1 || st.Safety.Verdict != "stopped" ||
			st.Rejected["stopped"] != 20 || st.Applied != 1 {
			t.Errorf("stats = %+v, want stopped by the button and 20 commands rejected", st)
		}
		if got := st.Safety.TimeS["stopped"]; math.Abs(got-0.2) > 1e-9 {
			t.Errorf("%v s stopped, want 0.2", got)
		}
		if err := r.server.Reset(); err != nil {
			t.Fatal(err)
		}
		r.ticks(1)
		if last := r.written[len(r.written)-1]; last.Kp[0] != 0 {
			t.Errorf("after the reset kp = %v was written without a command, want 0", last.Kp[0])
		}
		r.send(nil)
		r.ticks(1)
		if last := r.written[len(r.written)-1]; last.Kp[0] != 35 {
			t.Errorf("after a reset and a good command kp = %v was written, want 35", last.Kp[0])
		}
		if st := r.server.Stats(); st.Safety.StoppedBy != "" || st.Safety.Verdict != "accepted" || st.Damps != 0 {
			t.Errorf("stats = %+v, want no stop any more", st)
		}
	})
}

func TestEStop_concurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var others sync.WaitGroup
		for range 3 {
			others.Go(func() {
				for range 50 {
					time.Sleep(10 * time.Millisecond) // Concurrently with the steps.
					r.server.EStop("button")
					if r.server.Stats().Safety.Trips["button"] == 0 {
						t.Error("a stop that no report tells of")
					}
					if err := r.server.Reset(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		r.run(600 * time.Millisecond)
		others.Wait()
		if st := r.server.Stats(); st.Safety.Trips["button"] < 50 || st.Safety.State != "damp" {
			t.Errorf("safety = %+v, want at least 50 stops, all of them reset", st.Safety)
		}
	})
}

func TestStep_faultsStopRobot(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		fault  safety.Fault
		breaks func(*rig)
		mends  func(*rig)
		ticks  int // Steps from the fault to the stop.
		resets string
	}{
		{
			fault:  safety.FaultUnobserved,
			breaks: func(r *rig) { r.read = func(*message.Observation) error { return broken } },
			mends:  func(r *rig) { r.read = nil },
			ticks:  51, // The last good step, and more than 500 ms.
			resets: "expected at most 200ms",
		},
		{
			fault: safety.FaultJointOutside,
			breaks: func(r *rig) {
				r.read = func(o *message.Observation) error { o.PositionRad[0] = 1.07; return nil }
			},
			mends:  func(r *rig) { r.read = nil },
			ticks:  1,
			resets: "joint FR_hip_joint is at 1.070 rad, expected -0.863 to 0.863, or at most 0.2 rad outside of that",
		},
		{
			fault:  safety.FaultWrite,
			breaks: func(r *rig) { r.writeErr = broken },
			mends:  func(r *rig) { r.writeErr = nil },
			ticks:  6,
			resets: "expected the last one to succeed",
		},
	}
	for _, tt := range tests {
		t.Run(string(tt.fault), func(t *testing.T) {
			play(t, func(t *testing.T, r *rig) {
				r.send(nil)
				r.ticks(1)
				tt.breaks(r)
				r.ticks(tt.ticks - 1)
				if st := r.server.Stats(); len(st.Safety.Trips) != 0 {
					t.Fatalf("trips = %v after %d ticks, want none yet", st.Safety.Trips, tt.ticks-1)
				}
				r.ticks(1)
				if st := r.server.Stats(); st.Safety.StoppedBy != string(tt.fault) || st.Safety.Trips[string(tt.fault)] != 1 {
					t.Fatalf("safety = %+v after %d ticks, want stopped by %s", st.Safety, tt.ticks, tt.fault)
				}
				if err := r.server.Reset(); err == nil || !strings.Contains(err.Error(), tt.resets) {
					t.Errorf("reset while the fault lasts: %v, want %q in it", err, tt.resets)
				}
				tt.mends(r)
				r.ticks(1)
				if err := r.server.Reset(); err != nil {
					t.Errorf("reset once the fault is over: %v", err)
				}
				if st := r.server.Stats(); st.Safety.ResetsRejected[string(tt.fault)] != 1 || st.Safety.State != "damp" {
					t.Errorf("safety = %+v, want one reset rejected, and damping after the other", st.Safety)
				}
			})
		})
	}
}

func TestStats_appliedAfterSuccessfulWrite(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name     string
		play     func(*rig)
		applied  uint64
		rejected map[string]uint64
	}{
		{"at the second write", func(r *rig) {
			r.send(nil)
			r.ticks(1)
			r.writeErr = nil
			r.ticks(3)
		}, 1, nil},
		{"not where a newer one comes first", func(r *rig) {
			r.send(nil)
			r.ticks(1)
			r.send(nil)
			r.writeErr = nil
			r.ticks(3)
		}, 1, map[string]uint64{"superseded": 1}},
		{"not where it expires first", func(r *rig) {
			r.send(func(c *message.JointCommand) { c.ExpiresNs = c.MonotonicNs + int64(10*time.Millisecond) })
			r.ticks(2)
			r.writeErr = nil
			r.ticks(3)
		}, 0, map[string]uint64{"unwritten": 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, func(t *testing.T, r *rig) {
				r.writeErr = broken
				tt.play(r)
				if st := r.server.Stats(); st.Applied != tt.applied || !maps.Equal(st.Rejected, tt.rejected) {
					t.Errorf("%d applied, rejected %v; want %d, %v", st.Applied, st.Rejected, tt.applied, tt.rejected)
				}
			})
		})
	}
}

func TestStep_rejectedCommandDoesNotExtendExpiry(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.send(nil)
		for range 20 {
			r.ticks(1)
			r.send(func(c *message.JointCommand) { c.TargetRad[0] = math.NaN() })
		}
		if got := r.server.Stats().Holds; got != 1 {
			t.Errorf("%d holds, want 1", got)
		}
	})
}

func TestRun_continuesAfterErrors(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name        string
		breaks      func(*rig)
		mends       func(*rig)
		unpublished map[string]uint64
		rejected    map[string]uint64
		writeErrors uint64
	}{
		{
			name:        "backend that cannot be read",
			breaks:      func(r *rig) { r.read = func(*message.Observation) error { return broken } },
			mends:       func(r *rig) { r.read = nil },
			unpublished: map[string]uint64{"read": 3},
		},
		{
			name: "backend that reads nonsense",
			breaks: func(r *rig) {
				r.read = func(o *message.Observation) error { o.PositionRad[0] = math.NaN(); return nil }
			},
			mends:       func(r *rig) { r.read = nil },
			unpublished: map[string]uint64{"invalid": 3},
		},
		{
			name:        "backend that reads too little",
			breaks:      func(r *rig) { r.read = func(o *message.Observation) error { o.Contacts = nil; return nil } },
			mends:       func(r *rig) { r.read = nil },
			unpublished: map[string]uint64{"invalid": 3},
		},
		{
			name:        "publisher that fails",
			breaks:      func(r *rig) { r.publErr = broken },
			mends:       func(r *rig) { r.publErr = nil },
			unpublished: map[string]uint64{"transport": 3},
		},
		{
			name:     "receiver that fails",
			breaks:   func(r *rig) { r.recvErr = broken },
			mends:    func(r *rig) { r.recvErr = nil },
			rejected: map[string]uint64{"transport": 3},
		},
		{
			name:        "backend that cannot be written",
			breaks:      func(r *rig) { r.writeErr = broken; r.send(nil) },
			mends:       func(r *rig) { r.writeErr = nil },
			rejected:    map[string]uint64{"superseded": 1}, // By the command after it.
			writeErrors: 3,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, func(t *testing.T, r *rig) {
				tt.breaks(r)
				r.ticks(3)
				tt.mends(r)
				published := len(r.published)
				r.send(nil)
				r.ticks(1)
				st := r.server.Stats()
				if !maps.Equal(st.Unpublished, tt.unpublished) || !maps.Equal(st.Rejected, tt.rejected) || st.WriteErrors != tt.writeErrors {
					t.Errorf("stats = %+v, want unpublished %v, rejected %v, %d write errors", st, tt.unpublished, tt.rejected, tt.writeErrors)
				}
				if st.Applied != 1 || len(r.published) != published+1 {
					t.Errorf("afterwards %d commands applied and %d observations published, want 1 and 1", st.Applied, len(r.published)-published)
				}
			})
		})
	}
}

func TestRun_slowBackendKeepsGrid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.read = func(*message.Observation) error {
			r.read = nil
			time.Sleep(23 * time.Millisecond)
			return nil
		}
		r.run(95 * time.Millisecond)
		if st := r.server.Stats(); st.MissedDeadlines != 2 || st.Steps != 9 {
			t.Errorf("%d missed deadlines and %d ticks in 95 ms, want 2 and 9", st.MissedDeadlines, st.Steps)
		}
	})
}

func TestRun_warningsThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var log bytes.Buffer
		r.server.log = slog.New(slog.NewTextHandler(&log, nil))
		r.server.warnings = newWarnings(r.server.log)
		r.read = func(*message.Observation) error {
			time.Sleep(15 * time.Millisecond)
			return errors.New("broken")
		}
		r.run(1195 * time.Millisecond)
		st := r.server.Stats()
		var missed, failed []string
		for _, line := range strings.Split(log.String(), "\n") {
			if _, count, ok := strings.Cut(line, `msg="missed deadlines" count=`); ok {
				missed = append(missed, count)
			}
			if _, rest, ok := strings.Cut(line, "reason=read err=broken"); ok {
				failed = append(failed, strings.TrimSpace(rest))
			}
		}
		// A step takes one and a half periods: it misses its own deadline, and every other step the next one too. The end of the run
		// logs the rest.
		if want := []string{"1", "101", fmt.Sprint(st.MissedDeadlines - 102)}; !slices.Equal(missed, want) {
			t.Errorf("missed deadlines were logged as %v, want %v, all %d", missed, want, st.MissedDeadlines)
		}
		if want := []string{"", "held_back=66"}; !slices.Equal(failed, want) {
			t.Errorf("failed readings were logged with %q, want %q", failed, want)
		}
	})
}

func TestNew_randomSession(t *testing.T) {
	if a, b := newSessionID(), newSessionID(); a == b || a == 0 || b == 0 {
		t.Errorf("session ids %d and %d", a, b)
	}
}

func TestNew_invalidOptions(t *testing.T) {
	for _, tt := range []struct {
		opt  Option
		want string
	}{
		{WithRate(0), "rate of 0 Hz"},
		{WithRate(math.NaN()), "rate of NaN Hz"},
		{WithRate(-1), "rate of -1 Hz"},
		{WithRate(9.9), "rate of 9.9 Hz: expected at least 10: a command waits for the next step, and may be 100ms old"},
		{WithSafety(safety.Config{}), "MaxCommandAge: found 0s, expected more than 0"},
	} {
		if _, err := New(robot.Go1(), nil, nil, nil, tt.opt); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error = %v, want %q in it", err, tt.want)
		}
	}
}

// quiet is a backend and a bus that store nothing; every step brings another valid command.
type quiet struct {
	backend.Stateless
	bustest.NoConnections

	memory  []byte
	server  *Server
	command *message.JointCommand
	frame   []byte
	taken   bool
}

func (q *quiet) Read(context.Context, *message.Observation) error   { q.taken = false; return nil }
func (q *quiet) Write(context.Context, *message.JointCommand) error { return nil }
func (q *quiet) Acquire(bytes int) ([]byte, error) {
	if cap(q.memory) < bytes {
		q.memory = make([]byte, 0, bytes)
	}
	return q.memory, nil
}
func (q *quiet) Publish([]byte) error { return nil }
func (q *quiet) TryReceive() ([]byte, error) {
	if q.taken {
		return nil, bus.ErrEmpty
	}
	q.taken = true
	q.command.Sequence++
	q.command.ObservationSequence = q.server.sequence
	q.command.MonotonicNs = q.server.clock.NowNs()
	var err error
	q.frame, err = wire.AppendJointCommand(q.frame[:0], q.command)
	return q.frame, err
}

func TestStep_doesNotAllocate(t *testing.T) {
	q := &quiet{command: message.NewJointCommand(robot.Go1()), frame: make([]byte, 0, wire.MaxFrameBytes)}
	q.command.SessionID, q.command.ExpiresNs = session, math.MaxInt64
	s, err := New(robot.Go1(), backendtest.Active(t, q), q, q, WithSession(session))
	if err != nil {
		t.Fatal(err)
	}
	q.server = s
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { s.step(ctx, 0) }); n != 0 {
		t.Errorf("%v allocations a tick, want 0", n)
	}
	if st := s.Stats(); st.Applied != st.Steps || st.Published != st.Steps {
		t.Errorf("stats = %+v, want a command applied and an observation published at each tick", st)
	}
}

func TestStep_simulatedClock(t *testing.T) {
	var now clock.Simulated
	r := &rig{t: t, start: time.Now()}
	var err error
	if r.server, err = New(robot.Go1(), backendtest.Active(t, r), r, r, WithSession(session), WithClock(&now)); err != nil {
		t.Fatal(err)
	}
	step := func(after time.Duration) {
		now.Advance(after)
		r.server.Step(t.Context())
	}
	step(10 * time.Millisecond)
	if got := r.published[0].MonotonicNs; got != 10_000_000 {
		t.Errorf("the observation is of %d ns, want 10000000", got)
	}
	r.send(nil)
	step(10 * time.Millisecond)
	if got := r.server.Stats(); got.Applied != 1 || got.Safety.State != "active" {
		t.Errorf("applied %d commands and is %s, want 1 and active", got.Applied, got.Safety.State)
	}
	step(101 * time.Millisecond) // Simulated time only.
	if got := r.server.Stats(); got.Holds != 1 || got.Steps != 3 {
		t.Errorf("%d holds after %d ticks, want 1 after 3", got.Holds, got.Steps)
	}
}
