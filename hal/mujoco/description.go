package mujoco

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"unsafe"
)

// Description is what a model says about a robot, as MuJoCo compiles it: defaults, included files and degrees are resolved. Joints are
// those that move the robot's parts; free joints are counted apart.
type Description struct {
	// Name is the name of the model.
	Name string
	// FreeJoints are the names of the free joints; a name can be empty.
	FreeJoints []string
	// Joints are in the model's order: each body's after those of its parent.
	Joints []DescribedJoint
	// Actuators are in the model's order, which can differ from that of the joints.
	Actuators []DescribedActuator
	// Keyframes are in the model's order.
	Keyframes []Keyframe
	// Geoms and Sites are the names of those that have one.
	Geoms, Sites []string
}

// DescribedJoint is a joint of a model. Units are rad, N·m and N·m·s/rad, for a slide joint m, N and N·s/m.
type DescribedJoint struct {
	// Name is the joint's name; it can be empty.
	Name string
	// Type is "hinge", "slide" or "ball".
	Type string
	// Limited reports whether the joint has a range, which is Range.
	Limited bool
	Range   [2]float64
	// EffortLimited reports whether the joint has a range of the actuators' effort (actuatorfrcrange), which is EffortRange.
	EffortLimited bool
	EffortRange   [2]float64
	// Damping is the linear viscous damping.
	Damping float64
}

// DescribedActuator is an actuator of a model. Its numbers are those of the actuator, which Gear multiplies.
type DescribedActuator struct {
	// Name is the actuator's name; it can be empty.
	Name string
	// Joint is the index in Joints of the joint that it moves, or -1 for another transmission.
	Joint int
	// Gear is the ratio of the joint's effort to the actuator's.
	Gear float64
	// Position reports whether the actuator is a position servo with the gains Kp and Kd. Motor reports whether it passes its control on as effort, times Gain.
	Position, Motor bool
	Kp, Kd, Gain    float64
	// ControlLimited and ForceLimited report whether the actuator has the ranges ControlRange and ForceRange.
	ControlLimited bool
	ControlRange   [2]float64
	ForceLimited   bool
	ForceRange     [2]float64
	// Damping is the linear viscous damping that the actuator adds.
	Damping float64
}

// Keyframe is a stored state of a model.
type Keyframe struct {
	// Name is the name of the keyframe; it can be empty.
	Name string
	// Position has the position of each of the Joints, in rad; 0 for a ball joint.
	Position []float64
}

// Describe compiles a model, MJCF or URDF, and describes its joints, actuators and keyframes. The error is MuJoCo's, for example of a
// class that has no defaults or of a name that is there twice.
func (*Library) Describe(model string) (*Description, error) {
	path := C.CString(model)
	defer C.free(unsafe.Pointer(path))
	var m *C.mjModel
	if err := call(func(reason *C.char, size C.int) bool {
		m = C.krabby_describe(path, reason, size)
		return m != nil
	}); err != nil {
		return nil, fmt.Errorf("mujoco: model %s: %w", model, err)
	}
	defer C.krabby_free(m, nil)
	d := &Description{
		Name:  C.GoString(m.names),
		Geoms: named(m, m.name_geomadr, int(m.ngeom)),
		Sites: named(m, m.name_siteadr, int(m.nsite)),
	}
	index := d.describeJoints(m)
	d.describeActuators(m, index)
	return d, nil
}

// nameAt returns the name that starts at an offset in the model's names.
func nameAt(m *C.mjModel, at C.int) string {
	return C.GoString((*C.char)(unsafe.Add(unsafe.Pointer(m.names), int(at))))
}

// named returns the names that are not empty.
func named(m *C.mjModel, at *C.int, n int) []string {
	var names []string
	for _, start := range ints(at, n) {
		if name := nameAt(m, start); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// describeJoints adds joints and keyframes. It returns the index in Joints of each joint of the model, -1 for a free joint.
func (d *Description) describeJoints(m *C.mjModel) []int {
	n := int(m.njnt)
	index := make([]int, n)
	var position []int // Of each of d.Joints in qpos.
	for i := range n {
		index[i] = -1
		name := nameAt(m, ints(m.name_jntadr, n)[i])
		j := DescribedJoint{Name: name}
		switch ints(m.jnt_type, n)[i] {
		case C.mjJNT_FREE:
			d.FreeJoints = append(d.FreeJoints, name)
			continue
		case C.mjJNT_HINGE:
			j.Type = "hinge"
		case C.mjJNT_SLIDE:
			j.Type = "slide"
		default:
			j.Type = "ball"
		}
		j.Limited = bool(unsafe.Slice(m.jnt_limited, n)[i])
		copy(j.Range[:], numbers(m.jnt_range, 2*n)[2*i:])
		j.EffortLimited = bool(unsafe.Slice(m.jnt_actfrclimited, n)[i])
		copy(j.EffortRange[:], numbers(m.jnt_actfrcrange, 2*n)[2*i:])
		j.Damping = numbers(m.dof_damping, int(m.nv))[ints(m.jnt_dofadr, n)[i]]
		index[i] = len(d.Joints)
		d.Joints = append(d.Joints, j)
		position = append(position, int(ints(m.jnt_qposadr, n)[i]))
	}
	for k := range int(m.nkey) {
		q := numbers(m.key_qpos, int(m.nkey)*int(m.nq))[k*int(m.nq) : (k+1)*int(m.nq)]
		key := Keyframe{Name: nameAt(m, ints(m.name_keyadr, int(m.nkey))[k])}
		for i, at := range position {
			if d.Joints[i].Type == "ball" {
				key.Position = append(key.Position, 0)
				continue
			}
			key.Position = append(key.Position, q[at])
		}
		d.Keyframes = append(d.Keyframes, key)
	}
	return index
}

// describeActuators adds the actuators.
func (d *Description) describeActuators(m *C.mjModel, index []int) {
	n := int(m.nactuator)
	for i := range n {
		gain := numbers(m.actuator_gainprm, C.mjNGAIN*n)[C.mjNGAIN*i : C.mjNGAIN*(i+1)]
		bias := numbers(m.actuator_biasprm, C.mjNBIAS*n)[C.mjNBIAS*i : C.mjNBIAS*(i+1)]
		fixed := ints(m.actuator_gaintype, n)[i] == C.mjGAIN_FIXED && ints(m.actuator_dyntype, n)[i] == C.mjDYN_NONE
		biasType := ints(m.actuator_biastype, n)[i]
		a := DescribedActuator{
			Name:           nameAt(m, ints(m.name_actuatoradr, n)[i]),
			Joint:          -1,
			Gear:           numbers(m.actuator_gear, 6*int(m.nout))[6*ints(m.actuator_outadr, n)[i]],
			Position:       fixed && biasType == C.mjBIAS_AFFINE && gain[0] > 0 && bias[0] == 0 && bias[1] == -gain[0] && bias[2] <= 0,
			Motor:          fixed && (biasType == C.mjBIAS_NONE || (biasType == C.mjBIAS_AFFINE && bias[0] == 0 && bias[1] == 0 && bias[2] == 0)),
			Gain:           gain[0],
			ControlLimited: bool(unsafe.Slice(m.actuator_ctrllimited, int(m.nu))[ints(m.actuator_ctrladr, n)[i]]),
			ForceLimited:   bool(unsafe.Slice(m.actuator_forcelimited, n)[i]),
			Damping:        numbers(m.actuator_damping, n)[i],
		}
		if a.Position {
			a.Kp, a.Kd = gain[0], 0-bias[2]
		}
		copy(a.ControlRange[:], numbers(m.actuator_ctrlrange, 2*int(m.nu))[2*ints(m.actuator_ctrladr, n)[i]:])
		copy(a.ForceRange[:], numbers(m.actuator_forcerange, 2*n)[2*i:])
		if kind := ints(m.actuator_trntype, n)[i]; kind == C.mjTRN_JOINT || kind == C.mjTRN_JOINTINPARENT {
			a.Joint = index[ints(m.actuator_trnid, 2*n)[2*i]]
		}
		d.Actuators = append(d.Actuators, a)
	}
}
