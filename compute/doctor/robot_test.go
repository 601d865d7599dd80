package doctor_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"krabby.dev/krabby/compute/observation"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/compute/rollout"
	"krabby.dev/krabby/hal/message"
)

// steps is the number of steps of a recorded rollout.
const steps = 200

// The observations of the policies under test.
const (
	joystick = "joystick"
	parkour  = "parkour"
)

// policies returns the policies under test by the kind of their observation.
func policies(t *testing.T) map[string]*policy.Policy {
	t.Helper()
	return map[string]*policy.Policy{joystick: joystickPolicy(), parkour: policytest.ParkourPolicy()}
}

// elementsOf returns the elements of the observation of p.
func elementsOf(p *policy.Policy) []policy.ObservationElement {
	return policy.Elements(p.ObservationTerms())
}

// slots stands in for the provider of parkour's slots: values that change with the joints, and the kind of ground with time.
type slots struct{}

func (slots) Reset() {}

func (slots) Provide(frame []float32, o *message.Observation, _ message.NavigationCommand) error {
	frame[6], frame[7] = float32(o.PositionRad[1]), 0.2
	frame[11+(o.MonotonicNs/1e9+1)%2] = 1
	for i := range 132 {
		frame[53+i] = float32(math.Sin(float64(i) + o.PositionRad[0]))
	}
	copy(frame[185:194], frame)
	return nil
}

// builder builds observations.
type builder interface {
	Build(dst []float32, o *message.Observation, command message.NavigationCommand, lastAction []float32) error
}

func newBuilder(t *testing.T, p *policy.Policy) builder {
	t.Helper()
	b, err := observation.New(p, observation.WithProvider(slots{}))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// motion is how a scripted robot moves.
type motion struct {
	sway  float64 // The amplitude of joints, velocities and tilt; 0 stands still.
	noise float64 // The noise of sensors, as a fraction of what is usual.
}

// usual is a small change of each measured quantity.
var usual = map[policy.Quantity]float64{
	policy.BaseVelocity: 0.2, policy.AngularVelocity: 0.5, policy.Gravity: 0.1, policy.RollPitch: 0.1, policy.JointPosition: 0.1, policy.JointVelocity: 1,
}

// record returns a correct rollout: a scripted robot, and what the policy's own builder makes of its sensors.
func record(t *testing.T, p *policy.Policy, m motion) *rollout.Rollout {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	build := newBuilder(t, p)
	elements, joints := elementsOf(p), len(p.Robot.Joints)
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
			o.PositionRad[i] += 0.01 * math.Sin(float64(3*i)) // A robot never stands exactly in its default pose.
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
		if p.Observation.Provider == "" {
			command.VyMps, command.YawRateRadPerSec = m.sway*0.2*math.Cos(s), m.sway*0.5*math.Sin(2*s)
		}
		if err := build.Build(observation, o, command, last); err != nil {
			t.Fatal(err)
		}
		for i, e := range elements { // Training adds noise after the sensors.
			if amount, ok := usual[e.Term.Quantity]; ok && e.Term.AgeSteps == 0 && m.noise > 0 {
				observation[i] += float32(m.noise * amount * e.Term.Scale * random.NormFloat64())
			}
		}
		r.Step(o, command, observation, action)
		copy(last, action)
	}
	return r.Rollout()
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
