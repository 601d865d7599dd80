package observation

import (
	"math"
	"slices"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// source is where a term's raw values come from.
type source int

const (
	indirect source = iota
	baseVelocity
	angularVelocity
	gravity
	orientation
	rollPitch
	command
	jointPosition
	jointVelocity
	lastAction
	contact
	gaitPhase
	constant
	slot
	jointState // Positions, velocities and last action; see fuse.
)

// sources are the sources of the terms. Slots are 0 until the provider writes them.
var sources = map[string]source{
	policy.TermBaseLinVel:       baseVelocity,
	policy.TermBaseAngVel:       angularVelocity,
	policy.TermProjectedGravity: gravity,
	policy.TermBaseQuat:         orientation,
	policy.TermRollPitch:        rollPitch,
	policy.TermVelocityCommand:  command,
	policy.TermJointPos:         jointPosition,
	policy.TermJointPosRel:      jointPosition,
	policy.TermJointVel:         jointVelocity,
	policy.TermLastAction:       lastAction,
	policy.TermFootContact:      contact,
	policy.TermGaitPhase:        gaitPhase,
	policy.TermHeightScan:       constant,
	policy.TermConstant:         constant,
	policy.TermSlot:             slot,
}

// term is a term of an observation, with everything looked up.
type term struct {
	source   source
	at, end  int    // In a frame.
	direct   source // The source, where the values are those of the robot's message from index first on; or indirect.
	first    int
	base     []float64 // What joint positions are relative to, or the values of a constant.
	indices  []int     // Of joints, actions, feet, parts of the command, or the places of w, x, y and z.
	deadband float64
	gait     *gait

	clip          [][2]float64 // Nil does not clip, as the next two do nothing.
	scale, offset []float64
}

// addTerm adds a term at its place in the frame.
func (b *Builder) addTerm(p *policy.Policy, t *policy.Term, place policy.Span) {
	n := place.Size
	c := term{
		source: sources[t.Term], at: place.At, end: place.At + n, deadband: t.Deadband,
		clip: t.Clip.Expand(n), scale: t.Scale.Expand(n), offset: t.Offset.Expand(n),
	}
	names := t.Joints
	if len(names) == 0 {
		names = p.JointNames()
	}
	switch c.source {
	case baseVelocity:
		b.needsVelocity = true
	case orientation:
		c.indices = []int{0, 1, 2, 3}
		if p.IMU != nil && p.IMU.QuaternionOrder == policy.XYZW {
			c.indices = []int{3, 0, 1, 2}
		}
	case command:
		axes := t.Axes
		if len(axes) == 0 {
			axes = []string{policy.AxisVx, policy.AxisVy, policy.AxisYawRate}
		}
		c.indices = indicesOf(axes, []string{policy.AxisVx, policy.AxisVy, policy.AxisYawRate})
	case jointPosition, jointVelocity:
		c.indices, c.base = indicesOf(names, p.Robot.JointNames()), make([]float64, n)
		for i, at := range indicesOf(names, p.JointNames()) {
			if t.Term == policy.TermJointPosRel {
				c.base[i] = p.DefaultPoseRad[at]
			}
		}
	case lastAction:
		c.indices = indicesOf(names, p.JointNames())
	case contact:
		b.needsContacts = true
		feet := t.Feet
		if len(feet) == 0 {
			feet = p.Robot.Feet
		}
		c.indices = indicesOf(feet, p.Robot.Feet)
	case gaitPhase:
		c.gait = newGait(t.Gait, p.ControlRateHz)
		b.gaits = append(b.gaits, c.gait)
	case constant:
		if c.base = t.Value.Expand(n); len(c.base) == 0 {
			c.base = make([]float64, n)
		}
		if t.Ground != nil {
			c.base = slices.Repeat([]float64{t.Ground.HeightM - t.Ground.OffsetM}, n)
		}
	}
	c.findDirect(b.imu)
	b.terms = append(b.terms, c)
}

// findDirect finds out whether the values are those of the robot's message.
func (t *term) findDirect(u *imu) {
	if t.clip != nil || t.scale != nil || t.offset != nil {
		return
	}
	switch t.source {
	case baseVelocity, angularVelocity, gravity:
		if u == nil {
			t.direct = t.source
		}
	case jointPosition, jointVelocity:
		t.direct = t.source
	case lastAction, command:
		for i, index := range t.indices {
			if index != t.indices[0]+i {
				return
			}
		}
		if t.source == command && (len(t.indices) < 3 || t.deadband > 0) {
			return
		}
		t.direct, t.first = t.source, t.indices[0]
	}
}

// indicesOf returns the index among all of each name.
func indicesOf(names, all []string) robot.JointIndices {
	indices := make(robot.JointIndices, len(names))
	for i, name := range names {
		indices[i] = slices.Index(all, name)
	}
	return indices
}

// fuse makes one term of positions, velocities and last action of the same joints that follow each other, as in most policies.
func (b *Builder) fuse() {
	for i := 0; i+2 < len(b.terms); i++ {
		p, v, a := &b.terms[i], &b.terms[i+1], &b.terms[i+2]
		if p.direct == jointPosition && v.direct == jointVelocity && a.direct == lastAction && slices.Equal(p.indices, v.indices) && len(a.indices) == len(p.indices) {
			p.direct, p.end, p.first = jointState, a.end, a.first
			b.terms = slices.Delete(b.terms, i+1, i+3)
		}
	}
}

// writeTerms writes the terms into a frame. The terms of most policies are as simple as the robot's messages: consecutive
// joints or vectors, without clip, scale and offset. They are converted from where they lie, about as fast as by code that is
// written for one layout (//tools/bench:inference).
func (b *Builder) writeTerms(frame []float32, o *message.Observation, c *message.NavigationCommand, last []float32) {
	for i := range b.terms {
		t := &b.terms[i]
		out := frame[t.at:t.end]
		switch t.direct {
		case jointState:
			t.writeState(out, o, last)
		case baseVelocity:
			setVector(out, o.BaseVelocityMps[0], o.BaseVelocityMps[1], o.BaseVelocityMps[2])
		case angularVelocity:
			w := &o.IMU.AngularVelocityRadPerSec
			setVector(out, w[0], w[1], w[2])
		case gravity:
			x, y, z := projectedGravity(&o.IMU.Orientation)
			setVector(out, x, y, z)
		case command:
			setVector(out, c.VxMps, c.VyMps, c.YawRateRadPerSec)
		default:
			t.write(out, b, o, c, last)
		}
	}
}

// writeState writes what fuse put together.
func (t *term) writeState(out []float32, o *message.Observation, last []float32) {
	n := len(t.indices)
	position, velocity, action, base := o.PositionRad, o.VelocityRadPerSec[:len(o.PositionRad)], last[t.first:][:n], t.base[:n]
	positions, velocities, actions := out[:n], out[n:][:n], out[2*n:][:n]
	for i, joint := range t.indices {
		positions[i] = float32(position[joint] - base[i])
		velocities[i] = float32(velocity[joint])
		actions[i] = action[i]
	}
}

func setVector(out []float32, x, y, z float64) {
	_ = out[2]
	out[0], out[1], out[2] = float32(x), float32(y), float32(z)
}

// write writes a term: the raw values, then clip, scale and offset.
func (t *term) write(out []float32, b *Builder, o *message.Observation, c *message.NavigationCommand, last []float32) {
	if t.source == slot {
		clear(out)
		return
	}
	raw := b.raw[:len(out)]
	t.writeRaw(raw, b.imu, o, c, last)
	for i := range t.clip {
		raw[i] = min(max(raw[i], t.clip[i][0]), t.clip[i][1])
	}
	for i, factor := range t.scale {
		raw[i] *= factor
	}
	for i, offset := range t.offset {
		raw[i] += offset
	}
	for i, v := range raw {
		out[i] = float32(v)
	}
}

// writeRaw writes the raw values.
func (t *term) writeRaw(raw []float64, u *imu, o *message.Observation, c *message.NavigationCommand, last []float32) {
	switch t.source {
	case jointPosition:
		for i, joint := range t.indices {
			raw[i] = o.PositionRad[joint] - t.base[i]
		}
	case jointVelocity:
		for i, joint := range t.indices {
			raw[i] = o.VelocityRadPerSec[joint]
		}
	case lastAction:
		for i, action := range t.indices {
			raw[i] = float64(last[action])
		}
	case command:
		parts := [...]float64{c.VxMps, c.VyMps, c.YawRateRadPerSec}
		for i, part := range t.indices {
			if raw[i] = parts[part]; t.deadband > 0 && math.Abs(raw[i]) <= t.deadband {
				raw[i] = 0
			}
		}
	case contact:
		for i, foot := range t.indices {
			raw[i] = 0
			if o.Contacts[foot] {
				raw[i] = 1
			}
		}
	case gaitPhase:
		t.gait.write(raw)
	case constant:
		copy(raw, t.base)
	default:
		t.writeInertial(raw, u, o)
	}
}

// writeInertial writes the raw values of what the inertial unit measures.
func (t *term) writeInertial(raw []float64, u *imu, o *message.Observation) {
	switch t.source {
	case baseVelocity:
		v := u.velocity(o)
		copy(raw, v[:])
	case angularVelocity:
		v := u.turn(o.IMU.AngularVelocityRadPerSec)
		copy(raw, v[:])
	case gravity:
		v := u.turn(ProjectedGravity(o.IMU.Orientation))
		copy(raw, v[:])
	case orientation:
		for i, v := range u.orientation(o.IMU.Orientation) {
			raw[t.indices[i]] = v
		}
	case rollPitch:
		raw[0], raw[1], _ = RollPitchYaw(u.orientation(o.IMU.Orientation))
	}
}
