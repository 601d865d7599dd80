package parkour_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/compute/observation"
	"krabby.dev/krabby/compute/parkour"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// fakeModel is a Model for tests. It counts its runs and resets.
type fakeModel struct {
	inputs, outputs map[string][]float32
	run             func(*fakeModel) error
	runs, resets    int
}

func (m *fakeModel) InputOf(name string) []float32  { return m.inputs[name] }
func (m *fakeModel) OutputOf(name string) []float32 { return m.outputs[name] }
func (m *fakeModel) Reset()                         { m.resets++ }
func (m *fakeModel) Run() error {
	m.runs++
	if m.run != nil {
		return m.run(m)
	}
	return nil
}

// models returns the running graphs of a student: the estimator outputs 1 to 9; the depth encoder outputs the number of its
// runs as the latent, and 0.1 and -0.2 as the yaw angles.
func models() (all map[string]parkour.Model, estimator, encoder, actor *fakeModel) {
	estimator = &fakeModel{
		inputs:  map[string][]float32{"prop": make([]float32, 53)},
		outputs: map[string][]float32{"priv_explicit": {1, 2, 3, 4, 5, 6, 7, 8, 9}},
	}
	encoder = &fakeModel{
		inputs:  map[string][]float32{"prop": make([]float32, 53), "depth": make([]float32, 58*87), "memory_in": make([]float32, 512)},
		outputs: map[string][]float32{"latent_and_yaw": make([]float32, 34), "memory_out": make([]float32, 512)},
		run: func(m *fakeModel) error {
			out := m.outputs["latent_and_yaw"]
			for i := range 32 {
				out[i] = float32(m.runs)
			}
			out[32], out[33] = 0.1, -0.2
			return nil
		},
	}
	actor = &fakeModel{inputs: map[string][]float32{"scan_latent": make([]float32, 32)}}
	return map[string]parkour.Model{"estimator": estimator, "depth_encoder": encoder, "policy": actor}, estimator, encoder, actor
}

// typeMajor is the order of the policy's joints.
var typeMajor = robot.Go2().Orders["type_major"]

func teacher() *policy.Policy {
	p := policytest.ParkourPolicy()
	p.DefaultPoseRad = []float64{0.1, -0.1, 0.1, -0.1, 0.8, 0.8, 1, 1, -1.5, -1.5, -1.5, -1.5}
	p.Graphs = map[string]policy.Graph{"policy": {}, "estimator": {}}
	return p
}

func student() *policy.Policy {
	p := teacher()
	p.Graphs["depth_encoder"] = policy.Graph{EverySteps: 5, States: []policy.State{{Input: "memory_in", Output: "memory_out"}}}
	return p
}

// scanner writes to each point its index plus half the number of scans.
type scanner struct {
	scans int
	err   error
}

func (s *scanner) Scan(dst []float32, _ *message.Observation) error {
	if s.err != nil {
		return s.err
	}
	s.scans++
	for i := range dst {
		dst[i] = float32(i) + 0.5*float32(s.scans)
	}
	return nil
}

func build(t *testing.T, p *policy.Policy, opts ...parkour.Option) *observation.Builder {
	t.Helper()
	all, _, _, _ := models()
	b, err := parkour.New(p, all, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBuild(t *testing.T) {
	b := build(t, teacher(), parkour.WithScanner(&scanner{}), parkour.WithGuidance(func(*message.Observation, message.NavigationCommand) parkour.Guidance {
		return parkour.Guidance{DeltaYawRad: 0.3, DeltaNextYawRad: -0.4, Flat: true}
	}))
	r := robot.Go2()
	o := message.NewObservation(r)
	o.IMU.AngularVelocityRadPerSec = [3]float64{4, 8, -12}
	o.IMU.Orientation = [4]float64{math.Cos(0.1), math.Sin(0.1), 0, 0} // Rolled by 0.2 rad.
	// The robot's joints are in leg-major order, the policy's in type-major order.
	for i, name := range typeMajor {
		at := slices.Index(r.JointNames(), name)
		o.PositionRad[at] = r.DefaultPoseRad[at] + 0.01*float64(i+1)
		o.VelocityRadPerSec[at] = 20 * float64(i+1)
	}
	copy(o.Contacts, []bool{true, false, false, true})
	last := []float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, -12}
	got := make([]float32, 753)
	if err := b.Build(got, o, message.NavigationCommand{VxMps: 0.7}, last); err != nil {
		t.Fatal(err)
	}
	prop := []float32{
		1, 2, -3, 0.2, 0, 0, 0.3, -0.4, 0, 0, 0.7, 0, 1,
		0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.11, 0.12,
		1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
		1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, -12,
		0.5, -0.5, -0.5, 0.5,
	}
	want := slices.Clone(prop)
	for i := range 132 {
		want = append(want, min(float32(i)+0.5, 100))
	}
	want = append(want, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	want = append(want, make([]float32, 29)...)
	prop[6], prop[7] = 0, 0
	for range 10 {
		want = append(want, prop...)
	}
	if len(want) != b.Size() {
		t.Fatalf("Size = %d, want %d", b.Size(), len(want))
	}
	for i := range want {
		if math.Abs(float64(got[i]-want[i])) > 1e-6 {
			t.Errorf("obs[%d] = %v, want %v", i, got[i], want[i])
		}
	}
}

// steps builds count observations and returns them. The first value of the last action is the number of the step; the first
// step has the number first.
func steps(t *testing.T, b *observation.Builder, o *message.Observation, first, count int) [][]float32 {
	t.Helper()
	var all [][]float32
	last := make([]float32, 12)
	for i := range count {
		last[0] = float32(first + i)
		obs := make([]float32, 753)
		if err := b.Build(obs, o, message.NavigationCommand{}, last); err != nil {
			t.Fatal(err)
		}
		all = append(all, obs)
	}
	return all
}

// history returns the numbers of the steps in the history of an observation from steps, the oldest first.
func history(obs []float32) []int {
	var numbers []int
	for i := range 10 {
		numbers = append(numbers, int(obs[223+53*i+37]))
	}
	return numbers
}

func TestBuild_history(t *testing.T) {
	b := build(t, teacher(), parkour.WithScanner(parkour.FlatScanner(0.3)), parkour.WithGuidance(func(*message.Observation, message.NavigationCommand) parkour.Guidance {
		return parkour.Guidance{DeltaYawRad: 0.3, DeltaNextYawRad: -0.4}
	}))
	o := message.NewObservation(robot.Go2())
	all := steps(t, b, o, 1, 13)
	for step, want := range map[int][]int{
		1:  {1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
		2:  {1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
		3:  {1, 1, 1, 1, 1, 1, 1, 1, 1, 2},
		4:  {1, 1, 1, 1, 1, 1, 1, 1, 2, 3},
		11: {1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
		13: {3, 4, 5, 6, 7, 8, 9, 10, 11, 12},
	} {
		if got := history(all[step-1]); !slices.Equal(got, want) {
			t.Errorf("step %d: history = %v, want %v", step, got, want)
		}
	}
	for i, obs := range all {
		if obs[6] != 0.3 || obs[7] != -0.4 {
			t.Errorf("step %d: angles = %v, want 0.3 and -0.4", i+1, obs[6:8])
		}
		for j := range 10 {
			if at := 223 + 53*j; obs[at+6] != 0 || obs[at+7] != 0 {
				t.Errorf("step %d: angles %v in the history, want zeros", i+1, obs[at+6:at+8])
			}
		}
	}
	o.SessionID = 2
	if got, want := history(steps(t, b, o, 20, 1)[0]), slices.Repeat([]int{20}, 10); !slices.Equal(got, want) {
		t.Errorf("new session: history = %v, want %v", got, want)
	}
}

func TestBuild_scanInterval(t *testing.T) {
	s := &scanner{}
	b := build(t, teacher(), parkour.WithScanner(s))
	for i, obs := range steps(t, b, message.NewObservation(robot.Go2()), 1, 11) {
		if want := 0.5 * float32(i/5+1); obs[53] != want {
			t.Errorf("step %d: first point of the scan = %v, want %v", i, obs[53], want)
		}
	}
	if s.scans != 3 {
		t.Errorf("%d scans in 11 steps, want 3", s.scans)
	}
}

func TestBuild_clipping(t *testing.T) {
	b := build(t, teacher(), parkour.WithScanner(parkour.FlatScanner(0.3)))
	o := message.NewObservation(robot.Go2())
	obs, last := make([]float32, 753), make([]float32, 12)
	for vx, want := range map[float64]float32{0: 0, 0.2: 0, -0.2: 0, 0.21: 0.21, -0.5: -0.5} {
		if err := b.Build(obs, o, message.NavigationCommand{VxMps: vx}, last); err != nil {
			t.Fatal(err)
		}
		if obs[10] != want || obs[11] != 1 || obs[12] != 0 {
			t.Errorf("command %v m/s: obs[10:13] = %v, want %v, 1 and 0", vx, obs[10:13], want)
		}
	}
	o.IMU.AngularVelocityRadPerSec[1], o.VelocityRadPerSec[0], last[5] = -1000, 3000, 1e6
	if err := b.Build(obs, o, message.NavigationCommand{}, last); err != nil {
		t.Fatal(err)
	}
	if obs[1] != -100 || obs[25] != 100 || obs[42] != 100 {
		t.Errorf("angular velocity, joint velocity, last action = %v, %v, %v; want -100, 100, 100", obs[1], obs[25], obs[42])
	}
}

func TestBuild_student(t *testing.T) {
	all, estimator, encoder, actor := models()
	b, err := parkour.New(student(), all)
	if err != nil {
		t.Fatal(err)
	}
	o := message.NewObservation(robot.Go2())
	o.Depth.Resize(60, 106)
	for i := range o.Depth.Values {
		o.Depth.Values[i] = 1.5
	}
	for i, obs := range steps(t, b, o, 1, 11) {
		if math.Abs(float64(obs[6])-0.15) > 1e-7 || math.Abs(float64(obs[7])+0.3) > 1e-7 {
			t.Errorf("step %d: angles = %v, want 1.5 times 0.1 and -0.2", i, obs[6:8])
		}
		if obs[53] != 0 || obs[184] != 0 {
			t.Errorf("step %d: scan from %v to %v, want zeros", i, obs[53], obs[184])
		}
	}
	if encoder.runs != 3 || estimator.runs != 11 {
		t.Errorf("%d runs of the encoder and %d of the estimator in 11 steps, want 3 and 11", encoder.runs, estimator.runs)
	}
	if latent := actor.inputs["scan_latent"]; latent[0] != 3 || latent[31] != 3 {
		t.Errorf("latent = %v, want that of run 3", latent)
	}
	if prop := encoder.inputs["prop"]; prop[6] != 0 || prop[7] != 0 || prop[37] != 11 {
		t.Errorf("input of the encoder: angles %v, last action %v; want zeros and 11", prop[6:8], prop[37])
	}
	if prop := estimator.inputs["prop"]; math.Abs(float64(prop[6])-0.15) > 1e-7 || prop[37] != 11 {
		t.Errorf("input of the estimator: angle %v, last action %v; want 0.15 and 11", prop[6], prop[37])
	}
	for i, v := range encoder.inputs["depth"] {
		if math.Abs(float64(v)-0.25) > 1e-6 {
			t.Fatalf("depth[%d] = %v, want 1.5 m / 2 - 0.5", i, v)
		}
	}
	if encoder.resets != 1 {
		t.Errorf("%d resets of the encoder after the first step, want 1", encoder.resets)
	}
	b.Reset()
	if encoder.resets != 2 {
		t.Errorf("%d resets of the encoder after Reset, want 2", encoder.resets)
	}
}

func TestBuild_failedStep(t *testing.T) {
	all, estimator, encoder, _ := models()
	b, err := parkour.New(student(), all)
	if err != nil {
		t.Fatal(err)
	}
	o := message.NewObservation(robot.Go2())
	obs, last := make([]float32, 753), make([]float32, 12)
	fails := func(number float32, want string) {
		t.Helper()
		last[0] = number
		if err := b.Build(obs, o, message.NavigationCommand{}, last); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want %q in it", err, want)
		}
	}
	fails(90, "parkour: depth image not found")
	o.Depth.Resize(48, 64)
	fails(91, "depth image: found 48x64 pixels, expected 60x106 or more")
	o.Depth.Resize(60, 106)
	o.MonotonicNs = int64(time.Second)
	o.Depth.MonotonicNs = o.MonotonicNs - int64(301*time.Millisecond)
	fails(92, "found an age of 301ms when the joints were read, expected at most 300ms")
	o.Depth.MonotonicNs = o.MonotonicNs
	encode := encoder.run
	encoder.run = func(*fakeModel) error { return errors.New("out of memory") }
	fails(93, "depth encoder: out of memory")
	encoder.run = encode
	estimator.run = func(*fakeModel) error { return errors.New("broken") }
	fails(94, "estimator: broken")
	estimator.run = nil
	if got, want := history(steps(t, b, o, 1, 1)[0]), slices.Repeat([]int{1}, 10); !slices.Equal(got, want) {
		t.Errorf("history = %v, want %v", got, want)
	}
	estimator.run = func(*fakeModel) error { return errors.New("broken") }
	fails(95, "estimator: broken")
	estimator.run = nil
	steps(t, b, o, 2, 1)
	if got, want := history(steps(t, b, o, 3, 1)[0]), []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 2}; !slices.Equal(got, want) {
		t.Errorf("history = %v, want %v", got, want)
	}
}

func TestBuild_rejectedCommand(t *testing.T) {
	b := build(t, teacher(), parkour.WithScanner(parkour.FlatScanner(0.3)))
	o := message.NewObservation(robot.Go2())
	for _, tt := range []struct {
		command message.NavigationCommand
		want    string
	}{
		{message.NavigationCommand{VyMps: 0.1}, "vy_mps: found 0.1, expected 0"},
		{message.NavigationCommand{YawRateRadPerSec: -1}, "yaw_rate_rad_per_sec: found -1, expected 0"},
		{message.NavigationCommand{VxMps: math.NaN()}, "vx_mps: found NaN, expected a finite number"},
	} {
		err := b.Build(make([]float32, 753), o, tt.command, make([]float32, 12))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error = %v, want %q in it", err, tt.want)
		}
	}
}

func TestBuild_wrongLength(t *testing.T) {
	b := build(t, teacher(), parkour.WithScanner(parkour.FlatScanner(0.3)))
	for _, tt := range []struct {
		dst, positions, velocities, feet, last int
		want                                   string
	}{
		{752, 12, 12, 4, 12, "observation: observation buffer: found 752 values, expected 753"},
		{753, 18, 12, 4, 12, "joint positions: found 18 values, expected 12"},
		{753, 12, 0, 4, 12, "joint velocities: found 0 values, expected 12"},
		{753, 12, 12, 0, 12, "contacts: found 0 values, expected 4"},
		{753, 12, 12, 4, 18, "last action: found 18 values, expected 12"},
	} {
		o := &message.Observation{PositionRad: make([]float64, tt.positions), VelocityRadPerSec: make([]float64, tt.velocities), Contacts: make([]bool, tt.feet)}
		err := b.Build(make([]float32, tt.dst), o, message.NavigationCommand{}, make([]float32, tt.last))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error = %v, want %q in it", err, tt.want)
		}
	}
}

func TestNew_mismatch(t *testing.T) {
	type modelMap = map[string]parkour.Model
	for name, test := range map[string]struct {
		change func(*policy.Policy, modelMap)
		want   string
	}{
		"provider":  {func(p *policy.Policy, _ modelMap) { p.Observation.Provider = "maze" }, `observation.provider: found "maze", expected "parkour"`},
		"scan size": {func(p *policy.Policy, _ modelMap) { p.Observation.Terms[11].Size = 187 }, `observation.terms: found a slot "scan" of 187 values, expected 132`},
		"no scan":   {func(p *policy.Policy, _ modelMap) { p.Observation.Terms[11].Name = "image" }, `observation.terms: found a slot "scan" of 0 values, expected 132`},
		"proprioception": {
			func(p *policy.Policy, _ modelMap) { p.Observation.Terms[2].Size = 3 }, `observation.terms: found 55 values before the slot "scan", expected 53`,
		},
		"no estimator":     {func(_ *policy.Policy, m modelMap) { delete(m, "estimator") }, `graphs: "estimator" not found`},
		"no depth encoder": {func(_ *policy.Policy, m modelMap) { delete(m, "depth_encoder") }, `graphs: "depth_encoder" not found`},
		"no state":         {func(p *policy.Policy, _ modelMap) { p.Graphs["depth_encoder"] = policy.Graph{} }, "graphs.depth_encoder.states: found 0 states, expected 1 or more"},
		"image size":       {func(_ *policy.Policy, m modelMap) { m["depth_encoder"].(*fakeModel).inputs["depth"] = nil }, "found an input depth of 0 values, expected 5046"},
		"no latent":        {func(_ *policy.Policy, m modelMap) { m["policy"].(*fakeModel).inputs = nil }, "graphs.policy: found an input scan_latent of 0 values, expected 32"},
		"no scanner":       {func(p *policy.Policy, _ modelMap) { delete(p.Graphs, "depth_encoder") }, `graphs: "depth_encoder" not found: a teacher needs a scanner`},
	} {
		p := student()
		all, _, _, _ := models()
		test.change(p, all)
		_, err := parkour.New(p, all)
		if _, ok := errors.AsType[*policy.Error](err); !ok || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error = %v, want a *policy.Error with %q", name, err, test.want)
		}
	}
}
