package npz

import (
	"fmt"
	"slices"
	"strings"
)

// otherNames are what Isaac Lab and mjlab call the arrays: properties of a robot's data, and what their environments return.
// Those of the root's link and of its center of mass are of the same base here.
var otherNames = map[string][]string{
	"joint_position_rad":           {"joint_pos"},
	"joint_velocity_rad_per_s":     {"joint_vel"},
	"joint_effort_n_m":             {"applied_torque", "joint_effort", "actuator_force"},
	"orientation_wxyz":             {"root_quat_w", "root_link_quat_w"},
	"angular_velocity_rad_per_s":   {"root_ang_vel_b", "root_link_ang_vel_b", "root_com_ang_vel_b"},
	"base_velocity_m_per_s":        {"root_lin_vel_b", "root_link_lin_vel_b", "root_com_lin_vel_b"},
	"command":                      {"commands", "velocity_commands"},
	"observation":                  {"obs", "policy"},
	"action":                       {"actions", "raw_actions"},
	"linear_acceleration_m_per_s2": {"lin_acc_b"},
}

// nameOf returns the name of an array in the file: the name, or the one of its other names that is there.
func (f *file) nameOf(name string) (string, error) {
	var found []string
	for _, other := range append([]string{name}, otherNames[name]...) {
		if _, ok := f.entries[other]; ok {
			found = append(found, other)
		}
	}
	switch {
	case len(found) == 0:
		return name, nil
	case len(found) > 1 && found[0] != name:
		return "", f.wrong(found[0], "also "+strings.Join(found[1:], ", "), fmt.Sprintf("one array for %s: leave the others out, or call it so", name))
	}
	return found[0], nil
}

// choose returns an array with a number of dimensions: without a second dimension of 1, or with that of the environment.
func (f *file) choose(name string, a *array, dimensions int) (*array, error) {
	if len(a.shape) == dimensions {
		return a, nil
	}
	steps, n := a.shape[0], a.shape[1]
	environment := f.environment
	if n == 1 {
		environment = 0
	}
	switch {
	case environment < 0:
		return nil, f.wrong(name, fmt.Sprintf("shape %v", a.shape),
			fmt.Sprintf("%d dimensions: the second one of %d looks like environments; say which with --environment=0 to %d", dimensions, n, n-1))
	case environment >= n:
		return nil, f.wrong(name, fmt.Sprintf("shape %v", a.shape), fmt.Sprintf("more than %d environments for --environment=%d", environment, environment))
	}
	width := 1
	if dimensions == 2 {
		width = a.shape[2]
	}
	out := &array{shape: slices.Delete(slices.Clone(a.shape), 1, 2), rounding: a.rounding, values: make([]float64, 0, steps*width)}
	for t := range steps {
		from := (t*n + environment) * width
		out.values = append(out.values, a.values[from:from+width]...)
	}
	return out, nil
}
