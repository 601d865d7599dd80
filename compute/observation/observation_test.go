package observation_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/observation"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// go1 returns a policy for the Go1 with those terms and no history, for a rate of 50 Hz.
func go1(terms ...policy.Term) *policy.Policy {
	p := policytest.Joystick(robot.Go1())
	p.ControlRateHz, p.Observation.Terms = 50, terms
	p.Observation.Size = p.ObservationLayout().Size
	return p
}

// sensors returns an observation of the Go1 in which no two values are equal.
func sensors() *message.Observation {
	o := message.NewObservation(robot.Go1())
	o.BaseVelocityKnown, o.BaseVelocityMps = true, [3]float64{1, 2, 3}
	o.IMU.AngularVelocityRadPerSec = [3]float64{4, 5, 6}
	o.IMU.Orientation = [4]float64{math.Sqrt2 / 2, math.Sqrt2 / 2, 0, 0} // Rolled to the right by 90°.
	for i := range 12 {
		o.PositionRad[i] += 0.25 * float64(i+1)
		o.VelocityRadPerSec[i] = 100 + float64(i)
	}
	copy(o.Contacts, []bool{true, false, true, true})
	return o
}

var (
	command = message.NavigationCommand{VxMps: 7, VyMps: -8, YawRateRadPerSec: 9}
	actions = []float32{200, 201, 202, 203, 204, 205, 206, 207, 208, 209, 210, 211}
)

func newBuilder(t *testing.T, p *policy.Policy, opts ...observation.Option) *observation.Builder {
	t.Helper()
	b, err := observation.New(p, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// build builds one observation.
func build(t *testing.T, b *observation.Builder, o *message.Observation) []float32 {
	t.Helper()
	got := make([]float32, b.Size())
	if err := b.Build(got, o, command, actions); err != nil {
		t.Fatal(err)
	}
	return got
}

func checkValues(t *testing.T, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d values %v, want %v", len(got), got, want)
	}
	for i := range want {
		if !(math.Abs(float64(got[i]-want[i])) <= 1e-5) {
			t.Errorf("value %d = %v, want %v: got %v", i, got[i], want[i], got)
		}
	}
}

func TestBuild_terms(t *testing.T) {
	h := float32(math.Sqrt2 / 2)
	hips := []string{"RL_hip_joint", "FR_hip_joint"}
	gait := policy.Gait{PeriodS: 0.5, OffsetsRad: []float64{0, math.Pi / 2}, Order: policy.CosSin}
	swapped := gait
	swapped.Order = policy.SinCos
	for name, test := range map[string]struct {
		term policy.Term
		want []float32
	}{
		"base velocity":         {policy.Term{Term: policy.TermBaseLinVel}, []float32{1, 2, 3}},
		"angular velocity":      {policy.Term{Term: policy.TermBaseAngVel}, []float32{4, 5, 6}},
		"gravity":               {policy.Term{Term: policy.TermProjectedGravity}, []float32{0, -1, 0}},
		"orientation":           {policy.Term{Term: policy.TermBaseQuat}, []float32{h, h, 0, 0}},
		"roll and pitch":        {policy.Term{Term: policy.TermRollPitch}, []float32{math.Pi / 2, 0}},
		"command":               {policy.Term{Term: policy.TermVelocityCommand}, []float32{7, -8, 9}},
		"parts of the command":  {policy.Term{Term: policy.TermVelocityCommand, Axes: []string{policy.AxisYawRate, policy.AxisVx}}, []float32{9, 7}},
		"deadband":              {policy.Term{Term: policy.TermVelocityCommand, Deadband: 8}, []float32{0, 0, 9}},
		"relative position":     {policy.Term{Term: policy.TermJointPosRel, Joints: hips}, []float32{2.5, 0.25}},
		"absolute position":     {policy.Term{Term: policy.TermJointPos, Joints: hips}, []float32{2.4, 0.35}},
		"joint velocity":        {policy.Term{Term: policy.TermJointVel, Joints: hips}, []float32{109, 100}},
		"last action":           {policy.Term{Term: policy.TermLastAction, Joints: hips}, []float32{209, 200}},
		"contacts":              {policy.Term{Term: policy.TermFootContact}, []float32{1, 0, 1, 1}},
		"contacts of some feet": {policy.Term{Term: policy.TermFootContact, Feet: []string{"FL", "RL"}}, []float32{0, 1}},
		"gait":                  {policy.Term{Term: policy.TermGaitPhase, Gait: &gait}, []float32{1, 0, 0, 1}},
		"gait, sines first":     {policy.Term{Term: policy.TermGaitPhase, Gait: &swapped}, []float32{0, 1, 1, 0}},
		"height scan":           {policy.Term{Term: policy.TermHeightScan, Size: 2, Ground: &policy.Ground{HeightM: 0.3, OffsetM: 0.5}}, []float32{-0.2, -0.2}},
		"constant":              {policy.Term{Term: policy.TermConstant, Value: policy.Numbers{3, 4}}, []float32{3, 4}},
		"repeated constant":     {policy.Term{Term: policy.TermConstant, Value: policy.Numbers{3}, Size: 2}, []float32{3, 3}},
		"zeros":                 {policy.Term{Term: policy.TermConstant, Size: 2}, []float32{0, 0}},
		// 5 is clipped to 4.5, times 2, plus 1; clipping after scaling would give 5.5.
		"clip, scale, offset": {
			policy.Term{Term: policy.TermBaseAngVel, Clip: policy.Symmetric(4.5), Scale: policy.Numbers{2}, Offset: policy.Numbers{1}}, []float32{9, 10, 10},
		},
		"each element": {
			policy.Term{
				Term: policy.TermBaseAngVel, Clip: policy.Bounds{{0, 1}, {-1, 9}, {7, 8}}, Scale: policy.Numbers{1, 0.5, -1}, Offset: policy.Numbers{0, 10, 0},
			},
			[]float32{1, 12.5, -7},
		},
	} {
		t.Run(name, func(t *testing.T) { checkValues(t, build(t, newBuilder(t, go1(test.term)), sensors()), test.want) })
	}
}

// The joints of a policy and of a term may each have an order of their own.
func TestBuild_jointOrder(t *testing.T) {
	p := go1(policy.Term{Term: policy.TermJointPosRel}, policy.Term{Term: policy.TermJointVel}, policy.Term{Term: policy.TermLastAction})
	p.JointOrder = robot.Go1().JointNames()
	slices.Reverse(p.JointOrder)
	p.DefaultPoseRad = []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	o := sensors()
	for i := range 12 {
		o.PositionRad[i] = float64(i)
	}
	got := build(t, newBuilder(t, p), o)
	for i := range 12 {
		if got[i] != float32(11-2*i) || got[12+i] != float32(111-i) || got[24+i] != float32(200+i) {
			t.Errorf("joint %d: position %v, velocity %v, action %v, want %v, %v, %v", i, got[i], got[12+i], got[24+i], 11-2*i, 111-i, 200+i)
		}
	}
}

// The gait advances by the control period, whatever its phase shows while the robot stands.
func TestBuild_gait(t *testing.T) {
	b := newBuilder(t, go1(policy.Term{Term: policy.TermGaitPhase, Gait: &policy.Gait{
		PeriodS: 0.16, OffsetsRad: []float64{0}, Order: policy.CosSin,
		Standing: &policy.Standing{Below: 0.01, PhasesRad: []float64{math.Pi}},
	}}))
	got := make([]float32, 2)
	h := float32(math.Sqrt2 / 2)
	for step, test := range []struct {
		vxMps float64
		want  []float32
	}{{1, []float32{1, 0}}, {1, []float32{h, h}}, {0.009, []float32{-1, 0}}, {1, []float32{-h, h}}, {1, []float32{-1, 0}}, {1, []float32{-h, -h}}} {
		if err := b.Build(got, sensors(), message.NavigationCommand{VxMps: test.vxMps}, actions); err != nil {
			t.Fatal(err)
		}
		t.Logf("step %d: %v", step, got)
		checkValues(t, got, test.want)
	}
	b.Reset()
	checkValues(t, build(t, b, sensors()), []float32{1, 0})
}

// imuPolicy has all terms of the inertial unit, which is turned to the left by 90° and lies 1 m ahead.
func imuPolicy(orientation policy.Numbers, order string) *policy.Policy {
	p := go1(policy.Term{Term: policy.TermBaseLinVel}, policy.Term{Term: policy.TermBaseAngVel}, policy.Term{Term: policy.TermProjectedGravity}, policy.Term{Term: policy.TermBaseQuat})
	p.IMU = &policy.IMU{Orientation: orientation, QuaternionOrder: order, PositionM: policy.Numbers{1, 0, 0}}
	return p
}

func TestBuild_imu(t *testing.T) {
	h := math.Sqrt2 / 2
	// At 1 m ahead the velocity is (1, 2+6, 3-5). In a frame that is turned to the left, x is y and y is -x.
	vectors := []float32{8, -1, -2, 5, -4, 6, -1, 0, 0}
	checkValues(t, build(t, newBuilder(t, imuPolicy(policy.Numbers{h, 0, 0, h}, policy.WXYZ)), sensors()), append(slices.Clone(vectors), 0.5, 0.5, -0.5, 0.5))
	checkValues(t, build(t, newBuilder(t, imuPolicy(policy.Numbers{0, 0, h, h}, policy.XYZW)), sensors()), append(slices.Clone(vectors), 0.5, -0.5, 0.5, 0.5))
}

func TestProjectedGravity(t *testing.T) {
	h := math.Sqrt2 / 2
	for name, test := range map[string]struct {
		q    [4]float64
		want [3]float64
	}{
		"upright":           {[4]float64{1, 0, 0, 0}, [3]float64{0, 0, -1}},
		"yawed":             {[4]float64{h, 0, 0, h}, [3]float64{0, 0, -1}},
		"upside down":       {[4]float64{0, 1, 0, 0}, [3]float64{0, 0, 1}},
		"nose down":         {[4]float64{h, 0, h, 0}, [3]float64{1, 0, 0}},
		"on its right side": {[4]float64{h, h, 0, 0}, [3]float64{0, -1, 0}},
		"norm above 1":      {[4]float64{1.01, 0, 0, 0}, [3]float64{0, 0, -1}},
	} {
		got := observation.ProjectedGravity(test.q)
		for i := range got {
			if math.Abs(got[i]-test.want[i]) > 1e-12 {
				t.Errorf("%s: gravity = %v, want %v", name, got, test.want)
				break
			}
		}
	}
}

func TestRollPitchYaw(t *testing.T) {
	turn := func(axis int, angle float64) [4]float64 {
		q := [4]float64{math.Cos(angle / 2)}
		q[axis+1] = math.Sin(angle / 2)
		return q
	}
	h := math.Sqrt2 / 2
	for _, tt := range []struct {
		name string
		q    [4]float64
		want [3]float64
	}{
		{"level", [4]float64{1, 0, 0, 0}, [3]float64{}},
		{"rolled", turn(0, -0.7), [3]float64{-0.7, 0, 0}},
		{"nose down", turn(1, 0.5), [3]float64{0, 0.5, 0}},
		{"turned left", turn(2, 2.5), [3]float64{0, 0, 2.5}},
		{"negative quaternion", [4]float64{-h, 0, 0, -h}, [3]float64{0, 0, math.Pi / 2}},
		{"norm of 2", [4]float64{2 * math.Cos(0.25), 0, 2 * math.Sin(0.25), 0}, [3]float64{0, 0.5, 0}},
		{"straight down", [4]float64{h, 0, h, 0}, [3]float64{0, math.Pi / 2, 0}},
	} {
		roll, pitch, yaw := observation.RollPitchYaw(tt.q)
		if got := [3]float64{roll, pitch, yaw}; math.Abs(got[1]-tt.want[1]) > 1e-7 || tt.name != "straight down" && (math.Abs(got[0]-tt.want[0]) > 1e-12 || math.Abs(got[2]-tt.want[2]) > 1e-12) {
			t.Errorf("%s: roll, pitch, yaw = %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestBuild_wrongInput(t *testing.T) {
	b := newBuilder(t, policytest.Joystick(robot.Go1()))
	contacts := newBuilder(t, go1(policy.Term{Term: policy.TermFootContact}))
	for _, test := range []struct {
		builder                          *observation.Builder
		dst, positions, velocities, last int
		want                             string
	}{
		{b, 47, 12, 12, 12, "observation: observation buffer: found 47 values, expected 48"},
		{b, 48, 18, 12, 12, "observation: joint positions: found 18 values, expected 12"},
		{b, 48, 12, 0, 12, "observation: joint velocities: found 0 values, expected 12"},
		{b, 48, 12, 12, 11, "observation: last action: found 11 values, expected 12"},
		{b, 48, 12, 12, 12, "observation: base velocity not found"},
		{contacts, 4, 12, 12, 12, "observation: contacts: found 0 values, expected 4"},
	} {
		o := &message.Observation{PositionRad: make([]float64, test.positions), VelocityRadPerSec: make([]float64, test.velocities)}
		if test.builder == b {
			o.Contacts = make([]bool, 4)
		}
		err := test.builder.Build(make([]float32, test.dst), o, message.NavigationCommand{}, make([]float32, test.last))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error = %v, want %q in it", err, test.want)
		}
	}
}

// constantProvider writes a value into the first element of a frame.
type constantProvider struct {
	value  float32
	err    error
	resets int
}

func (p *constantProvider) Reset() { p.resets++ }

func (p *constantProvider) Provide(frame []float32, _ *message.Observation, _ message.NavigationCommand) error {
	frame[0] = p.value
	return p.err
}

func TestNew_provider(t *testing.T) {
	p := go1(policy.Term{Term: policy.TermSlot, Name: "goal", Size: 1})
	p.Observation.Provider = "maze"
	_, err := observation.New(p)
	if _, ok := errors.AsType[*policy.Error](err); !ok || !strings.Contains(err.Error(), `observation.provider: "maze" provides no slots here`) {
		t.Errorf("error = %v, want a *policy.Error about the provider", err)
	}
	provider := &constantProvider{value: 3}
	b := newBuilder(t, p, observation.WithProvider(provider))
	checkValues(t, build(t, b, sensors()), []float32{3})
	provider.err = errors.New("lost")
	if err := b.Build(make([]float32, 1), sensors(), command, actions); err == nil || err.Error() != "observation: lost" {
		t.Errorf("error = %v, want that of the provider", err)
	}
}

func TestCheckCommand(t *testing.T) {
	p := policytest.Joystick(robot.Go1())
	p.CommandRanges = policy.CommandRanges{VxMps: &policy.Range{-1.5, 1.5}, VyMps: &policy.Range{}}
	for _, test := range []struct {
		in   message.NavigationCommand
		want string
	}{
		{message.NavigationCommand{VxMps: -1.5, YawRateRadPerSec: 100}, ""},
		{message.NavigationCommand{VxMps: 1.6}, "vx_mps: found 1.6, expected -1.5 to 1.5"},
		{message.NavigationCommand{VyMps: -0.9}, "vy_mps: found -0.9, expected 0: the policy takes no other"},
		{message.NavigationCommand{VxMps: math.NaN()}, "vx_mps: found NaN, expected a finite number"},
	} {
		got := ""
		if err := observation.CheckCommand(p, test.in); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("CheckCommand(%+v) = %q, want %q", test.in, got, test.want)
		}
	}
}
