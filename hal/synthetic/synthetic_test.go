package synthetic

import (
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

const period = 10 * time.Millisecond

// run returns the observations of n Reads. The targets change at Read 50.
func run(t *testing.T, r *robot.Robot, n int) []message.Observation {
	t.Helper()
	b := New(r, period)
	all := make([]message.Observation, n)
	for i := range all {
		if i == 50 {
			c := message.NewJointCommand(r)
			for j := range c.TargetRad {
				c.TargetRad[j] += 0.3
			}
			if err := b.Write(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Read(t.Context(), &all[i]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestRead_deterministic(t *testing.T) {
	first := run(t, robot.Go1(), 200)
	time.Sleep(3 * time.Millisecond) // Would change the result if it depended on a clock.
	if !reflect.DeepEqual(first, run(t, robot.Go1(), 200)) {
		t.Error("two runs differ")
	}
}

func TestRead_validForEveryRobot(t *testing.T) {
	for _, name := range robot.Names() {
		r, err := robot.ByName(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range run(t, r, 500) {
			if err := o.Validate(r); err != nil {
				t.Fatalf("%s: tick %d: %v", name, i, err)
			}
			q := o.IMU.Orientation
			if norm := q[0]*q[0] + q[1]*q[1] + q[2]*q[2] + q[3]*q[3]; math.Abs(norm-1) > 1e-12 {
				t.Fatalf("%s: tick %d: |q|² = %v, want 1", name, i, norm)
			}
		}
	}
}

func TestRead_jointsFollowTarget(t *testing.T) {
	r := robot.Go1()
	all := run(t, r, 150)
	for j := range r.Joints {
		before, after := all[49].PositionRad[j], all[149].PositionRad[j]
		if math.Abs(before-r.DefaultPoseRad[j]) > swayRad+1e-9 {
			t.Errorf("joint %d: %v rad before the command, want %v ± %v", j, before, r.DefaultPoseRad[j], swayRad)
		}
		if want := r.DefaultPoseRad[j] + 0.3; math.Abs(after-want) > swayRad+1e-6 {
			t.Errorf("joint %d: %v rad 1 s after the command, want %v ± %v", j, after, want, swayRad)
		}
	}
}

func TestRead_feedForwardEffort(t *testing.T) {
	r := robot.Go1()
	read := func(feedForwardNm []float64) float64 {
		b := New(r, period)
		o, c := message.NewObservation(r), message.NewJointCommand(r)
		c.FeedForwardNm = []float64{9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}
		if err := b.Write(t.Context(), c); err != nil { // The next command clears it.
			t.Fatal(err)
		}
		c.FeedForwardNm = feedForwardNm
		if err := errors.Join(b.Write(t.Context(), c), b.Read(t.Context(), o)); err != nil {
			t.Fatal(err)
		}
		return o.EffortNm[1]
	}
	without, with := read(nil), read([]float64{0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	if math.Abs(with-without-3) > 1e-9 {
		t.Errorf("effort = %v N·m without and %v with 3 N·m of feed-forward", without, with)
	}
}

func TestRead_dampedJointStays(t *testing.T) {
	r := robot.Go1()
	b, c, o := New(r, period), message.NewJointCommand(r), message.NewObservation(r)
	for j := range c.TargetRad {
		c.TargetRad[j] += 0.3
	}
	c.Kp[0] = 0
	if err := b.Write(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := b.Read(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if got, want := o.PositionRad[0], r.DefaultPoseRad[0]; math.Abs(got-want) > swayRad+1e-9 {
			t.Fatalf("joint 0 is at %v rad, want it to stay at %v ± %v", got, want, swayRad)
		}
		if got, want := o.EffortNm[0], -c.Kd[0]*o.VelocityRadPerSec[0]; got != want {
			t.Fatalf("effort of joint 0 = %v N·m, want %v, against its velocity", got, want)
		}
	}
	if got, want := o.PositionRad[1], r.DefaultPoseRad[1]+0.3; math.Abs(got-want) > swayRad+1e-6 {
		t.Errorf("joint 1, which is not damped, is at %v rad, want %v", got, want)
	}
}

func TestDeactivate_jointsStay(t *testing.T) {
	r := robot.Go1()
	b, c, o := New(r, period), message.NewJointCommand(r), message.NewObservation(r)
	for j := range c.TargetRad {
		c.TargetRad[j] += 0.3
	}
	c.FeedForwardNm = make([]float64, len(r.Joints))
	c.FeedForwardNm[0] = 1
	if err := errors.Join(b.Write(t.Context(), c), b.Deactivate(t.Context()), b.Read(t.Context(), o)); err != nil {
		t.Fatal(err)
	}
	for j := range r.Joints {
		if got, want := o.PositionRad[j], r.DefaultPoseRad[j]; math.Abs(got-want) > swayRad+1e-9 {
			t.Errorf("joint %d is at %v rad, want %v ± %v", j, got, want, swayRad)
		}
		if got, want := o.EffortNm[j], -c.Kd[j]*o.VelocityRadPerSec[j]; got != want {
			t.Errorf("effort of joint %d = %v N·m, want %v", j, got, want)
		}
	}
}

func TestRead_ratesConsistentWithPositions(t *testing.T) {
	dt := period.Seconds()
	all := run(t, robot.Go1(), 300)
	for i := 1; i < len(all); i++ {
		for j := range all[i].PositionRad {
			got := all[i].VelocityRadPerSec[j]
			want := (all[i].PositionRad[j] - all[i-1].PositionRad[j]) / dt
			if math.Abs(got-want) > 0.01 {
				t.Fatalf("tick %d joint %d: velocity %v rad/s, positions say %v", i, j, got, want)
			}
		}
		got := all[i].IMU.AngularVelocityRadPerSec
		want := rate(all[i-1].IMU.Orientation, all[i].IMU.Orientation, dt)
		for k := range got {
			if math.Abs(got[k]-want[k]) > 0.01 {
				t.Fatalf("tick %d: gyro %v rad/s, orientations say %v", i, got, want)
			}
		}
	}
}

// rate returns the mean angular velocity in the base frame between two close orientations.
func rate(from, to [4]float64, dt float64) [3]float64 {
	// The vector part of conj(from) * to is half the small rotation.
	w, x, y, z := from[0], -from[1], -from[2], -from[3]
	return [3]float64{
		2 / dt * (w*to[1] + x*to[0] + y*to[3] - z*to[2]),
		2 / dt * (w*to[2] - x*to[3] + y*to[0] + z*to[1]),
		2 / dt * (w*to[3] + x*to[2] - y*to[1] + z*to[0]),
	}
}

func TestRead_gravity(t *testing.T) {
	for i, o := range run(t, robot.Go1(), 300) {
		a := o.IMU.LinearAccelerationMps2
		if norm := math.Sqrt(a[0]*a[0] + a[1]*a[1] + a[2]*a[2]); math.Abs(norm-gravity) > 0.5 || a[2] < 9 {
			t.Fatalf("tick %d: specific force %v m/s², want about %v upwards", i, a, gravity)
		}
	}
}

func TestRead_diagonalContacts(t *testing.T) {
	for i, o := range run(t, robot.Go1(), 100) {
		if c := o.Contacts; c[0] != c[3] || c[1] != c[2] {
			t.Fatalf("tick %d: contacts %v, want FR with RL and FL with RR", i, c)
		}
	}
}

func TestRead_doesNotAllocate(t *testing.T) {
	b, o := New(robot.Go1(), period), message.NewObservation(robot.Go1())
	if n := testing.AllocsPerRun(100, func() {
		if err := b.Read(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a run, want 0", n)
	}
}
