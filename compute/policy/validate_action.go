package policy

import (
	"fmt"
	"math"
)

const (
	maxGain       = 100_000 // The limit of a robot's own gains.
	maxDelaySteps = 100
)

// validateGains checks the gains. Manifests of versions 1 and 2 have none.
func (v validator) validateGains(p *Policy) error {
	if v.SchemaVersion < 3 {
		return nil
	}
	for _, gain := range []struct {
		field  string
		values Numbers
		valid  func(float64) bool
		want   string
	}{
		{"gains.kp", v.Gains.Kp, func(g float64) bool { return g > 0 && g <= maxGain }, fmt.Sprintf("more than 0 and at most %d", maxGain)},
		{"gains.kd", v.Gains.Kd, func(g float64) bool { return g >= 0 && g <= maxGain }, fmt.Sprintf("0 to %d", maxGain)},
	} {
		if len(gain.values) == 0 {
			return v.missing(gain.field, "not found, expected a number, or one for each of the %d joints", len(p.joints))
		}
		if err := v.checkNumbers(gain.field, gain.values, p.JointNames(), gain.valid, gain.want); err != nil {
			return err
		}
	}
	return nil
}

func (v validator) validateAction(p *Policy) error {
	a, joints := v.Action, p.JointNames()
	if len(a.Scale) == 0 {
		return v.missing(v.actionField("scale"), "not found, expected a number, or one for each of the %d joints", len(joints))
	}
	if err := v.checkNumbers(v.actionField("scale"), a.Scale, joints, isFactor, "a finite number other than 0"); err != nil {
		return err
	}
	if err := v.checkNumbers("action.offset_rad", a.OffsetRad, joints, isFinite, "a finite number"); err != nil {
		return err
	}
	if err := v.checkBounds(v.actionField("clip"), a.Clip, joints); err != nil {
		return err
	}
	if err := v.checkBounds("action.target_clip_rad", a.TargetClipRad, joints); err != nil {
		return err
	}
	return v.check(
		rule{a.Smoothing >= 0 && a.Smoothing <= 1, "action.smoothing", a.Smoothing, "the weight of the new action: more than 0 and at most 1, or 0 to disable smoothing"},
		rule{a.DelaySteps >= 0 && a.DelaySteps <= maxDelaySteps, "action.delay_steps", a.DelaySteps, fmt.Sprintf("0 to %d", maxDelaySteps)},
	)
}

// actionField returns the path of a field of the action. Schema versions 1 and 2 have no object "action".
func (v validator) actionField(field string) string {
	if v.SchemaVersion < 3 {
		return "action_" + field
	}
	return "action." + field
}

func isFinite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
func isFactor(x float64) bool { return isFinite(x) && x != 0 }

// checkNumbers checks numbers of elements with those names: none, one, or one for each.
func (v validator) checkNumbers(field string, n Numbers, elements []string, valid func(float64) bool, expected string) error {
	if found := len(n); found > 1 && found != len(elements) {
		return v.wrong(field, fmt.Sprintf("%d values", found), fmt.Sprintf("one number, or %d: one for each of %q", len(elements), elements))
	}
	for i, x := range n {
		if !valid(x) {
			return v.wrong(indexed(field, i, len(n)), x, expected)
		}
	}
	return nil
}

// checkBounds checks bounds of elements with those names: none, one pair, or one for each.
func (v validator) checkBounds(field string, b Bounds, elements []string) error {
	if found := len(b); found > 1 && found != len(elements) {
		return v.wrong(field, fmt.Sprintf("%d pairs", found), fmt.Sprintf("one pair, or %d: one for each of %q", len(elements), elements))
	}
	for i, pair := range b {
		if !(isFinite(pair[0]) && isFinite(pair[1]) && pair[0] < pair[1]) {
			return v.wrong(indexed(field, i, len(b)), fmt.Sprintf("%v to %v", pair[0], pair[1]), "a lower and a higher bound, or one positive number")
		}
	}
	return nil
}

// indexed returns the path of element i of n; one element stands for itself.
func indexed(field string, i, n int) string {
	if n == 1 {
		return field
	}
	return fmt.Sprintf("%s[%d]", field, i)
}

func (v validator) validateCommandRanges(*Policy) error {
	for _, r := range []struct {
		field string
		value *Range
	}{
		{"command_ranges.vx_mps", v.CommandRanges.VxMps},
		{"command_ranges.vy_mps", v.CommandRanges.VyMps},
		{"command_ranges.yaw_rate_rad_per_sec", v.CommandRanges.YawRateRadPerSec},
	} {
		if r.value != nil && !(isFinite(r.value[0]) && isFinite(r.value[1]) && r.value[0] <= r.value[1]) {
			return v.wrong(r.field, fmt.Sprintf("%v to %v", r.value[0], r.value[1]), "the lowest and the highest value")
		}
	}
	return nil
}

func (v validator) validateIMU(*Policy) error {
	const normTolerance = 1e-3
	u := v.IMU
	if u == nil {
		return nil
	}
	norm := 0.0
	for _, x := range u.Orientation {
		norm = math.Hypot(norm, x)
	}
	for _, n := range []struct {
		field  string
		values Numbers
		size   int
	}{{"imu.orientation", u.Orientation, 4}, {"imu.position_m", u.PositionM, 3}} {
		if found := len(n.values); found != 0 && found != n.size {
			return v.wrong(n.field, fmt.Sprintf("%d values", found), fmt.Sprint(n.size))
		}
		for i, x := range n.values {
			if !isFinite(x) {
				return v.wrong(indexed(n.field, i, n.size), x, "a finite number")
			}
		}
	}
	return v.check(
		rule{len(u.Orientation) == 0 || math.Abs(norm-1) <= normTolerance, "imu.orientation", fmt.Sprintf("a norm of %.4g", norm), "1"},
		rule{u.QuaternionOrder == WXYZ || u.QuaternionOrder == XYZW, "imu.quaternion_order", quote(u.QuaternionOrder), fmt.Sprintf("%q or %q", WXYZ, XYZW)},
	)
}
