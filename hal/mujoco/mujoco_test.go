package mujoco_test

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/hal/backend"
	"krabby.dev/krabby/hal/backend/backendtest"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/mujoco"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/internal/testfile"
)

const period = 20 * time.Millisecond

// library returns the path of the MuJoCo library.
func library(t *testing.T) string {
	t.Helper()
	return testfile.Find(t, "KRABBY_MUJOCO")
}

// model returns the path of the model of a robot.
func model(t *testing.T, name string) string {
	t.Helper()
	return testfile.Find(t, "KRABBY_"+strings.ToUpper(name)+"_MODEL")
}

func named(t *testing.T, name string) *robot.Robot {
	t.Helper()
	r, err := robot.ByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// newBackend returns a Go1 with a period of 20 ms.
func newBackend(t *testing.T, opts ...mujoco.Option) *mujoco.Backend {
	t.Helper()
	return newRobot(t, robot.Go1(), opts...)
}

func newRobot(t *testing.T, r *robot.Robot, opts ...mujoco.Option) *mujoco.Backend {
	t.Helper()
	return configured(t, r, model(t, r.Name), period, opts...)
}

// configured returns a backend with a compiled model.
func configured(t *testing.T, r *robot.Robot, model string, period time.Duration, opts ...mujoco.Option) *mujoco.Backend {
	t.Helper()
	b, err := mujoco.New(r, library(t), model, period, opts...)
	if err == nil {
		err = b.Configure(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// read reads n times and returns the last observation.
func read(t *testing.T, b *mujoco.Backend, n int) *message.Observation {
	t.Helper()
	o := &message.Observation{}
	for range n {
		if err := b.Read(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func write(t *testing.T, b *mujoco.Backend, c *message.JointCommand) {
	t.Helper()
	if err := b.Write(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func TestRead_standsInDefaultPose(t *testing.T) {
	for _, name := range []string{"go1", "go2"} {
		t.Run(name, func(t *testing.T) {
			r := named(t, name)
			b := newRobot(t, r)
			start := b.State().HeightM
			if start < 0.2 || start > 0.4 {
				t.Errorf("height at the start = %.3f m, want that of a dog", start)
			}
			o := read(t, b, 100)
			if err := o.Validate(r); err != nil {
				t.Error(err)
			}
			if s := b.State(); math.Abs(s.HeightM-start) > 0.05 || s.Time != 2*time.Second {
				t.Errorf("height = %.3f m after %v, want %.3f +-0.05 after 2s", s.HeightM, s.Time, start)
			}
			if slices.Contains(o.Contacts, false) {
				t.Errorf("contacts = %v, want all feet on the ground", o.Contacts)
			}
			if w := o.IMU.Orientation[0]; w < 0.998 {
				t.Errorf("orientation = %v, want it upright", o.IMU.Orientation)
			}
			if a := o.IMU.LinearAccelerationMps2; norm(sub(a, [3]float64{0, 0, 9.81})) > 0.7 {
				t.Errorf("acceleration = %v, want about 9.81 m/s² on z", a)
			}
			if v := o.BaseVelocityMps; !o.BaseVelocityKnown || norm(v) > 0.02 {
				t.Errorf("base velocity = %v, want 0", v)
			}
			for i, q := range o.PositionRad {
				if math.Abs(q-r.DefaultPoseRad[i]) > 0.25 || math.Abs(o.VelocityRadPerSec[i]) > 0.05 {
					t.Errorf("%s = %.3f rad, %.3f rad/s, want %.3f at rest", r.Joints[i].Name, q, o.VelocityRadPerSec[i], r.DefaultPoseRad[i])
				}
			}
		})
	}
}

func TestWrite_dampedRobotSinks(t *testing.T) {
	b := newBackend(t)
	c := message.NewJointCommand(robot.Go1())
	clear(c.Kp)
	write(t, b, c)
	read(t, b, 50)
	if s := b.State(); s.HeightM > 0.15 {
		t.Errorf("height = %.3f m, want the robot on its belly", s.HeightM)
	}
}

func TestRead_effortOfPDLoop(t *testing.T) {
	r := robot.Go1()
	for name, test := range map[string]struct {
		change  func(*message.JointCommand)
		clipped bool
	}{
		"default gains":         {func(*message.JointCommand) {}, false},
		"other gains":           {func(c *message.JointCommand) { c.Kp[0], c.Kd[0], c.Kp[5] = 20, 0.9, 50 }, false},
		"another target":        {func(c *message.JointCommand) { c.TargetRad[1] += 0.3; c.TargetRad[6] -= 0.2 }, false},
		"feed-forward":          {func(c *message.JointCommand) { c.ResizeFeedForward(12); fill(c.FeedForwardNm, 2.5) }, false},
		"damped":                {func(c *message.JointCommand) { clear(c.Kp) }, false},
		"damped, with a target": {func(c *message.JointCommand) { clear(c.Kp); fill(c.TargetRad, 4) }, false},
		"beyond the limits":     {func(c *message.JointCommand) { c.ResizeFeedForward(12); fill(c.FeedForwardNm, -300) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t)
			c := message.NewJointCommand(r)
			test.change(c)
			write(t, b, c)
			o := read(t, b, 2)
			for i, joint := range r.Joints {
				want := c.Kp[i]*(c.TargetRad[i]-o.PositionRad[i]) - c.Kd[i]*o.VelocityRadPerSec[i]
				if len(c.FeedForwardNm) > 0 {
					want += c.FeedForwardNm[i]
				}
				if test.clipped != (math.Abs(want) > joint.EffortLimitNm) {
					t.Errorf("%s: asks for %.2f N·m, which does not test the limit of %.2f", joint.Name, want, joint.EffortLimitNm)
				}
				want = min(max(want, -joint.EffortLimitNm), joint.EffortLimitNm)
				if math.Abs(o.EffortNm[i]-want) > 1e-9 {
					t.Errorf("%s: effort = %.4f N·m, want %.4f", joint.Name, o.EffortNm[i], want)
				}
			}
		})
	}
}

func fill(values []float64, v float64) {
	for i := range values {
		values[i] = v
	}
}

func TestWrite_feedForwardOfOneCommand(t *testing.T) {
	b := newBackend(t)
	c := message.NewJointCommand(robot.Go1())
	want := read(t, newBackend(t), 1).EffortNm
	c.ResizeFeedForward(12)
	fill(c.FeedForwardNm, 3)
	write(t, b, c)
	c.FeedForwardNm = c.FeedForwardNm[:0]
	write(t, b, c)
	if got := read(t, b, 1).EffortNm; !slices.Equal(got, want) {
		t.Errorf("efforts = %v, want those without feed-forward, %v", got, want)
	}
}

func TestRead_velocityInBaseFrame(t *testing.T) {
	b := newBackend(t)
	read(t, b, 10)
	b.Push([3]float64{120, 90, 0}, 100*time.Millisecond)
	o := read(t, b, 5)
	// The sensor is at the model's site, away from the base's origin, so that rotation adds to the velocity.
	offset := [3]float64{-0.01592, -0.06659, -0.00617}
	want := unrotate(o.IMU.Orientation, b.State().VelocityMps)
	turning := cross(o.IMU.AngularVelocityRadPerSec, offset)
	for i := range want {
		want[i] += turning[i]
	}
	if norm(sub(o.BaseVelocityMps, want)) > 1e-9 {
		t.Errorf("base velocity = %v, want %v", o.BaseVelocityMps, want)
	}
	if norm(want) < 0.5 || norm(o.IMU.AngularVelocityRadPerSec) < 0.1 {
		t.Errorf("velocities %v, %v are too small to tell frames apart", want, o.IMU.AngularVelocityRadPerSec)
	}
}

func TestPush(t *testing.T) {
	const massKg = 5.204 + 4*(0.68+1.009+0.195862)
	// In the air no other force acts sideways; the legs move alike with and without the push.
	velocity := func(push [3]float64, reads int) [3]float64 {
		b := newBackend(t)
		b.Push([3]float64{0, 0, 2000}, 40*time.Millisecond)
		read(t, b, 3)
		b.Push(push, 60*time.Millisecond)
		read(t, b, reads)
		return b.State().VelocityMps
	}
	for _, test := range []struct {
		reads   int
		seconds float64
	}{{1, 0.02}, {3, 0.06}, {5, 0.06}} {
		got := sub(velocity([3]float64{50, -100, 0}, test.reads), velocity([3]float64{}, test.reads))
		want := [3]float64{50 * test.seconds / massKg, -100 * test.seconds / massKg, 0}
		if norm(sub(got, want)) > 0.25*norm(want) {
			t.Errorf("after %d reads the velocity is another one by %.3f m/s, want %.3f", test.reads, got, want)
		}
	}
}

func TestRead_advancesTime(t *testing.T) {
	for _, test := range []struct {
		period time.Duration
		reads  int
		want   time.Duration
	}{
		{4 * time.Millisecond, 1, 4 * time.Millisecond},
		{20 * time.Millisecond, 3, 60 * time.Millisecond},
		{10 * time.Millisecond, 1, 8 * time.Millisecond},  // Two steps and a half:
		{10 * time.Millisecond, 2, 20 * time.Millisecond}, // no time is lost.
		{10 * time.Millisecond, 99, 988 * time.Millisecond},
		{1 * time.Millisecond, 3, 0},
	} {
		b := configured(t, robot.Go1(), model(t, "go1"), test.period)
		read(t, b, test.reads)
		write(t, b, message.NewJointCommand(robot.Go1()))
		if got := b.State().Time; got != test.want {
			t.Errorf("%d reads of %v: %v passed, want %v", test.reads, test.period, got, test.want)
		}
	}
}

func TestState_deterministic(t *testing.T) {
	states := func(seed uint64, reset bool) []float64 {
		b := newBackend(t, mujoco.WithSeed(seed), mujoco.WithTerrain(mujoco.Steps(0.05)))
		if reset {
			b.Push([3]float64{100, 0, 0}, time.Second)
			read(t, b, 20)
			if err := b.Reset(); err != nil {
				t.Fatal(err)
			}
		}
		c := message.NewJointCommand(robot.Go1())
		for i := range 50 {
			c.TargetRad[i%12] += 0.1
			write(t, b, c)
			read(t, b, 1)
		}
		return b.State().Physics
	}
	want := states(1, false)
	if got := states(1, false); !slices.Equal(got, want) {
		t.Errorf("a second run ends in %v, want %v", got, want)
	}
	if got := states(1, true); !slices.Equal(got, want) {
		t.Errorf("a run after a reset ends in %v, want %v", got, want)
	}
	if got := states(2, false); slices.Equal(got, want) {
		t.Errorf("another seed ends in the same state, %v", got)
	}
}

func TestCamera_ground(t *testing.T) {
	config := mujoco.DefaultCamera()
	b := newBackend(t, mujoco.WithCamera(config))
	o := read(t, b, 50) // The last image belongs to the last reading.
	s := b.State()
	at := s.PositionM
	for i, v := range rotate(o.IMU.Orientation, config.PositionM) {
		at[i] += v
	}
	sin, cos := math.Sincos(config.PitchRad)
	focal := float64(config.Width) / 2 / math.Tan(config.HorizontalFOVRad/2) // In pixels.
	for _, pixel := range [][2]int{{30, 53}, {59, 0}, {59, 105}, {45, 20}} {
		left, up := (float64(config.Width)/2-0.5-float64(pixel[1]))/focal, (float64(config.Height)/2-0.5-float64(pixel[0]))/focal
		// The ray whose component along the axis is 1.
		ray := rotate(o.IMU.Orientation, [3]float64{cos + up*sin, left, up*cos - sin})
		want := at[2] / -ray[2]
		if got := float64(o.Depth.Values[pixel[0]*config.Width+pixel[1]]); math.Abs(got-want) > 1e-5 {
			t.Errorf("depth at row %d, column %d = %.5f m, want %.5f", pixel[0], pixel[1], got, want)
		}
	}
}

// A floor is in view wherever the camera is: a range smaller than the distance from the floor's origin must not hide it.
func TestCamera_floorFarFromOrigin(t *testing.T) {
	config := mujoco.DefaultCamera()
	config.PositionM, config.PitchRad, config.RangeM = [3]float64{2, 0, 0.03}, math.Pi/2, 0.5
	o := read(t, newBackend(t, mujoco.WithCamera(config)), 50)
	if d := float64(o.Depth.Values[config.Height/2*config.Width+config.Width/2]); !(d > 0.2 && d < 0.4) {
		t.Errorf("depth below the camera = %v m, want the floor at about 0.3", d)
	}
}

func TestCamera_terrainAndRange(t *testing.T) {
	level := mujoco.DefaultCamera()
	level.PitchRad = 0
	center := func(t *testing.T, terrain mujoco.Terrain, config mujoco.Camera) float64 {
		o := read(t, newBackend(t, mujoco.WithTerrain(terrain), mujoco.WithCamera(config)), 1)
		return float64(o.Depth.Values[config.Height/2*config.Width+config.Width/2])
	}
	// The wall of a high step is 1 m ahead of the base, the camera 0.3 m ahead.
	if got := center(t, mujoco.Steps(0.5), level); math.Abs(got-0.7) > 0.02 {
		t.Errorf("depth of a wall = %.3f m, want 0.7", got)
	}
	if got := center(t, mujoco.Slope(0.5), level); got < 0.9 || got > 1.6 {
		t.Errorf("depth of a slope = %.3f m, want a bit over 1 m", got)
	}
	if got := center(t, mujoco.Flat(), level); !math.IsInf(got, 1) && got < 9 {
		t.Errorf("depth of a plain = %.3f m, want it far away", got)
	}
	level.RangeM = 0.5
	if got := center(t, mujoco.Steps(0.5), level); !math.IsInf(got, 1) {
		t.Errorf("depth beyond the range = %.3f m, want infinity", got)
	}
}

func TestCamera_rate(t *testing.T) {
	var now clock.Simulated
	config := mujoco.DefaultCamera()
	b := newBackend(t, mujoco.WithCamera(config), mujoco.WithClock(&now))
	var got []int64
	o := &message.Observation{}
	for range 12 {
		now.Advance(period)
		if err := b.Read(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 || got[len(got)-1] != o.Depth.MonotonicNs/int64(time.Millisecond) {
			got = append(got, o.Depth.MonotonicNs/int64(time.Millisecond))
		}
		if o.Depth.Height != 60 || o.Depth.Width != 106 || o.Depth.RateHz != 10 || o.Depth.Sequence != uint64(len(got)) {
			t.Fatalf("image %d: %+v, %dx%d", len(got), o.Depth.ImageStamp, o.Depth.Height, o.Depth.Width)
		}
	}
	if want := []int64{20, 100, 200}; !slices.Equal(got, want) {
		t.Errorf("images at %v ms, want %v", got, want)
	}
}

func TestParseTerrain(t *testing.T) {
	for _, text := range []string{"flat", "steps:0.1", "slope:10"} {
		if terrain, err := mujoco.ParseTerrain(text); err != nil || terrain.Name != text {
			t.Errorf("ParseTerrain(%q) = %q, %v", text, terrain.Name, err)
		}
	}
	for _, text := range []string{"", "hills", "steps", "steps:", "steps:0", "steps:-1", "steps:0.6", "steps:x", "slope:46", "slope:NaN", "flat:1"} {
		if terrain, err := mujoco.ParseTerrain(text); err == nil || !strings.Contains(err.Error(), "expected flat, steps:RISE") {
			t.Errorf("ParseTerrain(%q) = %q, %v, want an error that says what is expected", text, terrain.Name, err)
		}
	}
}

func TestRead_nonFiniteStateFailsUntilReset(t *testing.T) {
	b := newBackend(t)
	c := message.NewJointCommand(robot.Go1())
	c.FeedForwardNm = append(c.FeedForwardNm, make([]float64, 12)...)
	c.FeedForwardNm[3] = math.NaN()
	write(t, b, c)
	o := &message.Observation{}
	for range 2 {
		if err := b.Read(t.Context(), o); err == nil || !strings.Contains(err.Error(), "not finite") {
			t.Fatalf("Read = %v, want an error that says that the state is not finite", err)
		}
	}
	if err := b.Reset(); err != nil {
		t.Fatal(err)
	}
	if o := read(t, b, 50); o.IMU.Orientation[0] < 0.99 {
		t.Errorf("orientation after a reset = %v, want the robot to stand", o.IMU.Orientation)
	}
}

func TestConfigure_invalid(t *testing.T) {
	lib := library(t)
	broken := filepath.Join(t.TempDir(), "broken.xml")
	if err := os.WriteFile(broken, []byte("<mujoco><worldbody><body/></worldbody></mujoco>"), 0o600); err != nil {
		t.Fatal(err)
	}
	noFoot := robot.Go1()
	noFoot.Feet = []string{"FR", "tail"}
	narrow := mujoco.DefaultCamera()
	narrow.HorizontalFOVRad = 0
	for name, test := range map[string]struct {
		robot  *robot.Robot
		model  string
		period time.Duration
		opts   []mujoco.Option
		want   string
	}{
		"no model":      {robot.Go1(), "/nope.xml", period, nil, "model /nope.xml"},
		"no robot":      {robot.Go1(), broken, period, nil, "broken.xml: "},
		"another robot": {robot.Hex(), model(t, "go1"), period, nil, "found 13 joints and 12 actuators, expected a free joint and 18 of each, as hex has"},
		"a robot alike": {robot.Go2(), model(t, "go1"), period, nil, `found joint "FL_hip_joint" with a range of -0.863 to 0.863 rad, expected -1.0472 to 1.0472, as go2 has`},
		"no foot":       {noFoot, model(t, "go1"), period, nil, `geom "tail" of a foot of go1 not found`},
		"no period":     {robot.Go1(), model(t, "go1"), 0, nil, "found a period of 0s"},
		"a bad camera":  {robot.Go1(), model(t, "go1"), period, []mujoco.Option{mujoco.WithCamera(narrow)}, "camera: found a field of view of 0 rad"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := mujoco.New(test.robot, lib, test.model, test.period, test.opts...)
			if err == nil {
				err = b.Configure(t.Context())
				b.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestOpen_invalid(t *testing.T) {
	testfile.Find(t, "KRABBY_MUJOCO")
	other := filepath.Join(t.TempDir(), "libmujoco.so")
	if err := os.WriteFile(other, []byte("not a library"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/nope":   "MuJoCo library: stat /nope: no such file or directory",
		other:     "loading MuJoCo from " + other,
		"libc.so": "libc.so: no such file or directory", // Not the system's library of that name.
	} {
		if _, err := mujoco.Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%q) = %v, want %q in it", path, err, want)
		}
	}
}

func TestLifecycle(t *testing.T) {
	g := robot.Go1()
	f := mujoco.Factory{Library: library(t), Model: model(t, "go1"), Terrain: mujoco.Flat()}
	made, err := f.New(backend.Config{Robot: g, Period: period, Clock: clock.New()})
	if err != nil {
		t.Fatal(err)
	}
	l := backendtest.Active(t, made)
	b := made.(*mujoco.Backend)
	start := b.State().HeightM
	o := &message.Observation{}
	for range 50 {
		if err := l.Read(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	if h := b.State().HeightM; h < 0.85*start || b.Version() == "" || l.Health() != (backend.Health{Condition: backend.OK}) {
		t.Errorf("active: height %.3f m of %.3f, version %q, health %+v; want a standing robot", h, start, b.Version(), l.Health())
	}
	if err := l.Deactivate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := l.Read(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	if h := b.State().HeightM; h > 0.7*start {
		t.Errorf("inactive: height %.3f m of %.3f; want damped joints, which let the robot sink", h, start)
	}
	if err := l.Activate(t.Context()); err != nil || b.State().HeightM != start {
		t.Errorf("active again: error %v, height %.3f m; want the robot at its start, %.3f", err, b.State().HeightM, start)
	}
}

func TestHealth_failedAfterNonFiniteState(t *testing.T) {
	b := newBackend(t)
	c := message.NewJointCommand(robot.Go1())
	c.TargetRad[0] = math.NaN()
	write(t, b, c)
	if err := b.Read(t.Context(), &message.Observation{}); err == nil {
		t.Fatal("Read of a state that is not finite succeeded")
	}
	if h := b.Health(); h.Condition != backend.Failed || !strings.Contains(h.Reason, "not finite") {
		t.Errorf("Health = %+v, want failed", h)
	}
	if err := b.Reset(); err != nil || b.Health().Condition != backend.OK {
		t.Errorf("after Reset: error %v, health %+v; want OK", err, b.Health())
	}
}

// Feet are spheres, boxes, and boxes with spheres at their corners. All touch the floor when a robot stands, and none in the air.
func TestRobots_feet(t *testing.T) {
	for _, name := range []string{"g1", "go1", "go2", "t1"} {
		t.Run(name, func(t *testing.T) {
			r := named(t, name)
			b := newRobot(t, r)
			start := b.State()
			o := read(t, b, 5) // 0.1 s: a humanoid that only holds its pose falls later.
			if slices.Contains(o.Contacts, false) || len(o.Contacts) != len(r.Feet) {
				t.Errorf("contacts = %v, want all of %q", o.Contacts, r.Feet)
			}
			if s := b.State(); math.Abs(s.HeightM-start.HeightM) > 0.05 {
				t.Errorf("height = %.3f m, want about that at the start, %.3f: the feet stand on the floor", s.HeightM, start.HeightM)
			}
			b.Push([3]float64{0, 0, 5000}, 100*time.Millisecond)
			if o := read(t, b, 10); slices.Contains(o.Contacts, true) {
				t.Errorf("contacts in the air = %v, want none", o.Contacts)
			}
		})
	}
}

func TestFactory_modelOfRobot(t *testing.T) {
	t.Setenv("KRABBY_GO1_MODEL", "/nope/go1.xml")
	f := mujoco.Factory{Library: testfile.Find(t, "KRABBY_MUJOCO")}
	b, err := f.New(backend.Config{Robot: robot.Go1(), Period: period})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Configure(t.Context()); err == nil || !strings.Contains(err.Error(), "/nope/go1.xml") {
		t.Errorf("Configure = %v, want an error about the model that KRABBY_GO1_MODEL names", err)
	}
}

func TestFactory_missingFlags(t *testing.T) {
	t.Setenv("KRABBY_GO1_MODEL", "")
	for want, f := range map[string]mujoco.Factory{
		"--mujoco: missing": {Model: "go1.xml"},
		"--model: missing":  {Library: "libmujoco.so"},
	} {
		if _, err := f.New(backend.Config{Robot: robot.Go1(), Period: period}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("New = %v, want %q", err, want)
		}
	}
}

func rotate(q [4]float64, v [3]float64) [3]float64 {
	w, u := q[0], [3]float64{q[1], q[2], q[3]}
	a := cross(u, v)
	b := cross(u, a)
	return [3]float64{v[0] + 2*(w*a[0]+b[0]), v[1] + 2*(w*a[1]+b[1]), v[2] + 2*(w*a[2]+b[2])}
}

func unrotate(q [4]float64, v [3]float64) [3]float64 {
	return rotate([4]float64{q[0], -q[1], -q[2], -q[3]}, v)
}

func cross(a, b [3]float64) [3]float64 {
	return [3]float64{a[1]*b[2] - a[2]*b[1], a[2]*b[0] - a[0]*b[2], a[0]*b[1] - a[1]*b[0]}
}

func sub(a, b [3]float64) [3]float64 { return [3]float64{a[0] - b[0], a[1] - b[1], a[2] - b[2]} }
func norm(v [3]float64) float64      { return math.Sqrt(v[0]*v[0] + v[1]*v[1] + v[2]*v[2]) }
