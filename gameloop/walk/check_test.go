package walk_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/compute/runner"
	"krabby.dev/krabby/gameloop/walk"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/safety"
	"krabby.dev/krabby/hal/server"
)

// good is the record of a walk without violations: two seconds forward.
func good() *walk.Record {
	r := &walk.Record{
		Robot:   "go1",
		Feet:    []string{"FR", "FL"},
		Command: message.NavigationCommand{VxMps: 1},
		WallS:   0.5,
		Policy:  runner.Stats{Actions: 100},
		Server:  server.Stats{Applied: 99},
	}
	for i := range 200 {
		r.Samples = append(r.Samples, walk.Sample{
			Time:        time.Duration(i+1) * 10 * time.Millisecond,
			PositionM:   [3]float64{float64(i) / 100, 0, 0.3},
			HeightM:     0.3,
			VelocityMps: [3]float64{1, 0.1, 0},
			Contacts:    []bool{i%20 < 10, i%20 >= 10},
		})
	}
	return r
}

func TestSummary(t *testing.T) {
	r := good()
	r.Samples[7].HeightM, r.Samples[8].HeightM, r.Samples[9].TiltRad = 0.25, 0.35, 0.2
	got, want := r.Summary(), walk.Summary{
		SimulatedS:     2,
		RealTimeFactor: 4,
		MeanVxMps:      1,
		MeanVyMps:      0.1,
		MinHeightM:     0.25,
		MaxHeightM:     0.35,
		MaxTiltRad:     0.2,
		EndM:           [3]float64{1.99, 0, 0.3},
		FootfallsPerS:  4.75, // 9 of the foot that starts on the ground and 10 of the other, in 2 s.
	}
	for _, v := range []*walk.Summary{&got, &want} {
		v.MeanVxMps, v.MeanVyMps = math.Round(v.MeanVxMps*1e9), math.Round(v.MeanVyMps*1e9) // Sums have rounding errors.
	}
	if got != want {
		t.Errorf("Summary = %+v, want %+v", got, want)
	}
}

func TestCheck(t *testing.T) {
	each := func(change func(*walk.Sample)) func(*walk.Record) {
		return func(r *walk.Record) {
			for i := range r.Samples {
				change(&r.Samples[i])
			}
		}
	}
	for name, test := range map[string]struct {
		change func(*walk.Record)
		want   string // In the error; empty for none.
	}{
		"good":                  {func(*walk.Record) {}, ""},
		"a bit slow":            {each(func(s *walk.Sample) { s.VelocityMps[0] = 0.86 }), ""},
		"too slow":              {each(func(s *walk.Sample) { s.VelocityMps[0] = 0.84 }), "forward velocity: found 0.840 m/s in the mean, expected 1.000 +-0.150"},
		"too fast":              {each(func(s *walk.Sample) { s.VelocityMps[0] = 1.16 }), "forward velocity: found 1.160"},
		"backward":              {each(func(s *walk.Sample) { s.VelocityMps[0] = -1 }), "forward velocity: found -1.000"},
		"straying":              {each(func(s *walk.Sample) { s.VelocityMps[1] = -0.2 }), "velocity to the left: found -0.200 m/s in the mean, expected 0.000 +-0.150"},
		"turning":               {each(func(s *walk.Sample) { s.YawRateRadPerSec = 0.2 }), "yaw rate: found 0.200 rad/s"},
		"not a number":          {each(func(s *walk.Sample) { s.VelocityMps[0] = math.NaN() }), "forward velocity: found NaN"},
		"once too low":          {func(r *walk.Record) { r.Samples[100].HeightM = 0.19 }, "height: found 0.190 to 0.300 m above the ground, expected 0.195 to 0.405"},
		"once too high":         {func(r *walk.Record) { r.Samples[100].HeightM = 0.41 }, "height: found 0.300 to 0.410 m"},
		"once tilted":           {func(r *walk.Record) { r.Samples[100].TiltRad = 0.51 }, "tilt: found 0.51 rad, expected at most 0.50"},
		"stopped":               {func(r *walk.Record) { r.Server.Safety = safety.Report{Trips: map[string]uint64{"joint_outside": 1}} }, "safety: found the robot stopped by map[joint_outside:1]"},
		"one rejected":          {func(r *walk.Record) { r.Server.Applied, r.Server.Rejected = 98, map[string]uint64{"stale": 1} }, "server: found 98 of 100 actions applied, expected 99; rejected: map[stale:1]"},
		"no action":             {func(r *walk.Record) { r.Policy.Actions, r.Server.Applied = 0, 0 }, "server: found 0 of 0 actions applied, expected 1"},
		"held":                  {func(r *walk.Record) { r.Server.Holds = 1 }, "server: found 1 holds and 0 damps"},
		"damped":                {func(r *walk.Record) { r.Server.Damps = 1 }, "server: found 0 holds and 1 damps"},
		"late in real time":     {func(r *walk.Record) { r.RealTime, r.Server.Applied = true, 90 }, ""},
		"too late in real time": {func(r *walk.Record) { r.RealTime, r.Server.Applied = true, 89 }, "server: found 89 of 100 actions applied, expected 90"},
	} {
		t.Run(name, func(t *testing.T) {
			r := good()
			test.change(r)
			err := walk.Check(r)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("Check = %v, want nil", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("Check = %v, want %q in it", err, test.want)
			case test.want != "" && strings.Contains(err.Error(), "\n"):
				t.Errorf("Check = %v, want one violation", err)
			}
		})
	}
}
