package importer

import (
	"strings"
	"testing"

	"krabby.dev/krabby/hal/robot"
)

func values(t *testing.T, text string) Values {
	t.Helper()
	var v Values
	if err := v.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestValues(t *testing.T) {
	for _, tt := range []struct {
		text, joint string
		want        float64
	}{
		{"40", "FL_hip_joint", 40},
		{"40,*_calf_joint=60", "FL_calf_joint", 60},
		{"40,*_calf_joint=60", "FL_hip_joint", 40},
		{"FL_hip_joint=-0.1, F*_hip_joint=-0.1", "FL_hip_joint", -0.1},
	} {
		v := values(t, tt.text)
		got, err := v.of(tt.joint)
		if err != nil || got == nil || *got != tt.want {
			t.Errorf("%q of %s = %v, %v; want %v", tt.text, tt.joint, got, err, tt.want)
		}
	}
	v := values(t, "*_calf_joint=60")
	if got, err := v.of("FL_hip_joint"); got != nil || err != nil {
		t.Errorf("value of another joint = %v, %v; want none", got, err)
	}
}

func TestValues_invalid(t *testing.T) {
	for text, want := range map[string]string{
		"":                   `found "", expected a number`,
		"NaN":                `found "NaN", expected a number`,
		"hip=inf":            `found "hip=inf", expected a number`,
		"1,2":                `found "1,2", expected one number without a joint`,
		"=1":                 `found "", expected the name of a joint`,
		"[=1":                `found "[", expected the name of a joint`,
		"*_hip_joint=twenty": `found "*_hip_joint=twenty", expected a number`,
	} {
		var v Values
		if err := v.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestValues_contradiction(t *testing.T) {
	v := values(t, "FL_*=1,*_hip_joint=2")
	want := `found 1 by "FL_*" and 2 by "*_hip_joint" for joint FL_hip_joint, expected one value`
	if _, err := v.of("FL_hip_joint"); err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}

func TestValues_unknownJoint(t *testing.T) {
	v := values(t, "FL_hip=1")
	want := `found joint "FL_hip", expected one of the model's, such as FL_hip_joint`
	if err := v.check(robot.Go2().JointNames()); err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}
