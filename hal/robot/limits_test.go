package robot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpenLimits_go1SDK(t *testing.T) {
	r := Go1()
	l, err := OpenLimits(r, "sdk")
	if err != nil {
		t.Fatal(err)
	}
	narrow, err := r.Narrow(l)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []Joint{
		{"FR_hip_joint", -0.863, 0.863, 30.1, 23.7}, {"FR_thigh_joint", -0.663, 2.966, 30.1, 23.7}, {"FR_calf_joint", -2.721, -0.888, 20.06, 35.55},
	} {
		for leg := range 4 {
			want.Name = r.Joints[3*leg+i].Name
			if got := narrow.Joints[3*leg+i]; got != want {
				t.Errorf("joint %+v, want %+v", got, want)
			}
		}
	}
	if narrow.LimitsName != "sdk" || narrow.ModelJoints()[1] != r.Joints[1] || r.Joints[1].UpperRad != 4.501 {
		t.Errorf("limits %q, model's joint %+v, own joint %+v; want sdk, and the joint of the model", narrow.LimitsName, narrow.ModelJoints()[1], r.Joints[1])
	}
}

func TestNarrow_invalid(t *testing.T) {
	for name, tt := range map[string]struct{ content, want string }{
		"schema version": {`{"robot": "go1", "joints": {}}`, "limits.json: schema_version: found 0, expected 1"},
		"unknown field":  {`{"schema_version": 1, "legs": 4}`, "limits.json: legs: unknown field"},
		"no joints":      {`{"schema_version": 1, "robot": "go1"}`, "limits.json: joints: found none, expected one or more"},
		"another robot":  {`{"schema_version": 1, "robot": "go2", "joints": {"FR_hip_joint": {}}}`, `limits.json: robot: found "go2", expected "go1"`},
		"unknown joint":  {`{"schema_version": 1, "robot": "go1", "joints": {"FR_hip": {}}}`, `limits.json: joints: unknown joint "FR_hip", expected one of go1's, such as FR_hip_joint`},
		"wider":          {`{"schema_version": 1, "robot": "go1", "joints": {"FR_hip_joint": {"upper_rad": 1.047}}}`, "joints.FR_hip_joint.upper_rad: found 1.047, expected 0.1 to 0.863: within go1's limits"},
		"without the default": {`{"schema_version": 1, "robot": "go1", "joints": {"FR_hip_joint": {"lower_rad": 0.2}}}`,
			"joints.FR_hip_joint.lower_rad: found 0.2, expected -0.863 to 0.1: within go1's limits, around its default position"},
		"no velocity": {`{"schema_version": 1, "robot": "go1", "joints": {"FR_hip_joint": {"velocity_limit_rad_per_sec": 0}}}`, "found 0, expected more than 0 to 30.1"},
		"more effort": {`{"schema_version": 1, "robot": "go1", "joints": {"FR_hip_joint": {"effort_limit_nm": 24}}}`, "found 24, expected more than 0 to 23.7"},
		"empty range": {`{"schema_version": 1, "robot": "go1", "joints": {"FR_hip_joint": {"lower_rad": 0.1, "upper_rad": 0.1}}}`, "found an empty range at 0.1 rad"},
	} {
		path := filepath.Join(t.TempDir(), "limits.json")
		if err := os.WriteFile(path, []byte(tt.content), 0o644); err != nil {
			t.Fatal(err)
		}
		l, err := OpenLimits(Go1(), path)
		if err == nil {
			_, err = Go1().Narrow(l)
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestOpenLimits_unknown(t *testing.T) {
	for r, want := range map[*Robot]string{
		Go1(): `unknown limits "urdf" of robot go1: expected sdk, or the path of a file, with . or /`,
		Go2(): `unknown limits "urdf" of robot go2: expected the path of a file, with . or /`,
	} {
		if _, err := OpenLimits(r, "urdf"); err == nil || err.Error() != want {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
