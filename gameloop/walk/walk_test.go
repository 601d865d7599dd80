package walk_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/compute/inference"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/compute/runner"
	"krabby.dev/krabby/gameloop/walk"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/mujoco"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/safety"
	"krabby.dev/krabby/hal/server"
	"krabby.dev/krabby/internal/bringup"
	"krabby.dev/krabby/internal/testfile"
)

// forward is the command of most walks.
var forward = message.NavigationCommand{VxMps: 1}

// config returns a walk of ten seconds of the Go1 policy.
func config(t *testing.T, command message.NavigationCommand) walk.Config {
	t.Helper()
	i, err := inference.Open(inference.Options{Policy: policytest.Policy(t), ONNXRuntime: policytest.Library(t), Command: command})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	})
	return walk.Config{
		Policy: bringup.Policy{Policy: i.Policy, Builder: i.Builder, Model: i.Model},
		Physics: mujoco.Factory{
			Library: testfile.Find(t, "KRABBY_MUJOCO"),
			Model:   testfile.Find(t, "KRABBY_GO1_MODEL"),
			Terrain: mujoco.Flat(),
		},
		HALRateHz: 100,
		Command:   command,
		Duration:  10 * time.Second,
	}
}

// tryRun makes the walk and runs it.
func tryRun(t *testing.T, c walk.Config) (_ *walk.Record, err error) {
	t.Helper()
	w, err := walk.New(t.Context(), c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	return w.Run(t.Context())
}

func run(t *testing.T, c walk.Config) *walk.Record {
	t.Helper()
	r, err := tryRun(t, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", r.Summary())
	return r
}

func TestRun_walksAsCommanded(t *testing.T) {
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
		"from another pose":     {forward, func(c *walk.Config) { c.Physics.Seed = 1 }},
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
			if err := walk.Check(r); err != nil {
				t.Error(err)
			}
			if n := int(10 * c.HALRateHz); len(r.Samples) != n || r.Policy.Actions != 500 {
				t.Errorf("%d readings and %d actions, want %d and 500", len(r.Samples), r.Policy.Actions, n)
			}
		})
	}
}

func terrain(t mujoco.Terrain) func(*walk.Config) {
	return func(c *walk.Config) { c.Physics.Terrain = t }
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

// TestCheck_sabotage shows that a walk fails, for the expected reason, when a part of the control loop is broken.
func TestCheck_sabotage(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*walk.Config)
		want   string
	}{
		"the policy's output is zero": {
			func(c *walk.Config) { c.Policy.Model = sabotaged{c.Policy.Model, func(a []float32) { clear(a) }} },
			"forward velocity: found -0.0",
		},
		"the joints are permuted": {
			func(c *walk.Config) { c.Policy.Model = sabotaged{c.Policy.Model, typeMajor} },
			"forward velocity: ",
		},
		"observations are frozen": {
			func(c *walk.Config) { c.Policy.Builder = &frozen{Builder: c.Policy.Builder} },
			"forward velocity: ",
		},
		"left and right are confused": {
			func(c *walk.Config) {
				c.Policy.Model = sabotaged{c.Policy.Model, func(a []float32) { swap(a, 0, 3); swap(a, 6, 9) }}
			},
			"tilt: ",
		},
		"the push is too strong":    {push(0, 600), "tilt: "},
		"the steps are too high":    {terrain(mujoco.Steps(0.1)), "tilt: "},
		"the slew limit is a fifth": {slew(0.2), "tilt: "},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t, forward)
			test.change(&c)
			err := walk.Check(run(t, c))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Check = %v, want %q in it", err, test.want)
			}
			t.Log(err)
		})
	}
}

// sabotaged changes the output of a model.
type sabotaged struct {
	runner.Model
	spoil func([]float32)
}

func (s sabotaged) Run() error {
	err := s.Model.Run()
	s.spoil(s.Output())
	return err
}

// typeMajor reorders leg-major values as if they were type-major.
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

// frozen builds the observation of the fiftieth step in all later steps.
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

func TestRun_deterministic(t *testing.T) {
	c := config(t, forward)
	push(0, 100)(&c)
	final := func(seed uint64) mujoco.State {
		c.Physics.Seed = seed
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

func TestRun_realTime_staysUpright(t *testing.T) {
	c := config(t, forward)
	c.RealTime, c.Duration = true, 2*time.Second
	r := run(t, c)
	// The distance depends on the load of the machine: time advances with the readings.
	if s := r.Summary(); s.MaxTiltRad > 0.5 || s.MeanVxMps < 0.5 || s.SimulatedS > 2.1 {
		t.Errorf("summary = %+v, want an upright walk forward of at most 2 s", s)
	}
	if len(r.Server.Safety.Trips) > 0 {
		t.Errorf("trips = %v, want none", r.Server.Safety.Trips)
	}
}

func TestRun_invalidConfig(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*walk.Config)
		want   string
	}{
		"rates that do not fit": {func(c *walk.Config) { c.HALRateHz = 120 }, "found 120 Hz, expected a multiple of the policy's, 50 Hz"},
		"slow server":           {func(c *walk.Config) { c.HALRateHz = 25 }, "found 25 Hz"},
		"no physics library":    {func(c *walk.Config) { c.Physics.Library = "/nope.so" }, "MuJoCo library: stat /nope.so: no such file"},
		"no model":              {func(c *walk.Config) { c.Physics.Model = "/nope.xml" }, "/nope.xml"},
		"height scan on steps": {func(c *walk.Config) {
			terrain(mujoco.Steps(0.05))(c)
			c.Policy.Observation.Terms = append(c.Policy.Observation.Terms, policy.Term{Term: policy.TermHeightScan, Size: 1, Ground: &policy.Ground{HeightM: 0.3}})
		}, "--terrain: found steps:0.05, expected flat: the policy reads a height scan"},
		"no duration": {func(c *walk.Config) { c.Duration = 0 }, "no reading of the robot"},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t, forward)
			test.change(&c)
			if _, err := tryRun(t, c); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Run = %v, want %q in it", err, test.want)
			}
		})
	}
}
