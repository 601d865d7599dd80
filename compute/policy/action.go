package policy

import "krabby.dev/krabby/hal/robot"

// ActionProcessor converts the actions of a policy to joint positions:
//
//	clipped  = clip(action)
//	smoothed = smoothing * clipped of DelaySteps steps ago + (1 - smoothing) * smoothed of the step before
//	target   = clip(offset + scale * smoothed)
//
// It has the state of smoothing and delay, so it is for one control loop.
type ActionProcessor struct {
	joints        robot.JointIndices
	held          []heldJoint
	scale, offset []float64
	clip, target  [][2]float64 // Nil does not clip.
	smoothing     float64      // 0 is none.
	smoothed      []float64
	delayed       [][]float64 // The clipped actions of the last steps, the oldest first.
	value         []float64
}

// heldJoint is a joint of the robot that the policy does not drive.
type heldJoint struct {
	joint       int // Index among the robot's joints.
	positionRad float64
}

// NewActionProcessor returns a processor of p's actions.
func NewActionProcessor(p *Policy) *ActionProcessor {
	n := len(p.DefaultPoseRad)
	a := &ActionProcessor{
		joints: p.JointMap(), scale: p.Action.Scale.Expand(n), offset: p.ActionOffsetsRad(),
		clip: p.Action.Clip.Expand(n), target: p.Action.TargetClipRad.Expand(n), smoothing: p.Action.Smoothing,
		smoothed: make([]float64, n), value: make([]float64, n),
	}
	for range p.Action.DelaySteps {
		a.delayed = append(a.delayed, make([]float64, n))
	}
	for i, joint := range p.Robot.Joints {
		if positionRad, ok := p.HeldJointsRad[joint.Name]; ok {
			a.held = append(a.held, heldJoint{i, positionRad})
		}
	}
	return a
}

// Targets processes the action of one step. action has one value for each joint of the policy, in its order. dst has one
// position in rad for each joint of the robot, in the robot's order; joints that the policy does not drive get their positions
// of HeldJointsRad. Joint limits are not applied. Targets does not allocate.
func (a *ActionProcessor) Targets(dst []float64, action []float32) {
	for i, v := range action {
		a.value[i] = float64(v)
		if a.clip != nil {
			a.value[i] = min(max(a.value[i], a.clip[i][0]), a.clip[i][1])
		}
	}
	a.delay()
	a.smooth()
	for i, value := range a.value {
		target := a.offset[i] + a.scale[i]*value
		if a.target != nil {
			target = min(max(target, a.target[i][0]), a.target[i][1])
		}
		dst[a.joints[i]] = target
	}
	for _, h := range a.held {
		dst[h.joint] = h.positionRad
	}
}

// delay replaces the value by that of DelaySteps steps ago, which is 0 before the start.
func (a *ActionProcessor) delay() {
	if len(a.delayed) == 0 {
		return
	}
	oldest := a.delayed[0]
	copy(a.delayed, a.delayed[1:])
	a.delayed[len(a.delayed)-1], a.value = a.value, oldest
}

// smooth replaces the value by the exponential mean, which is 0 before the start.
func (a *ActionProcessor) smooth() {
	if a.smoothing == 0 {
		return
	}
	for i, v := range a.value {
		a.smoothed[i] = a.smoothing*v + (1-a.smoothing)*a.smoothed[i]
		a.value[i] = a.smoothed[i]
	}
}

// Reset clears the state: smoothing and delay start from an action of 0.
func (a *ActionProcessor) Reset() {
	clear(a.smoothed)
	for _, action := range a.delayed {
		clear(action)
	}
}

// ActionOffsetsRad returns the position in rad that an action of 0 commands, for each joint of the policy.
func (p *Policy) ActionOffsetsRad() []float64 {
	if len(p.Action.OffsetRad) == 0 {
		return p.DefaultPoseRad
	}
	return p.Action.OffsetRad.Expand(len(p.DefaultPoseRad))
}

// robotGains returns the default gains of the policy's joints.
func (p *Policy) robotGains() Gains {
	n := len(p.joints)
	g := Gains{make(Numbers, n), make(Numbers, n)}
	p.joints.Gather(g.Kp, p.Robot.Kp)
	p.joints.Gather(g.Kd, p.Robot.Kd)
	for _, numbers := range []*Numbers{&g.Kp, &g.Kd} {
		if v, ok := numbers.Uniform(); ok {
			*numbers = Numbers{v}
		}
	}
	return g
}

// RobotGains returns the gains of all joints of the robot, in its order: the policy's, and the robot's default gains for the
// joints that the policy does not drive.
func (p *Policy) RobotGains() (kp, kd []float64) {
	kp, kd = append([]float64(nil), p.Robot.Kp...), append([]float64(nil), p.Robot.Kd...)
	for i, joint := range p.JointMap() {
		if len(p.Gains.Kp) > 0 {
			kp[joint] = p.Gains.Kp.At(i)
		}
		if len(p.Gains.Kd) > 0 {
			kd[joint] = p.Gains.Kd.At(i)
		}
	}
	return kp, kd
}
