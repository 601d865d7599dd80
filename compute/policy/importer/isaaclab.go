package importer

import (
	"fmt"
	"slices"
	"strings"

	"krabby.dev/krabby/compute/policy"
)

// isIsaacLab reports whether a file is params/env.yaml of Isaac Lab.
func isIsaacLab(d *draft) bool {
	return slices.ContainsFunc(d.docs, func(doc *document) bool { return doc.top().has("observations", "actions", "decimation", "sim") })
}

// isaacLab reads params/env.yaml of Isaac Lab.
type isaacLab struct {
	*draft
	top value
}

func readIsaacLab(d *draft) error {
	if len(d.docs) != 1 {
		return wrongFlag("--config", fmt.Sprintf("%d files", len(d.docs)), "one env.yaml")
	}
	i := &isaacLab{d, d.docs[0].top()}
	for _, step := range []func() error{i.rate, i.joint} {
		if err := step(); err != nil {
			return err
		}
	}
	if d.r == nil || d.joints() == 0 {
		return nil // checkMissing asks.
	}
	for _, step := range []func() error{i.pose, i.gains, i.action, i.terms, i.version} {
		if err := step(); err != nil {
			return err
		}
	}
	if v, ok := i.top.get("commands"); ok {
		return d.commandRanges(v)
	}
	return nil
}

func (i *isaacLab) rate() error {
	dt, hasDt := i.top.find("sim", "dt")
	decimation, hasDecimation := i.top.get("decimation")
	if !hasDt || !hasDecimation {
		return nil
	}
	return i.setDecimatedRate(dt, decimation)
}

// joint reads the joints. Their order is the simulator's, which the file does not state, unless the action lists names in order.
func (i *isaacLab) joint() error {
	if i.joints() > 0 {
		return nil
	}
	if v, ok := i.top.find("actions"); ok && len(v.entries()) == 1 {
		action := v.entries()[0].value
		names, hasNames := action.get("joint_names")
		preserve, hasPreserve := action.get("preserve_order")
		if hasPreserve && hasNames && names.isSequence() {
			if kept, err := preserve.truth(); err != nil || kept {
				all, err := names.texts()
				if err != nil {
					return err
				}
				if !slices.ContainsFunc(all, func(name string) bool { return strings.ContainsAny(name, ".*[(?") }) {
					return i.setJoints(all, names)
				}
			}
		}
	}
	hint := "--joints"
	if i.r != nil && i.r.Orders["type_major"] != nil {
		hint = "--joints: Isaac Sim goes through the joints breadth first, which for the " + i.r.Name + " is --joints type_major"
	}
	i.ask("joint order of the policy", hint)
	return nil
}

// robotConfig returns the configuration of the robot's articulation.
func (i *isaacLab) robotConfig() (value, error) {
	v, ok := i.top.find("scene", "robot")
	if !ok {
		return v, i.top.wrong("no scene.robot", "the configuration of the robot")
	}
	return v, nil
}

// pose reads the default pose: patterns of joints and positions; others are 0.
func (i *isaacLab) pose() error {
	r, err := i.robotConfig()
	if err != nil {
		return err
	}
	v, ok := r.find("init_state", "joint_pos")
	if !ok {
		return nil
	}
	n, err := i.patterns(v, false)
	if err != nil {
		return err
	}
	i.m.DefaultPoseRad = n.Expand(i.joints())
	i.note("default_pose_rad", n, from(v))
	return nil
}

// patterns returns the numbers of a mapping from patterns to numbers, or of a number, for the policy's joints. With complete, each joint
// has one, and each pattern a joint.
func (i *isaacLab) patterns(v value, complete bool) (policy.Numbers, error) {
	if !v.isMapping() {
		return i.jointNumbers(v)
	}
	v.use()
	var expressions []string
	var n policy.Numbers
	for _, e := range v.entries() {
		x, err := e.value.number()
		if err != nil {
			return nil, err
		}
		expressions, n = append(expressions, e.key), append(n, x)
	}
	all, err := i.matched(v.doc.file, v.path, i.m.JointOrder, expressions, n, complete)
	return simplify(all), err
}

// gains reads stiffness and damping of all actuators.
func (i *isaacLab) gains() error {
	r, err := i.robotConfig()
	if err != nil {
		return err
	}
	actuators, ok := r.get("actuators")
	if !ok {
		return nil
	}
	for _, g := range []struct {
		key, field, flag string
		given            []string
		target           *policy.Numbers
	}{{"stiffness", "gains.kp", "--kp", i.o.Kp, &i.m.Gains.Kp}, {"damping", "gains.kd", "--kd", i.o.Kd, &i.m.Gains.Kd}} {
		if len(g.given) > 0 {
			continue
		}
		gains, owner := make(policy.Numbers, i.joints()), make([]string, i.joints())
		complete := true
		for _, e := range actuators.entries() {
			stated, err := i.actuator(e, g.key, gains, owner)
			if err != nil {
				return err
			}
			if !stated {
				i.ask(fmt.Sprintf("%s of the actuator %s, which is that of the robot's USD file", g.key, e.key), g.flag)
				complete = false
			}
		}
		if n := slices.Index(owner, ""); n >= 0 && complete {
			return actuators.wrong("no actuator for "+i.m.JointOrder[n], "one for each joint of the policy")
		}
		if complete {
			*g.target = simplify(gains)
			i.note(g.field, *g.target, from(actuators)+".*."+g.key)
		}
	}
	return nil
}

// actuator adds the gains of one actuator's joints. It returns false where the gain is null.
func (i *isaacLab) actuator(e entry, key string, gains policy.Numbers, owner []string) (bool, error) {
	names, ok := e.value.get("joint_names_expr")
	if !ok {
		return false, e.value.wrong("no joint_names_expr", "the joints of the actuator")
	}
	patterns, err := names.texts()
	if err != nil {
		return false, err
	}
	members, err := i.matched(names.doc.file, names.path, i.m.JointOrder, patterns, slices.Repeat(policy.Numbers{1}, len(patterns)), false)
	if err != nil {
		return false, err
	}
	v, ok := e.value.get(key)
	if !ok {
		return false, nil
	}
	var own []string
	for n, member := range members {
		if member == 0 {
			continue
		}
		if owner[n] != "" {
			return false, names.wrong(fmt.Sprintf("%s, which the actuator %s has too", i.m.JointOrder[n], owner[n]), "each joint in one actuator")
		}
		owner[n], own = e.key, append(own, i.m.JointOrder[n])
	}
	if len(own) == 0 {
		return true, nil // The actuator of joints that the policy does not move.
	}
	part := *i.draft
	part.m.JointOrder = own
	n, err := (&isaacLab{&part, i.top}).patterns(v, true)
	if err != nil {
		return false, err
	}
	next := 0
	for k, member := range members {
		if member != 0 {
			gains[k] = n.At(next)
			next++
		}
	}
	return true, nil
}

// action reads the one action term.
func (i *isaacLab) action() error {
	actions, ok := i.top.get("actions")
	if !ok || len(actions.entries()) != 1 {
		return i.top.wrong(fmt.Sprintf("%d action terms", len(actions.entries())), "one: a joint position action")
	}
	a := actions.entries()[0].value
	class, ok := a.get("class_type")
	if !ok {
		return a.wrong("no class_type", "the class of the action")
	}
	name, err := class.text()
	if err != nil {
		return err
	}
	if _, function, _ := strings.Cut(name, ":"); function != "JointPositionAction" {
		return class.wrong(quote(name), "JointPositionAction: other actions are not supported")
	}
	if names, ok := a.get("joint_names"); ok {
		names.use()
	}
	if v, ok := a.get("preserve_order"); ok {
		v.use()
	}
	if v, ok := a.get("scale"); ok {
		if i.m.Action.Scale, err = i.patterns(v, true); err != nil {
			return err
		}
		i.note("action.scale", i.m.Action.Scale, from(v))
	}
	if err := i.offset(a); err != nil {
		return err
	}
	if v, ok := a.get("clip"); ok {
		return i.targetClip(v)
	}
	return nil
}

// offset reads the position of an action of 0: the default pose, or a number.
func (i *isaacLab) offset(a value) error {
	if v, ok := a.get("use_default_offset"); ok {
		byDefault, err := v.truth()
		if err != nil {
			return err
		}
		if byDefault {
			i.note("action.offset_rad", "the default pose", from(v))
			return nil
		}
	}
	v, ok := a.get("offset")
	if !ok {
		return a.wrong("neither use_default_offset nor offset", "one of them")
	}
	n, err := i.patterns(v, true)
	i.m.Action.OffsetRad = n
	i.note("action.offset_rad", n, from(v))
	return err
}

// targetClip reads patterns of joints and the bounds of their targets.
func (i *isaacLab) targetClip(v value) error {
	v.use()
	var patterns []string
	var low, high policy.Numbers
	for _, e := range v.entries() {
		p, err := e.value.pair()
		if err != nil {
			return err
		}
		patterns, low, high = append(patterns, e.key), append(low, p[0]), append(high, p[1])
	}
	lows, err := i.matched(v.doc.file, v.path, i.m.JointOrder, patterns, low, true)
	if err != nil {
		return err
	}
	highs, err := i.matched(v.doc.file, v.path, i.m.JointOrder, patterns, high, true)
	if err != nil {
		return err
	}
	pairs := make([][2]float64, len(lows))
	for n := range lows {
		pairs[n] = [2]float64{lows[n], highs[n]}
	}
	i.m.Action.TargetClipRad, err = bounds(pairs, v)
	i.note("action.target_clip_rad", i.m.Action.TargetClipRad, from(v))
	return err
}

// version determines the order of quaternions, where the observation has one: the initial rotation is the identity in one of them.
func (i *isaacLab) version() error {
	order, where := map[string]string{"2.3": policy.WXYZ, "3.0": policy.XYZW}[i.o.IsaacLab], "--isaac-lab"
	if order == "" && i.o.IsaacLab != "" {
		return wrongFlag("--isaac-lab", quote(i.o.IsaacLab), "2.3 (quaternions in w, x, y, z) or 3.0 (x, y, z, w)")
	}
	if rot, ok := i.top.find("scene", "robot", "init_state", "rot"); ok && order == "" {
		n, err := rot.numbers()
		if err != nil {
			return err
		}
		switch {
		case slices.Equal(n, policy.Numbers{1, 0, 0, 0}):
			order = policy.WXYZ
		case slices.Equal(n, policy.Numbers{0, 0, 0, 1}):
			order = policy.XYZW
		}
		where = from(rot) + " is the identity in this order"
	}
	needed := slices.ContainsFunc(i.m.Observation.Terms, func(t policy.Term) bool { return t.Term == policy.TermBaseQuat })
	switch {
	case order != "":
		i.note("quaternion order", order, where)
		if needed {
			i.m.IMU = &policy.IMU{QuaternionOrder: order}
		}
	case needed:
		i.ask("order of quaternions, which depends on the version of Isaac Lab", "--isaac-lab 2.3 (w, x, y, z) or --isaac-lab 3.0 (x, y, z, w)")
	}
	return nil
}
