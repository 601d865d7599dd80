package parkour

import (
	"testing"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/robot"
)

func TestObservationTerms(t *testing.T) {
	r := robot.Go2()
	p := &policy.Policy{Robot: r, Manifest: policy.Manifest{JointOrder: r.Orders["type_major"]}}
	elements := policy.Elements(ObservationTerms(p))
	if len(elements) != Size {
		t.Fatalf("%d elements, want %d", len(elements), Size)
	}
	type element struct {
		name             string
		quantity         policy.Quantity
		unit             string
		scale            float64
		ageSteps, source int
	}
	for at, want := range map[int]element{
		2:   {"angular velocity z", policy.AngularVelocity, "rad/s", 0.25, 0, 2},
		4:   {"roll and pitch pitch", policy.RollPitch, "rad", 1, 0, 4},
		7:   {"external angle to the next goal", policy.External, "rad", 1, 0, 7},
		10:  {"command forward", policy.Command, "m/s", 1, 0, 10},
		12:  {"external flat", policy.External, "1", 1, 0, 12},
		14:  {"joint position FR_hip_joint", policy.JointPosition, "rad", 1, 0, 14},
		36:  {"joint velocity RR_calf_joint", policy.JointVelocity, "rad/s", 0.05, 0, 36},
		37:  {"last action FL_hip_joint", policy.LastAction, "1", 1, 0, 37},
		52:  {"contact RR", policy.Contact, "1", 1, 0, 52},
		184: {"external scan 131", policy.External, "m", 1, 0, 184},
		// The history begins with the oldest step; the angles in it are 0.
		223: {"angular velocity x, 10 steps ago", policy.AngularVelocity, "rad/s", 0.25, 10, 0},
		229: {"external angle to the goal, 10 steps ago", policy.External, "rad", 1, 10, -1},
		752: {"contact RR, 1 step ago", policy.Contact, "1", 1, 1, 52},
	} {
		e := elements[at]
		got := element{e.Name(), e.Term.Quantity, e.Term.Unit, e.Term.Scale, e.Term.AgeSteps, e.Source}
		if got != want {
			t.Errorf("element %d = %+v, want %+v", at, got, want)
		}
	}
}
