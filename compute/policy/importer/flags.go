package importer

import (
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"krabby.dev/krabby/compute/policy"
)

func isFactor(x float64) bool   { return !math.IsNaN(x) && !math.IsInf(x, 0) && x != 0 }
func isInfinite(x float64) bool { return math.IsInf(x, 0) }

// decodeJSON decodes JSON without unknown fields.
func decodeJSON(content []byte, target any) error {
	return json.Unmarshal(content, target, json.RejectUnknownMembers(true))
}

// wrongFlag returns an error for a flag.
func wrongFlag(flag, found, expected string) error {
	return &Error{File: commandLine, Field: flag, Found: found, Expected: expected}
}

// flagRobotAndJoints takes the robot and the joints of the options, which sources depend on.
func (d *draft) flagRobotAndJoints() error {
	if d.r != nil {
		d.note("robot", d.r.Name, "--robot")
	}
	if len(d.o.Joints) == 0 {
		return nil
	}
	if d.r == nil {
		d.ask("robot", "--robot")
		return &MissingError{d.missing}
	}
	names, err := d.order("--joints", d.o.Joints)
	if err != nil {
		return err
	}
	d.m.JointOrder = names
	d.note("joint_order", fmt.Sprintf("%d joints: %s", len(names), strings.Join(names, " ")), "--joints "+strings.Join(d.o.Joints, ","))
	return nil
}

// order returns the joints of a flag: their names, the name of one of the robot's orders, or OrderRobot.
func (d *draft) order(flag string, names []string) ([]string, error) {
	if len(names) != 1 || slices.Contains(d.r.JointNames(), names[0]) {
		return names, d.checkNames(commandLine, flag, names)
	}
	if names[0] == OrderRobot {
		return d.r.JointNames(), nil
	}
	order, ok := d.r.Orders[names[0]]
	if !ok {
		known := append(slices.Sorted(maps.Keys(d.r.Orders)), OrderRobot)
		return nil, wrongFlag(flag, quote(names[0]), "names of joints, or an order of "+d.r.Name+": "+strings.Join(known, ", "))
	}
	return order, nil
}

// flags applies the options to the manifest.
func (d *draft) flags() error {
	if d.m.Name == "" {
		d.flagText(&d.m.Name, "name", "the name of the output directory", d.o.DefaultName)
	}
	d.flagText(&d.m.Name, "name", "--name", d.o.Name)
	d.flagText(&d.m.Provenance.Source, "provenance.source", "--source", d.o.Source)
	d.flagText(&d.m.Provenance.License, "provenance.license", "--license", d.o.License)
	for _, f := range []struct {
		target     *policy.Numbers
		field, flg string
		text       []string
	}{
		{(*policy.Numbers)(&d.m.DefaultPoseRad), "default_pose_rad", "--default-pose", d.o.DefaultPose},
		{&d.m.Gains.Kp, "gains.kp", "--kp", d.o.Kp}, {&d.m.Gains.Kd, "gains.kd", "--kd", d.o.Kd},
		{&d.m.Action.Scale, "action.scale", "--action-scale", d.o.ActionScale},
	} {
		if len(f.text) == 0 || d.joints() == 0 {
			continue
		}
		n, err := d.flagNumbers(f.flg, f.text, d.m.JointOrder)
		if f.flg == "--default-pose" && f.text[0] == OrderRobot && d.r != nil {
			n, err = d.robotPose(), nil
		}
		if err != nil {
			return err
		}
		d.replaced(f.field, n, f.flg, *f.target)
		*f.target = n
	}
	d.m.DefaultPoseRad = policy.Numbers(d.m.DefaultPoseRad).Expand(d.joints())
	if d.o.RateHz > 0 {
		d.note("control_rate_hz", d.o.RateHz, "--rate")
		d.m.ControlRateHz = d.o.RateHz
	}
	if d.o.ActionClip > 0 {
		d.m.Action.Clip = policy.Symmetric(d.o.ActionClip)
		d.note("action.clip", d.m.Action.Clip, "--action-clip")
	}
	for _, apply := range []func() error{d.flagObservation, d.flagRanges, d.flagHold, d.flagIMU} {
		if err := apply(); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.o.Terms)) {
		if !d.usedTerms[name] {
			return wrongFlag("--term "+name, "a term that no file names", "a term of the observation")
		}
	}
	return nil
}

// robotPose returns the robot's default pose, for the policy's joints.
func (d *draft) robotPose() policy.Numbers {
	pose := make(policy.Numbers, d.joints())
	for i, name := range d.m.JointOrder {
		if k := slices.Index(d.r.JointNames(), name); k >= 0 {
			pose[i] = d.r.DefaultPoseRad[k]
		}
	}
	return pose
}

// replaced notes a value of a flag, and that of the files, which it replaces.
func (d *draft) replaced(field string, n policy.Numbers, flag string, before policy.Numbers) {
	if len(before) > 0 && !slices.Equal(before.Expand(d.joints()), n.Expand(d.joints())) {
		flag += fmt.Sprintf(", in place of %s in the files", simplify(before))
	}
	d.note(field, n, flag)
}

func (d *draft) flagText(target *string, field, flag, text string) {
	if text != "" {
		*target = text
		d.note(field, text, flag)
	}
}

// flagNumbers reads numbers of the joints with those names: one, one for each, or PATTERN=NUMBER.
func (d *draft) flagNumbers(flag string, text, names []string) (policy.Numbers, error) {
	var patterns []string
	var n policy.Numbers
	for _, element := range text {
		number := element
		if i := strings.LastIndex(element, "="); i >= 0 {
			patterns, number = append(patterns, element[:i]), element[i+1:]
		}
		x, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || math.IsNaN(x) || isInfinite(x) {
			return nil, wrongFlag(flag, quote(element), "finite numbers")
		}
		n = append(n, x)
	}
	switch {
	case len(patterns) == len(text):
		values, err := d.matched(commandLine, flag, names, patterns, n, true)
		return simplify(values), err
	case len(patterns) > 0:
		return nil, wrongFlag(flag, quote(strings.Join(text, ",")), "numbers or JOINT=NUMBER, not both")
	case len(n) != 1 && len(n) != len(names):
		return nil, wrongFlag(flag, fmt.Sprintf("%d values", len(n)), fmt.Sprintf("one, or %d: one for each joint", len(names)))
	}
	return simplify(n), nil
}

func (d *draft) flagObservation() error {
	if d.o.Observation != "" {
		content, err := os.ReadFile(d.o.Observation)
		if err != nil {
			return err
		}
		d.m.Observation = policy.Observation{}
		if err := decodeJSON(content, &d.m.Observation); err != nil {
			return &Error{File: d.o.Observation, Found: "other JSON", Expected: "the field observation of a manifest: " + err.Error()}
		}
		d.note("observation", d.m.Observation.String(), "--observation "+d.o.Observation)
	}
	if d.o.History != "" {
		d.m.Observation.History = &policy.History{}
		if err := decodeJSON([]byte(d.o.History), d.m.Observation.History); err != nil {
			return wrongFlag("--history", quote(d.o.History), "the field observation.history of a manifest: "+err.Error())
		}
		d.note("observation.history", d.o.History, "--history")
	}
	return nil
}

func (d *draft) flagRanges() error {
	for _, r := range []struct {
		target      **policy.Range
		field, flag string
		value       []float64
	}{
		{&d.m.CommandRanges.VxMps, "vx_mps", "--vx", d.o.Vx}, {&d.m.CommandRanges.VyMps, "vy_mps", "--vy", d.o.Vy},
		{&d.m.CommandRanges.YawRateRadPerSec, "yaw_rate_rad_per_sec", "--yaw-rate", d.o.YawRate},
	} {
		switch len(r.value) {
		case 0:
		case 2:
			*r.target = &policy.Range{r.value[0], r.value[1]}
			d.note("command_ranges."+r.field, fmt.Sprintf("%v to %v", r.value[0], r.value[1]), r.flag)
		default:
			return wrongFlag(r.flag, fmt.Sprintf("%d values", len(r.value)), "the lowest and the highest")
		}
	}
	return nil
}

// flagHold takes the positions of the robot's other joints.
func (d *draft) flagHold() error {
	if d.r == nil || d.joints() == 0 || d.joints() == len(d.r.Joints) {
		return nil
	}
	var names []string
	var pose policy.Numbers
	for i, joint := range d.r.Joints {
		if !slices.Contains(d.m.JointOrder, joint.Name) {
			names, pose = append(names, joint.Name), append(pose, d.r.DefaultPoseRad[i])
		}
	}
	switch {
	case len(names) == 0:
		return nil
	case len(d.o.Hold) == 0:
		d.ask(fmt.Sprintf("positions of the joints %s of %s, which the policy does not move", strings.Join(names, ", "), d.r.Name), "--hold, or --hold default for the pose of the robot here")
		return nil
	case d.o.Hold[0] != "default":
		var err error
		if pose, err = d.flagNumbers("--hold", d.o.Hold, names); err != nil {
			return err
		}
		pose = pose.Expand(len(names))
	}
	d.m.HeldJointsRad = map[string]float64{}
	for i, name := range names {
		d.m.HeldJointsRad[name] = pose[i]
	}
	d.note("other_joints_rad", fmt.Sprintf("%d joints: %s", len(names), strings.Join(names, " ")), "--hold "+strings.Join(d.o.Hold, ","))
	return nil
}

func (d *draft) flagIMU() error {
	switch len(d.o.IMUPosition) {
	case 0:
		return nil
	case 3:
		if d.m.IMU == nil {
			d.m.IMU = &policy.IMU{QuaternionOrder: policy.WXYZ}
		}
		d.m.IMU.PositionM = d.o.IMUPosition
		d.note("imu.position_m", d.o.IMUPosition, "--imu-position")
		return nil
	}
	return wrongFlag("--imu-position", fmt.Sprintf("%d values", len(d.o.IMUPosition)), "x, y and z in m")
}

// checkMissing returns a *MissingError where something is neither in the files nor in the options.
func (d *draft) checkMissing() error {
	// Files with numbers of joints may state these; only with the joints they are read.
	later := d.joints() == 0 && len(d.docs) > 0
	for _, f := range []struct {
		stated      bool
		field, flag string
	}{
		{d.r != nil, "robot", "--robot (a built-in name or a robot file)"},
		{d.joints() > 0, "joint order of the policy", "--joints"},
		{len(d.m.DefaultPoseRad) > 0 || d.joints() == 0, "default pose", "--default-pose"},
		{later || len(d.m.Gains.Kp) > 0, "proportional gains of the training", "--kp"},
		{later || len(d.m.Gains.Kd) > 0, "derivative gains of the training", "--kd"},
		{later || len(d.m.Action.Scale) > 0, "action scale", "--action-scale"},
		{d.m.ControlRateHz > 0, "control rate", "--rate"},
		{later || len(d.m.Observation.Terms) > 0, "observation", "--observation"},

		{d.network == nil || d.o.Activation != "", "activation of the network", "--activation (rsl_rl's default is elu), or agent.yaml by --config"},
		{d.m.Provenance.Source != "", "source of the policy", "--source"},
	} {
		if !f.stated && !slices.ContainsFunc(d.missing, func(m string) bool { return strings.HasPrefix(m, f.field+":") }) {
			d.ask(f.field, f.flag)
		}
	}
	if len(d.missing) > 0 {
		return &MissingError{d.missing}
	}
	return d.checkNames("manifest", "joint_order", d.m.JointOrder)
}
