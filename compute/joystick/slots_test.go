package joystick

import (
	"slices"
	"testing"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/robot"
)

func TestSlotsAreThoseOfTheTable(t *testing.T) {
	r := robot.Go1()
	order := r.JointNames()
	slices.Reverse(order)
	p := &policy.Policy{Robot: r, Manifest: policy.Manifest{JointOrder: order}}
	slots := Slots(p)
	if len(slots) != Size {
		t.Fatalf("%d slots, want %d", len(slots), Size)
	}
	for at, want := range map[int]policy.Slot{
		0:  {Name: "base velocity x", Quantity: policy.BaseVelocity, Unit: "m/s", Scale: 1},
		5:  {Name: "angular velocity z", Quantity: policy.AngularVelocity, Unit: "rad/s", Scale: 1},
		8:  {Name: "gravity z", Quantity: policy.Gravity, Unit: "1", Scale: 1},
		9:  {Name: "joint position RL_calf_joint", Quantity: policy.JointPosition, Unit: "rad", Scale: 1},
		32: {Name: "joint velocity FR_hip_joint", Quantity: policy.JointVelocity, Unit: "rad/s", Scale: 1},
		33: {Name: "last action RL_calf_joint", Quantity: policy.LastAction, Unit: "1", Scale: 1},
		47: {Name: "command yaw rate", Quantity: policy.Command, Unit: "rad/s", Scale: 1},
	} {
		if slots[at] != want {
			t.Errorf("slot %d = %+v, want %+v", at, slots[at], want)
		}
	}
}
