package doctor_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/doctor"
	"krabby.dev/krabby/compute/joystick"
	"krabby.dev/krabby/compute/parkour"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/rollout"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

const steps = 200

// go1 is a policy with the layout of the joystick.
func go1() *policy.Policy {
	r := robot.Go1()
	return &policy.Policy{Robot: r, Manifest: policy.Manifest{
		Name: "test", Robot: r.Name, JointOrder: r.JointNames(), DefaultPoseRad: r.DefaultPoseRad, ActionScale: 0.5, ControlRateHz: 50,
		Observation: policy.Observation{Kind: joystick.Kind, Version: joystick.Version, Size: joystick.Size},
	}}
}

// go2 is a policy with the layout of parkour, whose joints are type-major.
func go2(t *testing.T) *policy.Policy {
	t.Helper()
	r := robot.Go2()
	order := r.Orders["type_major"]
	at, err := r.Order("type_major")
	if err != nil {
		t.Fatal(err)
	}
	pose := make([]float64, len(at))
	at.To(pose, r.DefaultPoseRad)
	return &policy.Policy{Robot: r, Manifest: policy.Manifest{
		Name: "test", Robot: r.Name, JointOrder: order, DefaultPoseRad: pose, ActionScale: 0.25, ControlRateHz: 50,
		Observation: policy.Observation{Kind: parkour.Kind, Version: parkour.Version, Size: parkour.Size},
	}}
}

// blank is what a parkour builder asks for beside sensors.
type blank struct{ prop, explicit []float32 }

func (b *blank) InputOf(string) []float32  { return b.prop }
func (b *blank) OutputOf(string) []float32 { return b.explicit }
func (b *blank) Reset()                    {}

func (b *blank) Run() error {
	copy(b.explicit, b.prop[:9])
	return nil
}

func (b *blank) Scan(dst []float32, o *message.Observation) error {
	for i := range dst {
		dst[i] = float32(math.Sin(float64(i) + o.PositionRad[0]))
	}
	return nil
}

// mover is how a scripted robot moves.
type mover struct {
	sway  float64 // Of joints, velocities and tilt; 0 stands still.
	noise float64 // Of sensors, in parts of what is usual.
}

// record scripts a robot and records what the policy's own builder makes of its sensors: a correct rollout.
func record(t *testing.T, p *policy.Policy, m mover) *rollout.Rollout {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	var build func(dst []float32, o *message.Observation, command message.NavigationCommand, lastAction []float32) error
	switch p.Observation.Kind {
	case joystick.Kind:
		b, err := joystick.New(p)
		if err != nil {
			t.Fatal(err)
		}
		build = b.Build
	case parkour.Kind:
		other := &blank{make([]float32, parkour.PropSize), make([]float32, parkour.ExplicitSize)}
		b, err := parkour.New(p, map[string]parkour.Graph{parkour.EstimatorGraph: other}, parkour.WithScanner(other),
			parkour.WithGuide(func(o *message.Observation, _ message.NavigationCommand) parkour.Guidance {
				return parkour.Guidance{DeltaYawRad: o.PositionRad[1], DeltaNextYawRad: 0.2, Flat: o.MonotonicNs/1e9%2 == 0}
			}))
		if err != nil {
			t.Fatal(err)
		}
		build = b.Build
	}
	slots, joints := slotsOf(p), len(p.Robot.Joints)
	phase, frequency := make([]float64, joints), make([]float64, joints)
	for i := range joints {
		phase[i], frequency[i] = random.Float64()*2*math.Pi, 2*math.Pi*(1.5+random.Float64()) // 1.5 to 2.5 Hz.
	}
	r := rollout.NewRecorder(p.Robot, p.Observation.Size, joints)
	action, last, observation := make([]float32, joints), make([]float32, joints), make([]float32, p.Observation.Size)
	for step := range steps {
		s := float64(step) / 50
		o := message.NewObservation(p.Robot)
		o.SessionID, o.MonotonicNs, o.BaseVelocityKnown = 1, int64(step)*20_000_000, true
		for i := range joints {
			o.PositionRad[i] += m.sway * 0.3 * math.Sin(frequency[i]*s+phase[i])
			o.VelocityRadPerSec[i] = m.sway * 0.3 * frequency[i] * math.Cos(frequency[i]*s+phase[i])
			action[i] = float32(0.2 + 0.05*float64(i) + m.sway*(math.Sin(frequency[i]*s+phase[i]+0.7)+0.3*random.NormFloat64()))
			o.PositionRad[i] += 0.01 * math.Sin(float64(3*i)) // It never stands quite as it ought to.
		}
		o.IMU.Orientation = quaternion(0.02+m.sway*0.1*math.Sin(9*s), -0.03+m.sway*0.08*math.Cos(7*s), m.sway*0.5*s)
		for i := range 3 {
			o.IMU.AngularVelocityRadPerSec[i] = m.sway * math.Sin(float64(5+2*i)*s+float64(i))
			o.BaseVelocityMps[i] = m.sway * (0.3*float64(2-i) + 0.2*math.Sin(float64(4+i)*s))
		}
		for i := range o.Contacts {
			o.Contacts[i] = m.sway == 0 || math.Sin(11*s+float64(i)*1.7) > 0
		}
		command := message.NavigationCommand{VxMps: 0.5 + m.sway*0.3*math.Sin(s)}
		if p.Observation.Kind == joystick.Kind {
			command.VyMps, command.YawRateRadPerSec = m.sway*0.2*math.Cos(s), m.sway*0.5*math.Sin(2*s)
		}
		if err := build(observation, o, command, last); err != nil {
			t.Fatal(err)
		}
		for i, slot := range slots { // As training adds it, after the sensors.
			if amount, ok := usual[slot.Quantity]; ok && slot.StepsBack == 0 && m.noise > 0 {
				observation[i] += float32(m.noise * amount * slot.Scale * random.NormFloat64())
			}
		}
		r.Step(o, command, observation, action)
		copy(last, action)
	}
	return r.Rollout()
}

// usual is a little of each sensor.
var usual = map[policy.Quantity]float64{
	policy.BaseVelocity: 0.2, policy.AngularVelocity: 0.5, policy.Gravity: 0.1, policy.RollPitch: 0.1, policy.JointPosition: 0.1, policy.JointVelocity: 1,
}

func slotsOf(p *policy.Policy) []policy.Slot {
	if p.Observation.Kind == joystick.Kind {
		return joystick.Slots(p)
	}
	return parkour.Slots(p)
}

// quaternion returns the orientation of roll, then pitch, then yaw, about the axes of the world.
func quaternion(roll, pitch, yaw float64) [4]float64 {
	sr, cr := math.Sincos(roll / 2)
	sp, cp := math.Sincos(pitch / 2)
	sy, cy := math.Sincos(yaw / 2)
	return [4]float64{
		cr*cp*cy + sr*sp*sy, sr*cp*cy - cr*sp*sy, cr*sp*cy + sr*cp*sy, cr*cp*sy - sr*sp*cy,
	}
}

// A fault changes a rollout as a mistake in training, deployment or the log does.
type fault func(p *policy.Policy, r *rollout.Rollout)

// inObservation changes the values of a quantity, of this step and of those in the history.
func inObservation(q policy.Quantity, change func(values []float64)) fault {
	return func(p *policy.Policy, r *rollout.Rollout) {
		slots := slotsOf(p)
		for t := range r.Steps() {
			row := r.Observation.Row(t)
			for back := 0; ; back++ {
				var at []int
				for i, s := range slots {
					if s.Quantity == q && s.StepsBack == back {
						at = append(at, i)
					}
				}
				if len(at) == 0 {
					break
				}
				values := make([]float64, len(at))
				for i, j := range at {
					values[i] = float64(row[j])
				}
				change(values)
				for i, j := range at {
					row[j] = float32(values[i])
				}
			}
		}
	}
}

// inLog changes the rows of an array of the sensors.
func inLog(array func(*rollout.Rollout) *rollout.Array, change func(values []float64)) fault {
	return func(_ *policy.Policy, r *rollout.Rollout) {
		a := array(r)
		for t := range r.Steps() {
			row := a.Row(t)
			values := make([]float64, len(row))
			for i, v := range row {
				values[i] = float64(v)
			}
			change(values)
			for i, v := range values {
				row[i] = float32(v)
			}
		}
	}
}

func position(r *rollout.Rollout) *rollout.Array    { return &r.PositionRad }
func velocity(r *rollout.Rollout) *rollout.Array    { return &r.VelocityRadPerSec }
func orientation(r *rollout.Rollout) *rollout.Array { return &r.Orientation }
func turning(r *rollout.Rollout) *rollout.Array     { return &r.AngularVelocityRadPerSec }

func times(f float64) func([]float64) {
	return func(values []float64) {
		for i := range values {
			values[i] *= f
		}
	}
}

// order reorders values, of which at i it puts the one that was at[i].
func order(at ...int) func([]float64) {
	return func(values []float64) {
		old := slices.Clone(values)
		for i, j := range at {
			values[i] = old[j]
		}
	}
}

// to returns how a list of the policy's joints becomes one in another order, as order wants it.
func to(p *policy.Policy, names []string) []int {
	at := make([]int, len(names))
	for i, name := range names {
		at[i] = slices.Index(p.JointOrder, name)
	}
	return at
}

// legs returns the policy's joints with those of some legs in place of others.
func legs(p *policy.Policy, exchange ...string) []string {
	var names []string
	for _, name := range p.JointOrder {
		names = append(names, strings.NewReplacer(exchange...).Replace(name))
	}
	return names
}

func both(faults ...fault) fault {
	return func(p *policy.Policy, r *rollout.Rollout) {
		for _, f := range faults {
			f(p, r)
		}
	}
}

// joints applies a change of the joints' order to all that has it in the observation.
func joints(change func(p *policy.Policy) []int) fault {
	return func(p *policy.Policy, r *rollout.Rollout) {
		at := order(change(p)...)
		both(inObservation(policy.JointPosition, at), inObservation(policy.JointVelocity, at), inObservation(policy.LastAction, at))(p, r)
	}
}

func otherMajor(p *policy.Policy) []string {
	if p.JointOrder[1] == p.Robot.Orders["type_major"][1] {
		return p.Robot.JointNames()
	}
	return p.Robot.Orders["type_major"]
}

// late makes rows of the observation those of other steps: row t has what row t - by had.
func late(by int, quantities ...policy.Quantity) fault {
	return func(p *policy.Policy, r *rollout.Rollout) {
		old, slots := r.Observation.Clone(), slotsOf(p)
		for t := range r.Steps() {
			from := min(max(t-by, 0), r.Steps()-1)
			for i, s := range slots {
				if len(quantities) == 0 || slices.Contains(quantities, s.Quantity) {
					r.Observation.Row(t)[i] = old.Row(from)[i]
				}
			}
		}
		*r = *r.Slice(max(by, 0), r.Steps()+min(by, 0)) // Without the rows that there is no other for.
	}
}

// turned turns three values of the observation by the orientation, or back.
func turned(q policy.Quantity, back bool) fault {
	return func(p *policy.Policy, r *rollout.Rollout) {
		slots := slotsOf(p)
		for t := range r.Steps() {
			row := r.Observation.Row(t)
			for i, s := range slots {
				if s.Quantity == q && s.StepsBack == 0 && strings.HasSuffix(s.Name, " x") {
					turn(r.Orientation.Row(t), row[i:i+3], back)
				}
			}
		}
	}
}

// turn multiplies by the rotation matrix.
func turn(q []float32, v []float32, back bool) {
	w, x, y, z := float64(q[0]), float64(q[1]), float64(q[2]), float64(q[3])
	m := [3][3]float64{
		{1 - 2*(y*y+z*z), 2 * (x*y - w*z), 2 * (x*z + w*y)},
		{2 * (x*y + w*z), 1 - 2*(x*x+z*z), 2 * (y*z - w*x)},
		{2 * (x*z - w*y), 2 * (y*z + w*x), 1 - 2*(x*x+y*y)},
	}
	old := [3]float64{float64(v[0]), float64(v[1]), float64(v[2])}
	for i := range 3 {
		sum := 0.0
		for j := range 3 {
			if back {
				sum += m[j][i] * old[j]
			} else {
				sum += m[i][j] * old[j]
			}
		}
		v[i] = float32(sum)
	}
}

// thinned keeps each second row.
func thinned(_ *policy.Policy, r *rollout.Rollout) {
	thin := func(a *rollout.Array) {
		var kept []float32
		for t := 0; t < len(a.Values)/a.Columns; t += 2 {
			kept = append(kept, a.Row(t)...)
		}
		a.Values = kept
	}
	for _, a := range []*rollout.Array{
		&r.PositionRad, &r.VelocityRadPerSec, &r.Orientation, &r.AngularVelocityRadPerSec, &r.LinearAccelerationMps2,
		&r.BaseVelocityMps, &r.Contacts, &r.Command, &r.Observation, &r.Action,
	} {
		thin(a)
	}
	var times []float64
	for t := 0; t < len(r.TimeS); t += 2 {
		times = append(times, r.TimeS[t])
	}
	r.TimeS, r.EpisodeStart = times, nil
}

// held keeps observation and action of each second row for the one after it too.
func held(_ *policy.Policy, r *rollout.Rollout) {
	for t := 1; t < r.Steps(); t += 2 {
		copy(r.Observation.Row(t), r.Observation.Row(t-1))
	}
}

// history rewrites each step of the history from the current values of other steps.
func history(stepsBack func(int) int) fault {
	return func(p *policy.Policy, r *rollout.Rollout) {
		slots := slotsOf(p)
		for t := range r.Steps() {
			row := r.Observation.Row(t)
			for i, s := range slots {
				if s.StepsBack > 0 && s.Of >= 0 {
					row[i] = r.Observation.Row(max(t-stepsBack(s.StepsBack), 0))[s.Of]
				}
			}
		}
	}
}

func examine(t *testing.T, p *policy.Policy, r *rollout.Rollout, opts doctor.Options) *doctor.Report {
	t.Helper()
	if opts.Noise == 0 {
		opts.Noise = -1
	}
	report, err := doctor.Examine(p, r, opts)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func describe(r *doctor.Report) string {
	var b strings.Builder
	b.WriteString(r.Verdict)
	for _, f := range r.Findings {
		b.WriteString("\n  " + string(f.Kind) + ": " + f.Says)
		for _, a := range f.Alternatives {
			b.WriteString("\n    or " + string(a.Kind) + ": " + a.Says)
		}
	}
	b.WriteString("\n  unexplained: " + strings.Join(r.Unexplained, ", "))
	for _, s := range r.Slots[:min(5, len(r.Slots))] {
		b.WriteString("\n  " + s.Name)
	}
	return b.String()
}

func TestACorrectRolloutIsCorrect(t *testing.T) {
	for name, p := range map[string]*policy.Policy{"joystick": go1(), "parkour": go2(t)} {
		for _, sway := range []float64{1, 0} {
			r := examine(t, p, record(t, p, mover{sway: sway}), doctor.Options{})
			if r.Verdict != doctor.Correct || len(r.Findings)+len(r.Unexplained) > 0 {
				t.Errorf("%s, sway %v: %s", name, sway, describe(r))
			}
			if still := slices.Contains(r.Still, "joint velocity"); still != (sway == 0) {
				t.Errorf("%s, sway %v: still = %q", name, sway, r.Still)
			}
		}
	}
}

func typeMajor(p *policy.Policy) []int { return to(p, otherMajor(p)) }

func TestEachFaultIsNamed(t *testing.T) {
	inverse := func(at []int) []int {
		back := make([]int, len(at))
		for i, j := range at {
			back[j] = i
		}
		return back
	}
	for _, test := range []struct {
		name  string
		fault fault
		kind  doctor.Kind
		says  string
		only  string // The kind of observation, empty for both.
	}{
		{"joints type-major for leg-major", joints(typeMajor), doctor.JointOrder, "-major", ""},
		{"joints the other way round", joints(func(p *policy.Policy) []int { return inverse(typeMajor(p)) }), doctor.JointOrder, "-major", ""},
		{"joints of the log", func(p *policy.Policy, r *rollout.Rollout) {
			at := order(to(p, p.Robot.Orders["type_major"])...)
			if p.Observation.Kind == parkour.Kind { // Of which the log is leg-major.
				at = order(inverse(to(p, p.Robot.JointNames()))...)
			}
			both(inLog(position, at), inLog(velocity, at))(p, r)
		}, doctor.JointOrder, "the joint arrays of the rollout are not in the order of joint_names", ""},
		{"joints of velocities", func(p *policy.Policy, r *rollout.Rollout) {
			inObservation(policy.JointVelocity, order(typeMajor(p)...))(p, r)
		}, doctor.JointOrder, "joints of joint velocity type-major", joystick.Kind},
		{"joints in any order", joints(func(*policy.Policy) []int { return []int{3, 7, 0, 1, 11, 2, 5, 4, 10, 9, 6, 8} }), doctor.Swapped, "in another order", ""},
		{"left and right", joints(func(p *policy.Policy) []int { return to(p, legs(p, "FL", "FR", "FR", "FL", "RL", "RR", "RR", "RL")) }), doctor.LegsSwapped, "left and right legs swapped", ""},
		{"front and rear", joints(func(p *policy.Policy) []int { return to(p, legs(p, "FL", "RL", "FR", "RR", "RL", "FL", "RR", "FR")) }), doctor.LegsSwapped, "front and rear legs swapped", ""},
		{"one joint's sign", inObservation(policy.JointVelocity, func(v []float64) { v[4] *= -1 }), doctor.SignFlipped, "thigh_joint in joint velocity", ""},
		{"the sign of a type", inObservation(policy.JointPosition, func(v []float64) {
			for i := range v {
				if i%3 == 2 {
					v[i] *= -1
				}
			}
		}), doctor.SignFlipped, "of all joints calf_joint in joint position", joystick.Kind},
		{"a sign in the log", inLog(position, func(v []float64) { v[1] *= -1 }), doctor.SignFlipped, "thigh_joint in joint position is flipped between the rollout and the recorded observation, before the default pose", ""},
		{"an axis", inObservation(policy.AngularVelocity, func(v []float64) { v[1] *= -1 }), doctor.SignFlipped, "of y in angular velocity", ""},
		{"gravity upside down", inObservation(policy.Gravity, times(-1)), doctor.SignFlipped, "of all values in gravity", joystick.Kind},
		{"degrees in the observation", inObservation(policy.JointPosition, times(180/math.Pi)), doctor.Degrees, "the recorded observation has joint position in degrees", ""},
		{"degrees in the log", inLog(position, times(180/math.Pi)), doctor.Degrees, "the rollout has joint positions in degrees", ""},
		{"degrees a second", inLog(turning, times(180/math.Pi)), doctor.Degrees, "the rollout has angular velocity in degrees", ""},
		{"angular velocity in the world", turned(policy.AngularVelocity, false), doctor.Frame, "the recorded observation has angular velocity in the world frame", ""},
		{"angular velocity of the log in the world", func(p *policy.Policy, r *rollout.Rollout) {
			for t := range r.Steps() {
				turn(r.Orientation.Row(t), r.AngularVelocityRadPerSec.Row(t), false)
			}
		}, doctor.Frame, "the rollout has angular velocity in the world frame", ""},
		{"base velocity in the world", turned(policy.BaseVelocity, false), doctor.Frame, "base velocity in the world frame", joystick.Kind},
		{"gravity in the world", inObservation(policy.Gravity, func(v []float64) { v[0], v[1], v[2] = 0, 0, -1 }), doctor.Frame, "gravity in the world frame", joystick.Kind},
		{"xyzw in the log", inLog(orientation, order(1, 2, 3, 0)), doctor.QuaternionOrder, "the orientation of the rollout is x, y, z, w", ""},
		{"wxyz taken for xyzw", inLog(orientation, order(3, 0, 1, 2)), doctor.QuaternionOrder, "took the orientation, which is w, x, y, z, for x, y, z, w", ""},
		{"inverted", inLog(orientation, func(v []float64) { v[1], v[2], v[3] = -v[1], -v[2], -v[3] }), doctor.QuaternionInverse, "is inverted", ""},
		{"xyzw and inverted", inLog(orientation, func(v []float64) { v[0], v[1], v[2], v[3] = -v[1], -v[2], -v[3], v[0] }), doctor.QuaternionOrder, "and it is inverted", ""},
		{"a scale", inObservation(policy.JointVelocity, times(1.7)), doctor.Scaled, "joint velocity times 1.7", ""},
		{"a scale that is almost right", inObservation(policy.JointVelocity, times(1.02)), doctor.Scaled, "joint velocity times 1.02", ""},
		{"velocities scaled that ought not to be", inObservation(policy.JointVelocity, times(0.05)), doctor.Scaled, "joint velocity times 0.05", joystick.Kind},
		{"velocities unscaled", inObservation(policy.JointVelocity, times(20)), doctor.Unscaled, "joint velocity unscaled", parkour.Kind},
		{"angular velocities unscaled", inObservation(policy.AngularVelocity, times(4)), doctor.Unscaled, "angular velocity unscaled", parkour.Kind},
		{"a command scaled one by one", inObservation(policy.Command, func(v []float64) { v[0], v[1], v[2] = 2*v[0], 2*v[1], 0.25*v[2] }), doctor.Scaled, "forward times 2, left times 2, yaw rate times 0.25", joystick.Kind},
		{"an action that is scaled", func(p *policy.Policy, r *rollout.Rollout) {
			inObservation(policy.LastAction, times(p.ActionScale))(p, r)
		}, doctor.Scaled, "the action's scale", ""},
		{"no default pose", func(p *policy.Policy, r *rollout.Rollout) {
			inObservation(policy.JointPosition, func(v []float64) {
				for i := range v {
					v[i] += p.DefaultPoseRad[i]
				}
			})(p, r)
		}, doctor.DefaultPose, "without the default pose subtracted", ""},
		{"a default pose too many", func(p *policy.Policy, r *rollout.Rollout) {
			inLog(position, func(v []float64) {
				for i := range v {
					v[i] -= p.Robot.DefaultPoseRad[i]
				}
			})(p, r)
		}, doctor.DefaultPose, "the rollout's joint positions have the default pose subtracted already", ""},
		{"another default pose", inObservation(policy.JointPosition, func(v []float64) { v[1], v[7] = v[1]+0.1, v[7]+0.1 }), doctor.Offset, "differs by a constant", ""},
		{"all a step late", late(1), doctor.Delay, "all values in the recorded observation: 1 step older", ""},
		{"all a step early", late(-1), doctor.Delay, "all values in the recorded observation: 1 step newer", ""},
		{"sensors two steps late", late(2, policy.BaseVelocity, policy.AngularVelocity, policy.Gravity, policy.JointPosition, policy.JointVelocity), doctor.Delay, "all sensors in the recorded observation: 2 steps older", joystick.Kind},
		{"the last action a step late", late(1, policy.LastAction), doctor.Delay, "the last action in the recorded observation is that of 1 step earlier", ""},
		{"the action of the same step", late(-1, policy.LastAction), doctor.Delay, "the action of the same step", ""},
		{"each second row only", thinned, doctor.WrongRate, "the rollout has 25 steps a second, the policy was trained for 50", ""},
		{"rows held", both(history(func(back int) int { return 2 * back }), held), doctor.WrongRate, "in each second row only", ""},
		{"joint velocities clipped", inObservation(policy.JointVelocity, func(v []float64) {
			for i := range v {
				v[i] = min(max(v[i], -0.1), 0.1)
			}
		}), doctor.Clipped, "joint velocity clipped to ±0.1", ""},
		{"the newest step first", history(func(back int) int { return 11 - back }), doctor.HistoryOrder, "newest step first", parkour.Kind},
		{"the current step in the history", history(func(back int) int { return back - 1 }), doctor.HistoryTiming, "has the current step in it", parkour.Kind},
		{"a history of each second step", history(func(back int) int { return 2 * back }), doctor.WrongRate, "2 steps of the policy apart", parkour.Kind},
		{"no history", func(p *policy.Policy, r *rollout.Rollout) {
			for t := range r.Steps() {
				clear(r.Observation.Row(t)[223:])
			}
		}, doctor.NotFilledIn, "0 for the history", parkour.Kind},
		{"no velocities", inObservation(policy.JointVelocity, times(0)), doctor.NotFilledIn, "0 for joint velocity", ""},
		{"axes exchanged", inObservation(policy.AngularVelocity, order(1, 0, 2)), doctor.Swapped, "x is y, y is x", ""},
	} {
		for kind, p := range map[string]*policy.Policy{joystick.Kind: go1(), parkour.Kind: go2(t)} {
			if test.only != "" && test.only != kind {
				continue
			}
			t.Run(test.name+"/"+kind, func(t *testing.T) {
				for _, noise := range []float64{0, 0.01} {
					if noise > 0 && (kind == parkour.Kind || test.name == "a scale that is almost right") {
						continue // Its history repeats the noise, and a scale of 1.02 is less than it.
					}
					r := record(t, p, mover{1, noise})
					test.fault(p, r)
					report := examine(t, p, r, doctor.Options{})
					if report.Verdict != doctor.Differs || len(report.Findings) == 0 || report.Findings[0].Kind != test.kind || !strings.Contains(report.Findings[0].Says, test.says) {
						t.Errorf("noise %v: %s\nwant %s: %s", noise, describe(report), test.kind, test.says)
						continue
					}
					f := report.Findings[0]
					if f.Ambiguous {
						t.Errorf("noise %v: ambiguous, of a robot that moves: %s", noise, describe(report))
					}
					if noise == 0 && len(report.Unexplained) > 0 || f.Fix == "" || test.name != "each second row only" && !(f.After < f.Before/2) {
						t.Errorf("noise %v: before %v, after %v, fix %q: %s", noise, f.Before, f.After, f.Fix, describe(report))
					}
				}
			})
		}
	}
}

func TestFaultsInDifferentPlacesAreFoundTogether(t *testing.T) {
	unscaled := inObservation(policy.JointVelocity, times(3))
	for name, test := range map[string]struct {
		p      *policy.Policy
		fault  fault
		quoted []string
	}{
		"a scale and an axis": {go1(), both(unscaled, inObservation(policy.AngularVelocity, func(v []float64) { v[2] *= -1 })),
			[]string{"joint velocity times 3", "of z in angular velocity"}},
		"a quaternion and a default pose": {go1(), both(inLog(orientation, order(1, 2, 3, 0)), func(p *policy.Policy, r *rollout.Rollout) {
			inObservation(policy.JointPosition, func(v []float64) {
				for i := range v {
					v[i] += p.DefaultPoseRad[i]
				}
			})(p, r)
		}), []string{"the orientation of the rollout is x, y, z, w", "without the default pose subtracted"}},
		"a delay of all and a scale": {go1(), both(unscaled, late(1)), []string{"all values in the recorded observation: 1 step older", "joint velocity times 3"}},
		"degrees and a history": {go2(t), both(inObservation(policy.AngularVelocity, times(180/math.Pi)), history(func(back int) int { return 11 - back })),
			[]string{"angular velocity in degrees", "newest step first"}},
		"legs and a command": {go2(t), both(
			joints(func(p *policy.Policy) []int { return to(p, legs(p, "FL", "FR", "FR", "FL", "RL", "RR", "RR", "RL")) }),
			inObservation(policy.Command, times(2))), []string{"left and right legs swapped", "command times 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t, test.p, mover{sway: 1})
			test.fault(test.p, r)
			report := examine(t, test.p, r, doctor.Options{})
			var said []string
			for _, f := range report.Findings {
				said = append(said, f.Says)
			}
			for _, want := range test.quoted {
				if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, want) }) {
					t.Errorf("no finding says %q", want)
				}
			}
			if len(report.Findings) != len(test.quoted) || len(report.Unexplained) > 0 {
				t.Error(describe(report))
			}
		})
	}
}

// Factors, one by one, explain a scale with a sign. Another order with a factor is beyond what is tried: then nothing is
// named, rather than half of it.
func TestTwoMistakesInOneQuantityAreFactorsOrNotExplained(t *testing.T) {
	front := func(v []float64) { v[0], v[1], v[2], v[3], v[4], v[5] = v[3], v[4], v[5], v[0], v[1], v[2] }
	for name, test := range map[string]struct {
		quantity policy.Quantity
		factor   float64
		second   func([]float64)
		says     string // Empty where it stays unexplained.
	}{
		"a scale and a sign":   {policy.JointVelocity, 3, func(v []float64) { v[4] *= -1 }, "FL_hip_joint times 3, FL_thigh_joint times -3, FL_calf_joint times 3"},
		"degrees and an axis":  {policy.AngularVelocity, 180 / math.Pi, func(v []float64) { v[1] *= -1 }, "x times 57.3, y times -57.3, z times 57.3"},
		"a scale and legs":     {policy.JointVelocity, 3, front, ""},
		"degrees and the legs": {policy.JointPosition, 180 / math.Pi, front, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t, go1(), mover{sway: 1})
			both(inObservation(test.quantity, times(test.factor)), inObservation(test.quantity, test.second))(go1(), r)
			report := examine(t, go1(), r, doctor.Options{})
			if test.says != "" {
				if len(report.Findings) != 1 || !strings.Contains(report.Findings[0].Says, test.says) || len(report.Unexplained) > 0 {
					t.Errorf("want one finding that says %q: %s", test.says, describe(report))
				}
				return
			}
			if report.Verdict != doctor.Differs || len(report.Findings) > 0 || !slices.Equal(report.Unexplained, []string{string(test.quantity)}) {
				t.Errorf("want %s, unexplained: %s", test.quantity, describe(report))
			}
		})
	}
}

// Of a robot that stands many mistakes do not show, and others look alike. What is named for certain must be right.
func TestOfAStandingRobotNothingIsSaidThatIsNotKnown(t *testing.T) {
	for name, test := range map[string]struct {
		fault fault
		kind  doctor.Kind // What it is, and so the only thing that may be said for certain.
	}{
		"left and right": {joints(func(p *policy.Policy) []int { return to(p, legs(p, "FL", "FR", "FR", "FL", "RL", "RR", "RR", "RL")) }), doctor.LegsSwapped},
		"type-major":     {joints(typeMajor), doctor.JointOrder},
		"sign":           {inObservation(policy.JointPosition, func(v []float64) { v[0] *= -1 }), doctor.SignFlipped},
		"velocity sign":  {inObservation(policy.JointVelocity, times(-1)), doctor.SignFlipped},
		"degrees":        {inObservation(policy.JointPosition, times(180/math.Pi)), doctor.Degrees},
		"default pose": {func(p *policy.Policy, r *rollout.Rollout) {
			inObservation(policy.JointPosition, func(v []float64) {
				for i := range v {
					v[i] += p.DefaultPoseRad[i]
				}
			})(p, r)
		}, doctor.DefaultPose},
		"xyzw":          {inLog(orientation, order(1, 2, 3, 0)), doctor.QuaternionOrder},
		"inverted":      {inLog(orientation, func(v []float64) { v[1], v[2], v[3] = -v[1], -v[2], -v[3] }), doctor.QuaternionInverse},
		"gravity":       {inObservation(policy.Gravity, func(v []float64) { v[0], v[1], v[2] = 0, 0, -1 }), doctor.Frame},
		"delay":         {late(1), doctor.Delay},
		"action delay":  {late(1, policy.LastAction), doctor.Delay},
		"action scale":  {inObservation(policy.LastAction, times(0.5)), doctor.Scaled},
		"command scale": {inObservation(policy.Command, times(2)), doctor.Scaled},
		"held":          {held, doctor.WrongRate},
	} {
		for kind, p := range map[string]*policy.Policy{joystick.Kind: go1(), parkour.Kind: go2(t)} {
			for _, noise := range []float64{0, 0.02} {
				r := record(t, p, mover{0, noise})
				test.fault(p, r)
				report := examine(t, p, r, doctor.Options{})
				if len(report.Findings) > 0 && !report.Findings[0].Ambiguous && report.Findings[0].Kind != test.kind {
					t.Errorf("%s, %s, noise %v: named for certain: %s", name, kind, noise, describe(report))
				}
				if report.Verdict == doctor.Correct && !slices.Contains(report.Still, "joint velocity") {
					t.Errorf("%s, %s, noise %v: correct, without a word of what stood still: %s", name, kind, noise, describe(report))
				}
			}
		}
	}
}

func TestNoiseIsToldFromFaults(t *testing.T) {
	p := go1()
	for _, test := range []struct {
		name    string
		noise   float64
		allowed float64
		want    string
	}{
		{"a little noise", 0.02, -1, doctor.Noisy},
		{"much noise", 0.3, -1, doctor.Differs},
		{"much noise that is allowed", 0.3, 0.5, doctor.Noisy},
	} {
		for _, sway := range []float64{1, 0} {
			report := examine(t, p, record(t, p, mover{sway, test.noise}), doctor.Options{Noise: test.allowed})
			if report.Verdict != test.want || len(report.Findings) > 0 || report.LooksLikeNoise != (test.want == doctor.Differs) {
				t.Errorf("%s, sway %v: %s; want %s and no finding", test.name, sway, describe(report), test.want)
			}
		}
	}
	drifting := record(t, p, mover{sway: 1})
	for t := range drifting.Steps() {
		drifting.Observation.Row(t)[7] += float32(math.Sin(float64(t*t) / 3000))
	}
	if report := examine(t, p, drifting, doctor.Options{}); report.LooksLikeNoise || !slices.Equal(report.Unexplained, []string{"gravity"}) {
		t.Errorf("a drift: looks like noise: %v, %s", report.LooksLikeNoise, describe(report))
	}
	// The last action is nobody's sensor.
	r := record(t, p, mover{sway: 1})
	for t := range r.Steps() {
		r.Observation.Row(t)[35] += 0.01 * float32(t%7-3)
	}
	if report := examine(t, p, r, doctor.Options{}); report.Verdict != doctor.Differs || !slices.Equal(report.Unexplained, []string{"last action"}) {
		t.Errorf("noise in the last action: %s", describe(report))
	}
}

func TestRoundingIsNoFault(t *testing.T) {
	for name, p := range map[string]*policy.Policy{"joystick": go1(), "parkour": go2(t)} {
		r := record(t, p, mover{sway: 1})
		for _, a := range []*rollout.Array{&r.PositionRad, &r.VelocityRadPerSec, &r.Orientation, &r.AngularVelocityRadPerSec, &r.Observation, &r.Action} {
			for i, v := range a.Values { // As float16 has it: 11 bits.
				mantissa, exponent := math.Frexp(float64(v))
				a.Values[i] = float32(math.Ldexp(math.Round(mantissa*2048)/2048, exponent))
			}
		}
		r.Rounding = 1.0 / 2048
		if report := examine(t, p, r, doctor.Options{}); report.Verdict != doctor.Correct {
			t.Errorf("%s: %s", name, describe(report))
		}
		if r.Rounding = 0; examine(t, p, r, doctor.Options{}).Verdict == doctor.Correct {
			t.Errorf("%s: differences of float16 count as equal in float32", name)
		}
	}
}

func TestWhatNothingExplainsIsSaidToBeUnexplained(t *testing.T) {
	p := go1()
	r := record(t, p, mover{sway: 1})
	random := rand.New(rand.NewPCG(3, 4))
	for t := range r.Steps() {
		r.Observation.Row(t)[25] = float32(random.NormFloat64())
	}
	report := examine(t, p, r, doctor.Options{})
	if report.Verdict != doctor.Differs || len(report.Findings) > 0 || !slices.Equal(report.Unexplained, []string{"joint velocity"}) || report.Slots[0].Index != 25 || report.Slots[0].Agrees || !report.Slots[1].Agrees {
		t.Errorf("%s", describe(report))
	}
}

func TestWhatARolloutLacksIsNotChecked(t *testing.T) {
	p := go1()
	r := record(t, p, mover{sway: 1})
	r.BaseVelocityMps = rollout.Array{}
	report := examine(t, p, r, doctor.Options{})
	if report.Verdict != doctor.Correct || report.NotChecked["base velocity"] == "" || len(report.Slots) != 45 {
		t.Errorf("%d slots, not checked %v: %s", len(report.Slots), report.NotChecked, describe(report))
	}
	p = go2(t)
	r = record(t, p, mover{sway: 1})
	r.Contacts = rollout.Array{}
	report = examine(t, p, r, doctor.Options{})
	if report.Verdict != doctor.Correct || report.NotChecked["contact"] == "" || report.NotChecked["from elsewhere"] == "" || len(report.Slots) != (53-4)*11-4 {
		t.Errorf("%d slots, not checked %v: %s", len(report.Slots), report.NotChecked, describe(report))
	}
}

// An episode need not begin with the rollout: what came before is then not known, and not taken for 0.
func TestARolloutMayBeginAnywhere(t *testing.T) {
	for name, p := range map[string]*policy.Policy{"joystick": go1(), "parkour": go2(t)} {
		r := record(t, p, mover{sway: 1})
		if report := examine(t, p, r.Slice(37, steps), doctor.Options{}); report.Verdict != doctor.Correct || report.Steps != steps-37 {
			t.Errorf("%s: %s", name, describe(report))
		}
		if report := examine(t, p, r, doctor.Options{Skip: 50, Steps: 100}); report.Verdict != doctor.Correct || report.Steps != 100 || report.Skipped != 50 {
			t.Errorf("%s, skipped: %s", name, describe(report))
		}
		// With the wrong first steps, as a simulator that resets has them.
		for t := range 3 {
			r.Observation.Row(t)[len(r.Observation.Row(t))-9] = 7
		}
		if report := examine(t, p, r, doctor.Options{}); report.Verdict != doctor.Differs {
			t.Errorf("%s, wrong at the start: %s", name, describe(report))
		}
		if report := examine(t, p, r, doctor.Options{Skip: 3}); report.Verdict != doctor.Correct {
			t.Errorf("%s, without the start: %s", name, describe(report))
		}
	}
}

func TestJointsAndFeetAreFoundByName(t *testing.T) {
	p := go2(t)
	r := record(t, p, mover{sway: 1})
	at := []int{7, 3, 0, 1, 11, 2, 5, 4, 10, 9, 6, 8}
	both(inLog(position, order(at...)), inLog(velocity, order(at...)),
		inLog(func(r *rollout.Rollout) *rollout.Array { return &r.Contacts }, order(2, 0, 3, 1)))(p, r)
	names := make([]string, len(at))
	for i, j := range at {
		names[i] = r.JointNames[j]
	}
	r.JointNames, r.FootNames = names, []string{"RL", "FL", "RR", "FR"}
	if report := examine(t, p, r, doctor.Options{}); report.Verdict != doctor.Correct {
		t.Error(describe(report))
	}
}

func TestARolloutOfAnotherPolicyIsRefused(t *testing.T) {
	p := go1()
	for name, test := range map[string]struct {
		change func(r *rollout.Rollout)
		opts   doctor.Options
		want   string
	}{
		"another observation": {func(r *rollout.Rollout) { r.Observation = rollout.NewArray(steps, 47) }, doctor.Options{}, "observation: found 47 values in each step of the rollout, expected 48"},
		"other actions":       {func(r *rollout.Rollout) { r.Action = rollout.NewArray(steps, 8) }, doctor.Options{}, "action: found 8 values in each step of the rollout, expected 12"},
		"other joints":        {func(r *rollout.Rollout) { r.JointNames = slices.Repeat([]string{"joint"}, 12) }, doctor.Options{}, `expected "FR_hip_joint" among them`},
		"other feet":          {func(r *rollout.Rollout) { r.FootNames = []string{"a", "b", "c", "d"} }, doctor.Options{}, `expected one of the foot "FR"`},
		"too few steps":       {func(r *rollout.Rollout) { *r = *r.Slice(0, 24) }, doctor.Options{}, "found 24 steps, 0 of them to be skipped, expected 25 or more"},
		"too much skipped":    {func(*rollout.Rollout) {}, doctor.Options{Skip: 190}, "found 200 steps, 190 of them to be skipped"},
	} {
		r := record(t, p, mover{sway: 1})
		test.change(r)
		if _, err := doctor.Examine(p, r, test.opts); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	p.Observation.Kind = "dance"
	if _, err := doctor.Examine(p, record(t, go1(), mover{}), doctor.Options{}); err == nil || !strings.Contains(err.Error(), "observation.kind") {
		t.Errorf("another kind: %v", err)
	}
}

// linear is a model whose answer follows from its input.
type linear struct{ input, output []float32 }

func (m *linear) Input() []float32  { return m.input }
func (m *linear) Output() []float32 { return m.output }
func (m *linear) Run() error {
	for i := range m.output {
		m.output[i] = m.input[i+9] - 2*m.input[i+21]
	}
	return nil
}

func TestActionsAreComparedWithThePolicysAnswers(t *testing.T) {
	p := go1()
	for name, test := range map[string]struct {
		change func(r *rollout.Rollout)
		agrees bool
		says   string
	}{
		"right":  {func(*rollout.Rollout) {}, true, ""},
		"a step": {func(r *rollout.Rollout) { r.Action.Values = slices.Concat(r.Action.Values[12:], r.Action.Row(0)) }, false, "the observations of the step after"},
		"scaled": {func(r *rollout.Rollout) { scale(r, func(_ int, v float64) float64 { return 0.5 * v }) }, false, "are scaled already"},
		"targets": {func(r *rollout.Rollout) {
			scale(r, func(i int, v float64) float64 { return p.DefaultPoseRad[i] + 0.5*v })
		}, false, "are joint targets"},
		"clipped":  {func(r *rollout.Rollout) { scale(r, func(_ int, v float64) float64 { return min(max(v, -1), 1) }) }, false, "are clipped to ±1"},
		"anything": {func(r *rollout.Rollout) { scale(r, func(i int, v float64) float64 { return v * v }) }, false, ""},
	} {
		model := &linear{make([]float32, 48), make([]float32, 12)}
		r := record(t, p, mover{sway: 1})
		for t := range r.Steps() {
			copy(model.input, r.Observation.Row(t))
			_ = model.Run()
			copy(r.Action.Row(t), model.output)
		}
		r.EpisodeStart = nil
		test.change(r)
		report, err := doctor.Examine(p, r, doctor.Options{Noise: -1, Model: model})
		if err != nil {
			t.Fatal(err)
		}
		if a := report.Action; a == nil || a.Agrees != test.agrees || !strings.Contains(a.Says, test.says) || (a.Says == "") != (test.says == "") {
			t.Errorf("%s: action = %+v, want agrees %v and %q", name, a, test.agrees, test.says)
		}
	}
}

func scale(r *rollout.Rollout, change func(i int, v float64) float64) {
	for i, v := range r.Action.Values {
		r.Action.Values[i] = float32(change(i%12, float64(v)))
	}
}
