package rollout

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

func TestRollout_Slice(t *testing.T) {
	recorded := sample()
	s := recorded.Slice(2, 4)
	if s.Steps() != 2 || s.Observation.Row(0)[0] != recorded.Observation.Row(2)[0] || len(s.Action.Values) != 2 || !slices.Equal(s.EpisodeStart, []bool{false, true}) {
		t.Errorf("slice = %+v", s)
	}
	if s.StartsEpisode(0) || !s.StartsEpisode(1) || (&Rollout{TimeS: []float64{0}}).StartsEpisode(0) {
		t.Error("StartsEpisode differs from EpisodeStart")
	}
}

// sample returns a rollout of four steps in two episodes.
func sample() *Rollout {
	g := robot.Go1()
	rec := NewRecorder(g, 1, 1)
	for n := range 4 {
		o := step(g, n)
		o.SessionID = uint64(1 + n/3)
		rec.Step(o, message.NavigationCommand{}, []float32{float32(n)}, []float32{1})
	}
	return rec.Rollout()
}

// step returns an observation whose values depend on n.
func step(r *robot.Robot, n int) *message.Observation {
	o := message.NewObservation(r)
	o.SessionID, o.MonotonicNs, o.BaseVelocityKnown = 1, int64(20_000_000*(n+5)), true
	o.PositionRad[1], o.VelocityRadPerSec[2] = float64(n), float64(2*n)
	o.IMU.AngularVelocityRadPerSec[0], o.IMU.LinearAccelerationMps2[2] = float64(3*n), 9.81
	o.BaseVelocityMps[1] = float64(4 * n)
	o.Contacts[3] = n%2 == 1
	return o
}

func TestRecorder(t *testing.T) {
	g := robot.Go1()
	rec := NewRecorder(g, 2, 3)
	const steps = chunkSteps + 3
	for n := range steps {
		o := step(g, n)
		if n >= 4 { // Another session of the server, with a new clock.
			o.SessionID, o.MonotonicNs = 2, int64(20_000_000*(n-4))
		}
		rec.Step(o, message.NavigationCommand{VxMps: 1, YawRateRadPerSec: 0.5}, []float32{float32(n), 1}, []float32{2, 3, float32(-n)})
	}
	r := rec.Rollout()
	if err := r.Check("recording"); err != nil {
		t.Fatal(err)
	}
	last := steps - 1
	for name, pair := range map[string][2]float32{
		"steps":            {float32(r.Steps()), steps},
		"position":         {r.PositionRad.Row(last)[1], float32(last)},
		"velocity":         {r.VelocityRadPerSec.Row(last)[2], float32(2 * last)},
		"orientation":      {r.Orientation.Row(last)[0], 1},
		"angular velocity": {r.AngularVelocityRadPerSec.Row(last)[0], float32(3 * last)},
		"acceleration":     {r.LinearAccelerationMps2.Row(0)[2], 9.81},
		"base velocity":    {r.BaseVelocityMps.Row(last)[1], float32(4 * last)},
		"contact":          {r.Contacts.Row(1)[3], 1},
		"no contact":       {r.Contacts.Row(2)[3], 0},
		"command":          {r.Command.Row(7)[2], 0.5},
		"observation":      {r.Observation.Row(last)[0], float32(last)},
		"action":           {r.Action.Row(last)[2], float32(-last)},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s = %v, want %v", name, pair[0], pair[1])
		}
	}
	if !r.StartsEpisode(0) || r.StartsEpisode(3) || !r.StartsEpisode(4) || r.StartsEpisode(5) {
		t.Errorf("episodes start at %v, want 0 and 4", r.EpisodeStart[:6])
	}
	if math.Abs(r.TimeS[3]-0.06) > 1e-9 || math.Abs(r.TimeS[5]-r.TimeS[4]-0.02) > 1e-9 {
		t.Errorf("times = %v, want steps of 20 ms across sessions", r.TimeS[:6])
	}
	if !slices.Equal(r.JointNames, g.JointNames()) || !slices.Equal(r.FootNames, g.Feet) {
		t.Errorf("names = %q, %q", r.JointNames, r.FootNames)
	}
}

func TestRecorder_unknownBaseVelocity(t *testing.T) {
	g := robot.Go1()
	rec := NewRecorder(g, 1, 1)
	for n := range 3 {
		o := step(g, n)
		o.BaseVelocityKnown = n != 1
		rec.Step(o, message.NavigationCommand{}, []float32{0}, []float32{0})
	}
	if r := rec.Rollout(); r.BaseVelocityMps.Present() || r.Steps() != 3 {
		t.Errorf("base velocity = %+v, want none", r.BaseVelocityMps)
	}
}

func TestRecorder_full(t *testing.T) {
	g := robot.Go1()
	rec := NewRecorder(g, 1, 1)
	rec.maxSteps = 2
	for n := range 5 {
		rec.Step(step(g, n), message.NavigationCommand{}, []float32{float32(n)}, []float32{0})
	}
	if recorded, dropped := rec.Steps(); recorded != 2 || dropped != 3 {
		t.Errorf("recorded %d, dropped %d, want 2 and 3", recorded, dropped)
	}
	if r := rec.Rollout(); r.Steps() != 2 || r.Observation.Row(1)[0] != 1 {
		t.Errorf("rollout = %+v, want the first two steps", r)
	}
	full := NewRecorder(g, 753, 12)
	if bytes := full.maxSteps * 4 * full.width(); bytes > MaxRecordedBytes || bytes < MaxRecordedBytes*9/10 {
		t.Errorf("%d steps take %d bytes, want almost %d", full.maxSteps, bytes, MaxRecordedBytes)
	}
}

func TestRecorder_Write_noSteps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.npz")
	if err := NewRecorder(robot.Go1(), 1, 1).Write(path); err == nil || !strings.Contains(err.Error(), "no steps recorded") {
		t.Errorf("Write = %v", err)
	}
}
