package walk_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/compute/joystick"
	"krabby.dev/krabby/compute/onnx"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/compute/runner"
	"krabby.dev/krabby/gameloop/walk"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/mujoco"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/safety"
	"krabby.dev/krabby/hal/server"
	"krabby.dev/krabby/hal/testfile"
)

// forward is the walk that all others are variations of.
var forward = message.NavigationCommand{VxMps: 1}

// config returns a walk of ten seconds of the Go1 policy.
func config(t *testing.T, command message.NavigationCommand) walk.Config {
	t.Helper()
	c := walk.Config{
		RobotModel: testfile.Find(t, "KRABBY_GO1_MODEL"),
		HALRateHz:  100,
		Command:    command,
		Duration:   10 * time.Second,
	}
	var err error
	if c.Policy, err = policy.Load(policytest.Policy(t)); err != nil {
		t.Fatal(err)
	}
	if c.Builder, err = joystick.New(c.Policy); err != nil {
		t.Fatal(err)
	}
	if c.Library, err = mujoco.Open(testfile.Find(t, "KRABBY_MUJOCO")); err != nil {
		t.Fatal(err)
	}
	runtime, err := onnx.Open(policytest.Library(t))
	if err != nil {
		t.Fatal(err)
	}
	session, err := runtime.NewSession(c.Policy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := session.Close(); err != nil {
			t.Error(err)
		}
		if err := runtime.Close(); err != nil {
			t.Error(err)
		}
	})
	c.Model = session
	return c
}

func run(t *testing.T, c walk.Config) *walk.Record {
	t.Helper()
	r, err := walk.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", r.Summary())
	return r
}

func TestThePolicyWalksAsItIsTold(t *testing.T) {
	for name, test := range map[string]struct {
		command message.NavigationCommand
		change  func(*walk.Config)
	}{
		"forward":               {forward, nil},
		"fast":                  {message.NavigationCommand{VxMps: 1.5}, nil},
		"backward":              {message.NavigationCommand{VxMps: -1}, nil},
		"left":                  {message.NavigationCommand{VyMps: 0.5}, nil},
		"right":                 {message.NavigationCommand{VyMps: -0.5}, nil},
		"turning left":          {message.NavigationCommand{YawRateRadPerSec: 1}, nil},
		"turning right":         {message.NavigationCommand{YawRateRadPerSec: -1}, nil},
		"standing":              {message.NavigationCommand{}, nil},
		"read at 50 Hz":         {forward, func(c *walk.Config) { c.HALRateHz = 50 }},
		"read at 250 Hz":        {forward, func(c *walk.Config) { c.HALRateHz = 250 }},
		"from another pose":     {forward, func(c *walk.Config) { c.Backend = []mujoco.Option{mujoco.WithSeed(1)} }},
		"up a slope":            {forward, terrain(mujoco.Slope(10 * math.Pi / 180))},
		"up low steps":          {forward, terrain(mujoco.Steps(0.03))},
		"pushed to the left":    {forward, push(0, 150)},
		"pushed from the front": {forward, push(-150, 0)},
		"half the slew limit":   {forward, slew(0.5)},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t, test.command)
			if test.change != nil {
				test.change(&c)
			}
			r := run(t, c)
			if err := walk.Verdict(r); err != nil {
				t.Error(err)
			}
			if n := int(10 * c.HALRateHz); len(r.Samples) != n || r.Policy.Actions != 500 {
				t.Errorf("%d readings and %d actions, want %d and 500", len(r.Samples), r.Policy.Actions, n)
			}
		})
	}
}

func terrain(t mujoco.Terrain) func(*walk.Config) {
	return func(c *walk.Config) { c.Backend = []mujoco.Option{mujoco.WithTerrain(t)} }
}

// push pushes with that force in N for 200 ms.
func push(x, y float64) func(*walk.Config) {
	return func(c *walk.Config) {
		c.Push = walk.Push{At: 5 * time.Second, During: 200 * time.Millisecond, ForceN: [3]float64{x, y, 0}}
	}
}

func slew(fraction float64) func(*walk.Config) {
	return func(c *walk.Config) {
		limits := safety.Defaults(robot.Go1())
		limits.SlewFraction = fraction
		c.Server = []server.Option{server.WithSafety(limits)}
	}
}

// What a walk is worth as a test: each of these must fail, and for its own reason.
func TestSabotageFails(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*walk.Config)
		want   string
	}{
		"the policy's output is zero": {
			func(c *walk.Config) { c.Model = sabotaged{c.Model, func(a []float32) { clear(a) }} },
			"forward velocity: found -0.0",
		},
		"the joints are permuted": {
			func(c *walk.Config) { c.Model = sabotaged{c.Model, typeMajor} },
			"forward velocity: ",
		},
		"observations are frozen": {
			func(c *walk.Config) { c.Builder = &frozen{Builder: c.Builder} },
			"forward velocity: ",
		},
		"left and right are confused": {
			func(c *walk.Config) { c.Model = sabotaged{c.Model, func(a []float32) { swap(a, 0, 3); swap(a, 6, 9) }} },
			"tilt: ",
		},
		"the push is too strong":    {push(0, 600), "tilt: "},
		"the steps are too high":    {terrain(mujoco.Steps(0.1)), "tilt: "},
		"the slew limit is a fifth": {slew(0.2), "tilt: "},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t, forward)
			test.change(&c)
			err := walk.Verdict(run(t, c))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("verdict = %v, want %q in it", err, test.want)
			}
			t.Log(err)
		})
	}
}

// sabotaged spoils what a model computes.
type sabotaged struct {
	runner.Model
	spoil func([]float32)
}

func (s sabotaged) Run() error {
	err := s.Model.Run()
	s.spoil(s.Output())
	return err
}

// typeMajor takes leg-major values for type-major ones.
func typeMajor(a []float32) {
	was := slices.Clone(a)
	for kind := range 3 {
		for leg := range 4 {
			a[3*leg+kind] = was[4*kind+leg]
		}
	}
}

// swap exchanges the three joints of two legs.
func swap(a []float32, i, j int) {
	for k := range 3 {
		a[i+k], a[j+k] = a[j+k], a[i+k]
	}
}

// frozen builds the observation of the fiftieth step for ever.
type frozen struct {
	runner.Builder
	steps int
	held  message.Observation
}

func (f *frozen) Build(dst []float32, o *message.Observation, command message.NavigationCommand, lastAction []float32) error {
	if f.steps++; f.steps <= 50 {
		f.held.CopyFrom(o)
	}
	return f.Builder.Build(dst, &f.held, command, lastAction)
}

func TestOneWalkIsLikeTheOther(t *testing.T) {
	c := config(t, forward)
	push(0, 100)(&c)
	final := func(seed uint64) mujoco.State {
		c.Backend = []mujoco.Option{mujoco.WithSeed(seed)}
		return run(t, c).Final
	}
	want := final(7)
	for range 3 {
		got := final(7)
		if got.Time != want.Time || !slices.EqualFunc(got.Physics, want.Physics, same) {
			t.Errorf("final state = %+v, want %+v, bit for bit", got, want)
		}
	}
	if other := final(8); slices.Equal(other.Physics, want.Physics) {
		t.Errorf("another seed gave the same final state, %+v", other)
	}
}

func same(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }

func TestThePolicyStaysUprightInRealTime(t *testing.T) {
	c := config(t, forward)
	c.RealTime, c.Duration = true, 2*time.Second
	r := run(t, c)
	// How far it comes depends on what else the machine does: time passes with the readings.
	if s := r.Summary(); s.MaxTiltRad > 0.5 || s.MeanVxMps < 0.5 || s.SimulatedS > 2.1 {
		t.Errorf("summary = %+v, want an upright walk forward of at most 2 s", s)
	}
	if len(r.Server.Safety.Trips) > 0 {
		t.Errorf("trips = %v, want none", r.Server.Safety.Trips)
	}
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*walk.Config)
		want   string
	}{
		"rates that do not fit": {func(c *walk.Config) { c.HALRateHz = 120 }, "found 120 Hz, expected a multiple of the policy's, 50 Hz"},
		"a slower robot":        {func(c *walk.Config) { c.HALRateHz = 25 }, "found 25 Hz"},
		"no model":              {func(c *walk.Config) { c.RobotModel = "/nope.xml" }, "/nope.xml"},
		"no time":               {func(c *walk.Config) { c.Duration = 0 }, "found no reading of the robot"},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t, forward)
			test.change(&c)
			if _, err := walk.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Run = %v, want %q in it", err, test.want)
			}
		})
	}
}
