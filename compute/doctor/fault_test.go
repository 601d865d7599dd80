package doctor_test

import (
	"slices"
	"strings"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/rollout"
)

// fault changes a rollout as a mistake in training, in deployment or in the log does.
type fault func(p *policy.Policy, r *rollout.Rollout)

// combined applies faults one after the other.
func combined(faults ...fault) fault {
	return func(p *policy.Policy, r *rollout.Rollout) {
		for _, f := range faults {
			f(p, r)
		}
	}
}

// inObservation changes the elements of a quantity, of the current step and of each step in the history.
func inObservation(q policy.Quantity, change func(values []float64)) fault {
	return func(p *policy.Policy, r *rollout.Rollout) {
		elements := elementsOf(p)
		for age := 0; ; age++ {
			var at []int
			for i, e := range elements {
				if e.Term.Quantity == q && e.Term.AgeSteps == age {
					at = append(at, i)
				}
			}
			if len(at) == 0 {
				return
			}
			for t := range r.Steps() {
				row, values := r.Observation.Row(t), make([]float64, len(at))
				for i, j := range at {
					values[i] = float64(row[j])
				}
				change(values)
				for i, j := range at {
					row[j] = float32(values[i])
				}
			}
		}
	}
}

// inLog changes the rows of an array of the sensors.
func inLog(array func(*rollout.Rollout) *rollout.Array, change func(values []float64)) fault {
	return func(_ *policy.Policy, r *rollout.Rollout) {
		a := array(r)
		for t := range r.Steps() {
			row := a.Row(t)
			values := make([]float64, len(row))
			for i, v := range row {
				values[i] = float64(v)
			}
			change(values)
			for i, v := range values {
				row[i] = float32(v)
			}
		}
	}
}

func position(r *rollout.Rollout) *rollout.Array        { return &r.PositionRad }
func velocity(r *rollout.Rollout) *rollout.Array        { return &r.VelocityRadPerSec }
func orientation(r *rollout.Rollout) *rollout.Array     { return &r.Orientation }
func angularVelocity(r *rollout.Rollout) *rollout.Array { return &r.AngularVelocityRadPerSec }
func contacts(r *rollout.Rollout) *rollout.Array        { return &r.Contacts }

// times multiplies the values at the given indices by a factor, all values without indices.
func times(factor float64, at ...int) func([]float64) {
	return func(values []float64) {
		for i := range values {
			if len(at) == 0 || slices.Contains(at, i) {
				values[i] *= factor
			}
		}
	}
}

// reordered puts the value at[i] at i.
func reordered(at ...int) func([]float64) {
	return func(values []float64) {
		old := slices.Clone(values)
		for i, j := range at {
			values[i] = old[j]
		}
	}
}

// inverted returns the inverse of a reordering.
func inverted(at []int) []int {
	inverse := make([]int, len(at))
	for i, j := range at {
		inverse[j] = i
	}
	return inverse
}

// The orientation of the log.
var (
	xyzw      = inLog(orientation, reordered(1, 2, 3, 0))
	conjugate = inLog(orientation, times(-1, 1, 2, 3))
)

// indices returns the indices of names in the policy's joint order.
func indices(p *policy.Policy, names []string) []int {
	at := make([]int, len(names))
	for i, name := range names {
		at[i] = slices.Index(p.JointOrder, name)
	}
	return at
}

// reorderedJoints changes the order of the joints of every quantity in the observation.
func reorderedJoints(order func(p *policy.Policy) []int) fault {
	return func(p *policy.Policy, r *rollout.Rollout) {
		change := reordered(order(p)...)
		combined(inObservation(policy.JointPosition, change), inObservation(policy.JointVelocity, change), inObservation(policy.LastAction, change))(p, r)
	}
}

// otherMajor returns the type-major order of joints for a leg-major policy, and the leg-major one for a type-major policy.
func otherMajor(p *policy.Policy) []int {
	if p.JointOrder[1] == p.Robot.Orders["type_major"][1] {
		return indices(p, p.Robot.JointNames())
	}
	return indices(p, p.Robot.Orders["type_major"])
}

// exchangedLegs returns the order of joints with the legs exchanged by pairs of old and new.
func exchangedLegs(pairs ...string) func(p *policy.Policy) []int {
	return func(p *policy.Policy) []int {
		var names []string
		for _, name := range p.JointOrder {
			names = append(names, strings.NewReplacer(pairs...).Replace(name))
		}
		return indices(p, names)
	}
}

var (
	leftRight = reorderedJoints(exchangedLegs("FL", "FR", "FR", "FL", "RL", "RR", "RR", "RL"))
	frontRear = reorderedJoints(exchangedLegs("FL", "RL", "FR", "RR", "RL", "FL", "RR", "FR"))
)

// withoutDefaultPose adds the default pose to the joint positions of the observation.
func withoutDefaultPose(p *policy.Policy, r *rollout.Rollout) {
	inObservation(policy.JointPosition, func(v []float64) {
		for i := range v {
			v[i] += p.DefaultPoseRad[i]
		}
	})(p, r)
}

// worldGravity is gravity in the world frame.
var worldGravity = inObservation(policy.Gravity, func(v []float64) { v[0], v[1], v[2] = 0, 0, -1 })

// shiftedRows gives row t of the observation the values of row t - by, of some quantities or of all.
func shiftedRows(by int, quantities ...policy.Quantity) fault {
	return func(p *policy.Policy, r *rollout.Rollout) {
		old, elements := r.Observation.Clone(), elementsOf(p)
		for t := range r.Steps() {
			from := min(max(t-by, 0), r.Steps()-1)
			for i, e := range elements {
				if len(quantities) == 0 || slices.Contains(quantities, e.Term.Quantity) {
					r.Observation.Row(t)[i] = old.Row(from)[i]
				}
			}
		}
		*r = *r.Slice(max(by, 0), r.Steps()+min(by, 0)) // Without the rows for which there is no other row.
	}
}

// inWorldFrame rotates a vector of the observation into the world frame.
func inWorldFrame(q policy.Quantity) fault {
	return func(p *policy.Policy, r *rollout.Rollout) {
		for i, e := range elementsOf(p) {
			if e.Term.Quantity == q && e.Term.AgeSteps == 0 && e.Component == "x" {
				for t := range r.Steps() {
					rotate(r.Orientation.Row(t), r.Observation.Row(t)[i:i+3])
				}
			}
		}
	}
}

// angularVelocityInWorldFrame rotates the angular velocity of the log into the world frame.
func angularVelocityInWorldFrame(_ *policy.Policy, r *rollout.Rollout) {
	for t := range r.Steps() {
		rotate(r.Orientation.Row(t), r.AngularVelocityRadPerSec.Row(t))
	}
}

// rotate multiplies v by the rotation matrix of q.
func rotate(q []float32, v []float32) {
	w, x, y, z := float64(q[0]), float64(q[1]), float64(q[2]), float64(q[3])
	m := [3][3]float64{
		{1 - 2*(y*y+z*z), 2 * (x*y - w*z), 2 * (x*z + w*y)},
		{2 * (x*y + w*z), 1 - 2*(x*x+z*z), 2 * (y*z - w*x)},
		{2 * (x*z - w*y), 2 * (y*z + w*x), 1 - 2*(x*x+y*y)},
	}
	old := [3]float64{float64(v[0]), float64(v[1]), float64(v[2])}
	for i := range 3 {
		v[i] = float32(m[i][0]*old[0] + m[i][1]*old[1] + m[i][2]*old[2])
	}
}

// everySecondRow keeps every second row.
func everySecondRow(_ *policy.Policy, r *rollout.Rollout) {
	for _, f := range r.Fields() {
		var kept []float32
		for t := 0; t < r.Steps(); t += 2 {
			kept = append(kept, f.Array.Row(t)...)
		}
		f.Array.Values = kept
	}
	var times []float64
	for t := 0; t < len(r.TimeS); t += 2 {
		times = append(times, r.TimeS[t])
	}
	r.TimeS, r.EpisodeStart = times, nil
}

// heldRows holds the observation of every second row for the row after it.
func heldRows(_ *policy.Policy, r *rollout.Rollout) {
	for t := 1; t < r.Steps(); t += 2 {
		copy(r.Observation.Row(t), r.Observation.Row(t-1))
	}
}

// historyOf writes the current values of age(n) steps ago into the history where those of n steps ago belong.
func historyOf(age func(steps int) int) fault {
	return func(p *policy.Policy, r *rollout.Rollout) {
		elements := elementsOf(p)
		for t := range r.Steps() {
			row := r.Observation.Row(t)
			for i, e := range elements {
				if e.Term.AgeSteps > 0 && e.Source >= 0 {
					row[i] = r.Observation.Row(max(t-age(e.Term.AgeSteps), 0))[e.Source]
				}
			}
		}
	}
}

// everySecondStep is the age of a history that skips every second step.
func everySecondStep(steps int) int { return 2 * steps }

// newestFirst is the age in a history of 10 steps with the newest step first.
func newestFirst(steps int) int { return 11 - steps }
