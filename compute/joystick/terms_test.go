package joystick

import (
	"slices"
	"testing"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/robot"
)

func TestObservationTerms(t *testing.T) {
	r := robot.Go1()
	order := r.JointNames()
	slices.Reverse(order)
	p := &policy.Policy{Robot: r, Manifest: policy.Manifest{JointOrder: order}}
	elements := policy.Elements(ObservationTerms(p))
	if len(elements) != Size {
		t.Fatalf("%d elements, want %d", len(elements), Size)
	}
	type element struct {
		name     string
		quantity policy.Quantity
		unit     string
	}
	for at, want := range map[int]element{
		0:  {"base velocity x", policy.BaseVelocity, "m/s"},
		5:  {"angular velocity z", policy.AngularVelocity, "rad/s"},
		8:  {"gravity z", policy.Gravity, "1"},
		9:  {"joint position RL_calf_joint", policy.JointPosition, "rad"},
		32: {"joint velocity FR_hip_joint", policy.JointVelocity, "rad/s"},
		33: {"last action RL_calf_joint", policy.LastAction, "1"},
		47: {"command yaw rate", policy.Command, "rad/s"},
	} {
		e := elements[at]
		if got := (element{e.Name(), e.Term.Quantity, e.Term.Unit}); got != want || e.Term.Scale != 1 || e.Term.AgeSteps != 0 {
			t.Errorf("element %d = %+v of %+v, want %+v of the current step with scale 1", at, got, e.Term, want)
		}
	}
}
