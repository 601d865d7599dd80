package importer

import (
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/hal/mujoco"
	"krabby.dev/krabby/hal/robot"
)

// biped returns the description of a robot with two joints and position servos, in another order than the joints.
func biped() *mujoco.Description {
	servo := func(name string, joint int) mujoco.DescribedActuator {
		return mujoco.DescribedActuator{Name: name, Joint: joint, Gear: 1, Position: true, Kp: 35, Kd: 0.5, ForceLimited: true, ForceRange: [2]float64{-20, 20}}
	}
	hip := func(name string) mujoco.DescribedJoint {
		return mujoco.DescribedJoint{Name: name, Type: "hinge", Limited: true, Range: [2]float64{-1, 2}}
	}
	return &mujoco.Description{
		Name:       "biped",
		FreeJoints: []string{""},
		Joints:     []mujoco.DescribedJoint{hip("left"), hip("right")},
		Actuators:  []mujoco.DescribedActuator{servo("r", 1), servo("l", 0)},
		Keyframes:  []mujoco.Keyframe{{Name: "home", Position: []float64{0.1, 0.2}}},
		Geoms:      []string{"L", "R"},
		Sites:      []string{"imu"},
	}
}

func options(t *testing.T) Options {
	return Options{Model: "biped.xml", Feet: []string{"L", "R"}, Velocity: values(t, "30")}
}

func TestImport(t *testing.T) {
	result, err := Import(biped(), options(t))
	if err != nil {
		t.Fatal(err)
	}
	r := result.Robot
	want := robot.Joint{Name: "right", LowerRad: -1, UpperRad: 2, VelocityLimitRadPerSec: 30, EffortLimitNm: 20}
	if r.Name != "biped" || len(r.Joints) != 2 || r.Joints[1] != want {
		t.Errorf("robot %q with joints %+v, want biped and %+v as the second", r.Name, r.Joints, want)
	}
	if !slices.Equal(r.DefaultPoseRad, []float64{0.1, 0.2}) || !slices.Equal(r.Kp, []float64{35, 35}) || !slices.Equal(r.Kd, []float64{0.5, 0.5}) {
		t.Errorf("pose %v, kp %v, kd %v; want the keyframe's and the servos'", r.DefaultPoseRad, r.Kp, r.Kd)
	}
	if order := r.Orders["actuators"]; !slices.Equal(order, []string{"right", "left"}) {
		t.Errorf("orders.actuators = %v, want right, left", order)
	}
	if !slices.Contains(result.Sources, Fact{"kp", "position servo"}) {
		t.Errorf("sources %v, want that of kp", result.Sources)
	}
}

// motors makes torque motors of the actuators, with a range of control.
func motors(d *mujoco.Description) {
	for i := range d.Actuators {
		a := &d.Actuators[i]
		*a = mujoco.DescribedActuator{Name: a.Name, Joint: a.Joint, Gear: 20, Gain: 1, Motor: true, ControlLimited: true, ControlRange: [2]float64{-1, 1}}
	}
}

func TestImport_numbers(t *testing.T) {
	urdf := &URDF{File: "biped.urdf", Joints: []URDFJoint{
		{Name: "left", VelocityLimitRadPerSec: new(21.0), EffortLimitNm: new(15.0)}, {Name: "right", VelocityLimitRadPerSec: new(22.0), EffortLimitNm: new(99.0)},
	}}
	for name, tt := range map[string]struct {
		change func(d *mujoco.Description, o *Options)
		value  func(r *robot.Robot) []float64
		want   []float64
	}{
		"gear of a servo": {func(d *mujoco.Description, _ *Options) { d.Actuators[1].Gear = 2 }, func(r *robot.Robot) []float64 {
			return []float64{r.Kp[0], r.Kd[0], r.Joints[0].EffortLimitNm, r.Kp[1]}
		}, []float64{140, 2, 40, 35}},
		"damping in place of kd": {func(d *mujoco.Description, _ *Options) {
			d.Joints[0].Damping, d.Joints[1].Damping, d.Actuators[1].Kd = 2, 3, 0
		}, func(r *robot.Robot) []float64 { return r.Kd }, []float64{2, 3.5}},
		"effort of a motor with a gear": {func(d *mujoco.Description, o *Options) {
			motors(d)
			o.Kp, o.Kd = values(t, "40,left=30"), values(t, "1")
		}, func(r *robot.Robot) []float64 { return append(r.Kp, r.Joints[0].EffortLimitNm) }, []float64{30, 40, 20}},
		"smallest effort": {func(d *mujoco.Description, _ *Options) {
			d.Joints[0].EffortLimited, d.Joints[0].EffortRange = true, [2]float64{-7, 7}
		}, func(r *robot.Robot) []float64 { return []float64{r.Joints[0].EffortLimitNm, r.Joints[1].EffortLimitNm} }, []float64{7, 20}},
		"URDF": {func(_ *mujoco.Description, o *Options) { o.URDF, o.Velocity = urdf, Values{} }, func(r *robot.Robot) []float64 {
			return []float64{r.Joints[0].VelocityLimitRadPerSec, r.Joints[1].VelocityLimitRadPerSec, r.Joints[0].EffortLimitNm, r.Joints[1].EffortLimitNm}
		}, []float64{21, 22, 15, 20}},
		"keyframe by name": {func(d *mujoco.Description, o *Options) {
			d.Keyframes = append(d.Keyframes, mujoco.Keyframe{Name: "up", Position: []float64{0.3, 0.4}})
			o.Keyframe = "up"
		}, func(r *robot.Robot) []float64 { return r.DefaultPoseRad }, []float64{0.3, 0.4}},
		"pose over keyframe": {func(_ *mujoco.Description, o *Options) { o.Pose = values(t, "right=0.7") }, func(r *robot.Robot) []float64 { return r.DefaultPoseRad }, []float64{0.1, 0.7}},
		"given range": {func(d *mujoco.Description, o *Options) {
			d.Joints[0].Limited = false
			o.Lower, o.Upper = values(t, "left=-3"), values(t, "left=3")
		}, func(r *robot.Robot) []float64 {
			return []float64{r.Joints[0].LowerRad, r.Joints[0].UpperRad, r.Joints[1].UpperRad}
		}, []float64{-3, 3, 2}},
	} {
		d, o := biped(), options(t)
		tt.change(d, &o)
		result, err := Import(d, o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := tt.value(result.Robot); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestImport_invalid(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(d *mujoco.Description, o *Options)
		want   string
	}{
		"name of the model":  {func(d *mujoco.Description, _ *Options) { d.Name = "go1 feet only" }, `--name: missing: the name of the model, "go1 feet only", is not one of`},
		"name":               {func(_ *mujoco.Description, o *Options) { o.Name = "Go1" }, `--name: found "Go1", expected`},
		"two free joints":    {func(d *mujoco.Description, _ *Options) { d.FreeJoints = []string{"base", "ball"} }, `biped.xml: free joints: found 2 ("base", "ball"), expected 1`},
		"no joints":          {func(d *mujoco.Description, _ *Options) { d.Joints = nil }, "biped.xml: joints: found none, expected 1 to 64 hinge joints"},
		"joint without name": {func(d *mujoco.Description, _ *Options) { d.Joints[1].Name = "" }, "biped.xml: joint 1: found no name, expected one"},
		"slide joint":        {func(d *mujoco.Description, _ *Options) { d.Joints[1].Type = "slide" }, `biped.xml: joint "right": found a slide joint, expected a hinge`},
		"mimic": {func(_ *mujoco.Description, o *Options) {
			o.URDF = &URDF{Joints: []URDFJoint{{Name: "right", Mimic: "left"}}}
		}, `biped.xml: joint "right": it mimics "left"`},
		"tendon":              {func(d *mujoco.Description, _ *Options) { d.Actuators[0].Joint = -1 }, `biped.xml: actuator "r": found another transmission, expected a joint`},
		"two actuators":       {func(d *mujoco.Description, _ *Options) { d.Actuators[1].Joint = 1 }, `biped.xml: actuator "l": found it at joint "right", which "r" moves already`},
		"joint without motor": {func(d *mujoco.Description, _ *Options) { d.Actuators = d.Actuators[:1] }, `biped.xml: joint "left": found no actuator, expected one for each joint`},
		"gear 0":              {func(d *mujoco.Description, _ *Options) { d.Actuators[1].Gear = 0 }, `biped.xml: actuator "l": found gear 0`},
		"two keyframes": {func(d *mujoco.Description, _ *Options) {
			d.Keyframes = append(d.Keyframes, mujoco.Keyframe{Name: "up"})
		}, "--keyframe: missing: biped.xml has 2 keyframes: home, up"},
		"unknown keyframe": {func(_ *mujoco.Description, o *Options) { o.Keyframe = "up" }, `biped.xml: keyframe: "up" not found, expected one of home`},
		"no keyframe": {func(d *mujoco.Description, o *Options) { d.Keyframes, o.Keyframe = nil, "home" },
			`biped.xml: keyframe: found none, expected "home"; give the pose by --pose`},
		"pose missing":      {func(d *mujoco.Description, _ *Options) { d.Keyframes = nil }, "--pose: missing: biped.xml has no default_rad for left, right (no keyframe)"},
		"pose out of range": {func(d *mujoco.Description, _ *Options) { d.Keyframes[0].Position[1] = 3 }, "biped.xml: the robot is not valid: joints[1].default_rad: found 3, expected lower_rad to upper_rad"},
		"feet missing":      {func(_ *mujoco.Description, o *Options) { o.Feet = nil }, "--feet: missing: the geoms of the feet, in the order of the contacts, or none; the model's named geoms are L, R"},
		"unknown foot":      {func(_ *mujoco.Description, o *Options) { o.Feet = []string{"L", "left"} }, `--feet: geom "left" not found in biped.xml`},
		"unknown joint":     {func(_ *mujoco.Description, o *Options) { o.Kp = values(t, "lefd=1") }, `--kp: found joint "lefd", expected one of the model's, such as left`},
		"range missing":     {func(d *mujoco.Description, _ *Options) { d.Joints[0].Limited = false }, "--lower: missing: biped.xml has no lower_rad for left (no range); --upper: missing"},
		"velocity missing":  {func(_ *mujoco.Description, o *Options) { o.Velocity = Values{} }, "--velocity: missing: biped.xml has no velocity_limit_rad_per_sec for left, right (MJCF has no limits of velocity"},
		"effort missing":    {func(d *mujoco.Description, _ *Options) { d.Actuators[0].ForceLimited = false }, "--effort: missing: biped.xml has no effort_limit_nm for right (no limit of effort)"},
		"effort of one side": {func(d *mujoco.Description, _ *Options) { d.Actuators[0].ForceRange = [2]float64{-5, 20} },
			`biped.xml: joint "right": found a range of effort from -5 to 20 N·m, expected a symmetric one`},
		"gains of motors": {func(d *mujoco.Description, _ *Options) { motors(d) }, "--kp: missing: biped.xml has no kp for left, right (a torque motor says nothing about gains); --kd: missing"},
		"kd missing":      {func(d *mujoco.Description, _ *Options) { d.Actuators[1].Kd = 0 }, "--kd: missing: biped.xml has no kd for left (a position servo without damping)"},
		"name of a joint": {func(d *mujoco.Description, _ *Options) { d.Joints[0].Name = "left-hip" }, `biped.xml: the robot is not valid: joints[0].name: found "left-hip"`},
	} {
		d, o := biped(), options(t)
		tt.change(d, &o)
		if result, err := Import(d, o); result != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}
