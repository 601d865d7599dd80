package importer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// file writes a file and returns its path.
func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.urdf")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadURDF(t *testing.T) {
	u, err := ReadURDF(file(t, `<robot name="a">
  <joint name="hip" type="revolute"><limit effort="23.7" lower="-1" upper="1" velocity="30.1"/></joint>
  <joint name="lid" type="fixed"/>
  <joint name="wheel" type="continuous"><limit effort="0" velocity="0"/></joint>
  <joint name="finger" type="revolute"><mimic joint="hip"/></joint>
  <transmission><joint name="hip"/></transmission>
</robot>`))
	if err != nil {
		t.Fatal(err)
	}
	if len(u.Joints) != 3 {
		t.Fatalf("%d joints, want hip, wheel and finger", len(u.Joints))
	}
	if hip := u.Joint("hip"); *hip.VelocityLimitRadPerSec != 30.1 || *hip.EffortLimitNm != 23.7 {
		t.Errorf("hip = %v rad/s, %v N·m; want 30.1 and 23.7", *hip.VelocityLimitRadPerSec, *hip.EffortLimitNm)
	}
	if wheel := u.Joint("wheel"); wheel.VelocityLimitRadPerSec != nil || wheel.EffortLimitNm != nil {
		t.Errorf("wheel = %+v, want no limits: 0 is none", wheel)
	}
	if finger := u.Joint("finger"); finger.Mimic != "hip" {
		t.Errorf("finger mimics %q, want hip", finger.Mimic)
	}
}

func TestReadURDF_invalid(t *testing.T) {
	for name, tt := range map[string]struct{ content, want string }{
		"twice":      {`<robot><joint name="hip"/><joint name="hip"/></robot>`, `a.urdf: joint "hip": found it twice, expected each joint once`},
		"no name":    {`<robot><joint/></robot>`, "a.urdf: joint: found no name, expected one"},
		"text":       {`<robot><joint name="hip"><limit velocity="fast"/></joint></robot>`, `a.urdf: joint "hip": limit velocity: found "fast", expected a number of 0 or more`},
		"NaN":        {`<robot><joint name="hip"><limit effort="NaN"/></joint></robot>`, `a.urdf: joint "hip": limit effort: found "NaN"`},
		"negative":   {`<robot><joint name="hip"><limit effort="-1"/></joint></robot>`, `a.urdf: joint "hip": limit effort: found "-1"`},
		"property":   {`<robot><joint name="hip"><limit effort="${max}"/></joint></robot>`, `a.urdf: joint "hip": limit effort: found "${max}"`},
		"xacro":      {`<robot xmlns:xacro="http://www.ros.org/wiki/xacro"><xacro:include filename="b"/></robot>`, "a.urdf: found xacro elements, expected a URDF: expand it first"},
		"not closed": {"<robot>\n<joint>", "a.urdf: line 2: invalid XML"},
		"MJCF":       {`<mujoco/>`, "a.urdf: expected a URDF: expected element type <robot> but have <mujoco>"},
	} {
		if _, err := ReadURDF(file(t, tt.content)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestIsURDF(t *testing.T) {
	for content, want := range map[string]bool{`<?xml version="1.0"?><!-- a --><robot/>`: true, `<mujoco model="a"/>`: false} {
		if got, err := IsURDF(file(t, content)); got != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", content, got, err, want)
		}
	}
	for content, want := range map[string]string{
		"<svg/>":             "a.urdf: <svg>: found this root element, expected <mujoco> (MJCF) or <robot> (URDF)",
		"joints:\n - hip\n":  "a.urdf: found no XML element, expected <mujoco> (MJCF) or <robot> (URDF)",
		"{\"name\": \"go1\"": "a.urdf: found no XML element",
	} {
		if _, err := IsURDF(file(t, content)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", content, err, want)
		}
	}
}
