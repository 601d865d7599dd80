package parkour

import (
	"testing"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/robot"
)

func TestSlotsAreThoseOfTheTable(t *testing.T) {
	r := robot.Go2()
	p := &policy.Policy{Robot: r, Manifest: policy.Manifest{JointOrder: r.Orders["type_major"]}}
	slots := Slots(p)
	if len(slots) != Size {
		t.Fatalf("%d slots, want %d", len(slots), Size)
	}
	for at, want := range map[int]policy.Slot{
		2:   {Name: "angular velocity z", Quantity: policy.AngularVelocity, Unit: "rad/s", Scale: 0.25},
		4:   {Name: "roll and pitch pitch", Quantity: policy.RollPitch, Unit: "rad", Scale: 1},
		7:   {Name: "from elsewhere angle to the next goal", Quantity: policy.Elsewhere, Unit: "rad", Scale: 1},
		10:  {Name: "command forward", Quantity: policy.Command, Unit: "m/s", Scale: 1},
		12:  {Name: "from elsewhere flat", Quantity: policy.Elsewhere, Unit: "1", Scale: 1},
		14:  {Name: "joint position FR_hip_joint", Quantity: policy.JointPosition, Unit: "rad", Scale: 1},
		36:  {Name: "joint velocity RR_calf_joint", Quantity: policy.JointVelocity, Unit: "rad/s", Scale: 0.05},
		37:  {Name: "last action FL_hip_joint", Quantity: policy.LastAction, Unit: "1", Scale: 1},
		52:  {Name: "contact RR", Quantity: policy.Contact, Unit: "1", Scale: 1},
		184: {Name: "from elsewhere scan 131", Quantity: policy.Elsewhere, Unit: "m", Scale: 1},
		// The oldest step first, the angles in it 0.
		223: {Name: "angular velocity x, 10 back", Quantity: policy.AngularVelocity, Unit: "rad/s", Scale: 0.25, StepsBack: 10, Of: 0},
		229: {Name: "from elsewhere angle to the goal, 10 back", Quantity: policy.Elsewhere, Unit: "rad", Scale: 1, StepsBack: 10, Of: -1},
		752: {Name: "contact RR, 1 back", Quantity: policy.Contact, Unit: "1", Scale: 1, StepsBack: 1, Of: 52},
	} {
		if slots[at] != want {
			t.Errorf("slot %d = %+v, want %+v", at, slots[at], want)
		}
	}
}
