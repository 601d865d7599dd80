package robot

import "testing"

func TestNearest(t *testing.T) {
	joints := Go1().JointNames()
	for name, want := range map[string]string{
		"FR_hip":         "FR_hip_joint",
		"RL_calf_jiont":  "RL_calf_joint",
		"FL_thigh_joint": "FL_thigh_joint",
	} {
		if got := Nearest(name, joints); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
	if got := Nearest("a", nil); got != "" {
		t.Errorf("Nearest without names = %q, want none", got)
	}
}
