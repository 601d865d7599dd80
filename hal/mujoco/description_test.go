package mujoco

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/internal/testfile"
)

func describe(t *testing.T, model string) (*Description, error) {
	t.Helper()
	library, err := Open(testfile.Find(t, "KRABBY_MUJOCO"))
	if err != nil {
		t.Fatal(err)
	}
	return library.Describe(model)
}

// write writes a model and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// The joints, ranges and gains of the built-in robots are those of their models.
func TestDescribe_builtIn(t *testing.T) {
	for variable, r := range map[string]*robot.Robot{
		"KRABBY_GO1_MODEL": robot.Go1(), "KRABBY_GO2_MODEL": robot.Go2(), "KRABBY_G1_MODEL": robot.G1(), "KRABBY_T1_MODEL": robot.T1(),
	} {
		d, err := describe(t, testfile.Find(t, variable))
		if err != nil {
			t.Fatal(err)
		}
		if len(d.FreeJoints) != 1 || len(d.Joints) != len(r.Joints) || len(d.Actuators) != len(r.Joints) {
			t.Fatalf("%s: %d free joints, %d joints, %d actuators; want 1 and %d of each", r.Name, len(d.FreeJoints), len(d.Joints), len(d.Actuators), len(r.Joints))
		}
		servos := r.Name != "go2" // Its actuators are torque motors.
		for i, a := range d.Actuators {
			j, want := d.Joints[a.Joint], r.Joints[a.Joint]
			if j.Name != want.Name || j.Type != "hinge" || !j.Limited || math.Abs(j.Range[0]-want.LowerRad) > sameRad || math.Abs(j.Range[1]-want.UpperRad) > sameRad {
				t.Errorf("%s: joint %+v, want %+v", r.Name, j, want)
			}
			if a.Position != servos || a.Motor == servos || a.Gear != 1 {
				t.Errorf("%s: actuator %+v, want a position servo: %v", r.Name, a, servos)
			}
			if servos && (a.Kp != r.Kp[i] || a.Kd+j.Damping != r.Kd[i]) {
				t.Errorf("%s: %s: kp %v, kd %v with a damping of %v; want %v and %v", r.Name, a.Name, a.Kp, a.Kd, j.Damping, r.Kp[i], r.Kd[i])
			}
		}
	}
}

func TestDescribe_keyframe(t *testing.T) {
	d, err := describe(t, testfile.Find(t, "KRABBY_GO2_MODEL"))
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Keyframes) != 1 || d.Keyframes[0].Name != "home" || d.Keyframes[0].Position[4] != 0.9 || d.Keyframes[0].Position[11] != -1.8 {
		t.Errorf("keyframes %+v, want home with 0.9 at FR_thigh_joint and -1.8 at RR_calf_joint", d.Keyframes)
	}
}

// Degrees, defaults and included files are resolved, and meshes and textures are not read.
func TestDescribe_resolved(t *testing.T) {
	path := write(t, "robot.xml", `<mujoco model="arm">
  <include file="defaults.xml"/>
  <asset><mesh name="m" file="missing.stl"/><texture name="x" type="2d" file="missing.png"/><material name="c" texture="x"/></asset>
  <worldbody><body><freejoint name="base"/><geom type="mesh" mesh="m"/>
    <body childclass="leg"><joint name="hip" axis="0 1 0"/><geom name="foot" size="0.1" material="c"/></body>
  </body></worldbody>
  <actuator><position name="hip" joint="hip" class="leg"/></actuator>
</mujoco>`)
	defaults := `<mujoco><default><default class="leg"><joint range="-90 90" damping="2"/><position kp="20" kv="0.5" gear="3" forcerange="-4 4"/></default></default></mujoco>`
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "defaults.xml"), []byte(defaults), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := describe(t, path)
	if err != nil {
		t.Fatal(err)
	}
	j, a := d.Joints[0], d.Actuators[0]
	if j.Range != [2]float64{-1.5707963267948966, 1.5707963267948966} || j.Damping != 2 {
		t.Errorf("joint %+v, want a range of 90 degrees and a damping of 2", j)
	}
	if !a.Position || a.Kp != 20 || a.Kd != 0.5 || a.Gear != 3 || a.ForceRange != [2]float64{-4, 4} {
		t.Errorf("actuator %+v, want a position servo with the class's values", a)
	}
}

func TestDescribe_URDF(t *testing.T) {
	d, err := describe(t, write(t, "robot.urdf", `<robot name="leg">
  <link name="base"><visual><geometry><mesh filename="package://leg/base.dae"/></geometry></visual></link>
  <link name="thigh"><collision><geometry><mesh filename="package://leg/thigh.stl"/></geometry></collision></link>
  <joint name="hip" type="revolute"><parent link="base"/><child link="thigh"/><axis xyz="0 1 0"/><limit lower="-1" upper="2" effort="23.7" velocity="30.1"/></joint>
</robot>`))
	if err != nil {
		t.Fatal(err)
	}
	if j := d.Joints[0]; j.Name != "hip" || j.Range != [2]float64{-1, 2} || j.EffortRange != [2]float64{-23.7, 23.7} || len(d.FreeJoints) != 0 {
		t.Errorf("joint %+v and free joints %q, want hip with the limits of the file, and none", j, d.FreeJoints)
	}
}

// A transmission in the model has no effect: commands are positions and torques of the joint.
func TestBackend_gear(t *testing.T) {
	r := &robot.Robot{
		Name: "arm", DefaultPoseRad: []float64{0}, Kp: []float64{20}, Kd: []float64{1},
		Joints: []robot.Joint{{Name: "hip", LowerRad: -1, UpperRad: 1, VelocityLimitRadPerSec: 30, EffortLimitNm: 4}},
	}
	var positions []float64
	for _, gear := range []string{"1", "3"} {
		b, err := New(r, testfile.Find(t, "KRABBY_MUJOCO"), write(t, "arm.xml", `<mujoco><worldbody><body><freejoint/><site name="imu"/>
  <inertial pos="0 0 0" mass="5" diaginertia="1 1 1"/>
  <body><joint name="hip" axis="0 1 0" range="-57.29578 57.29578"/><inertial pos="0.2 0 0" mass="1" diaginertia="0.1 0.1 0.1"/></body>
</body></worldbody><actuator><motor joint="hip" gear="`+gear+`"/></actuator></mujoco>`), 20*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if err := b.Configure(t.Context()); err != nil {
			t.Fatal(err)
		}
		c := message.NewJointCommand(r)
		c.TargetRad[0] = 0.5
		if err := b.Write(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		o := message.NewObservation(r)
		for range 10 {
			if err := b.Read(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
		positions = append(positions, o.PositionRad[0])
	}
	if positions[0] != positions[1] || !(positions[0] > 0.05) {
		t.Errorf("positions after 0.2 s with a gear of 1 and of 3: %v, want equal and more than 0.05 rad", positions)
	}
}

func TestDescribe_invalid(t *testing.T) {
	for name, tt := range map[string]struct{ content, want string }{
		"unknown class":   {`<mujoco><worldbody><body><joint class="leg"/><geom size="1"/></body></worldbody></mujoco>`, "unknown default class"},
		"joint twice":     {`<mujoco><worldbody><body><joint name="a"/><joint name="a"/><geom size="1"/></body></worldbody></mujoco>`, "repeated name 'a' in joint"},
		"missing include": {`<mujoco><include file="missing.xml"/></mujoco>`, "missing.xml"},
		"no XML":          {"joints:\n - a\n", "XML"},
	} {
		path := write(t, "robot.xml", tt.content)
		if _, err := describe(t, path); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want the path and %q", name, err, tt.want)
		}
	}
}
