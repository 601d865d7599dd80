package doctor

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/message"
)

// Kind is what is wrong.
type Kind string

// The kinds.
const (
	JointOrder        Kind = "joint_order"
	LegsSwapped       Kind = "legs_swapped"
	Swapped           Kind = "swapped" // Values of a quantity, in no order that has a name.
	SignFlipped       Kind = "sign_flipped"
	Degrees           Kind = "degrees"
	Frame             Kind = "frame"
	QuaternionOrder   Kind = "quaternion_order"
	QuaternionInverse Kind = "quaternion_inverse"
	Scaled            Kind = "scaled"
	Unscaled          Kind = "unscaled"
	DefaultPose       Kind = "default_pose"
	Delay             Kind = "delay"
	WrongRate         Kind = "wrong_rate"
	HistoryOrder      Kind = "history_order"
	HistoryTiming     Kind = "history_timing"
	Clipped           Kind = "clipped"
	NotFilledIn       Kind = "not_filled_in"
	Offset            Kind = "offset"
)

// columns are the values of some slots of the current step, over all steps.
type columns map[int][]float32

// candidate is a hypothesis: what of the rebuilt observation must change for it to be the recorded one, if it is true.
type candidate struct {
	kind Kind
	// label tells candidates of one kind apart that say different things.
	label     string
	says, fix string
	// rank is how much it supposes: of two that fit as well, the lower is named.
	rank   int
	change func() columns
}

// The ranks.
const (
	named  = 1 // A mistake that has a name.
	fitted = 2 // One number is fitted.
	many   = 3 // One for each value is fitted.
	vague  = 4 // It says nothing of the cause.
)

// view is what candidates are made from: recorded and rebuilt values of the current step by slot, as far as explained.
type view struct {
	*examination
	recorded, rebuilt columns
	agrees            map[policy.Quantity]bool // Nothing of it wants an explanation.
}

func (e *examination) view(t *table) *view {
	v := &view{e, columns{}, columns{}, map[policy.Quantity]bool{}}
	for i := range e.current {
		v.recorded[i], v.rebuilt[i] = column(e.recorded, i), column(t, i)
	}
	for _, b := range e.blocks {
		v.agrees[b.quantity] = e.scoreOf(v.rebuilt, b).exact
	}
	return v
}

func column(t *table, slot int) []float32 {
	out := make([]float32, t.rows)
	for i := range out {
		out[i] = t.values[i*t.columns+slot]
	}
	return out
}

// block returns the block of a quantity, nil where it is not compared.
func (e *examination) block(q policy.Quantity) *block {
	at := slices.IndexFunc(e.blocks, func(b block) bool { return b.quantity == q })
	if at < 0 {
		return nil
	}
	return &e.blocks[at]
}

// candidates returns all hypotheses on the current step.
func (v *view) candidates() ([]candidate, error) {
	var all []candidate
	for _, b := range v.blocks {
		if b.quantity == policy.Constant || v.agrees[b.quantity] {
			continue
		}
		all = append(all, v.scales(b)...)
		all = append(all, v.signs(b)...)
		all = append(all, v.clip(b)...)
		all = append(all, v.permutation(b)...)
		all = append(all, v.offset(b)...)
	}
	all = append(all, v.pose()...)
	all = append(all, v.jointOrders()...)
	all = append(all, v.delays()...)
	all = append(all, v.rates()...)
	sensors, err := v.sensors()
	return append(all, sensors...), err
}

// each returns the values of a block's slots, changed.
func (v *view) each(b block, change func(i int, value float64) float64) func() columns {
	return func() columns {
		out := columns{}
		for i, slot := range b.slots {
			from, to := v.rebuilt[slot], make([]float32, len(v.rebuilt[slot]))
			for t := range from {
				to[t] = float32(change(i, float64(from[t])))
			}
			out[slot] = to
		}
		return out
	}
}

// products returns the sums of recorded times rebuilt and of rebuilt squared, each with the offset added: their ratio is the
// factor that brings the rebuilt values nearest to the recorded ones.
func products(recorded, rebuilt []float32, offset float64) (product, square float64) {
	for t, r := range rebuilt {
		a, b := float64(recorded[t])+offset, float64(r)+offset
		if math.IsNaN(a) || math.IsNaN(b) {
			continue
		}
		product += a * b
		square += b * b
	}
	return product, square
}

// isAbout says whether a fitted factor is meant to be want.
func isAbout(f, want float64) bool { return math.Abs(f-want) <= 0.01*math.Abs(want) }

const degreesPerRad = 180 / math.Pi

// scales are factors: one for the block, one a value, and that of degrees on positions before the default pose is taken off.
func (v *view) scales(b block) []candidate {
	var all []candidate
	scale := v.slots[b.slots[0]].Scale
	product, square := 0.0, 0.0
	var factors []float64
	for _, slot := range b.slots {
		p, s := products(v.recorded[slot], v.rebuilt[slot], 0)
		product, square = product+p, square+s
		f := 1.0
		if s > 0 {
			f = p / s
		}
		factors = append(factors, f)
	}
	q := string(b.quantity)
	if square == 0 {
		return nil
	}
	f := product / square
	c := candidate{rank: fitted, kind: Scaled, label: q, change: v.each(b, func(_ int, value float64) float64 { return f * value })}
	switch {
	case math.Abs(f) < 1e-6:
		c.kind, c.rank = NotFilledIn, named
		c.says = fmt.Sprintf("the recorded observation has 0 for %s", q)
		c.fix = fmt.Sprintf("fill in %s, in %s", q, v.slots[b.slots[0]].Unit)
	case isAbout(f, degreesPerRad) && angular(b.quantity):
		f, c.kind, c.rank = degreesPerRad, Degrees, named
		c.says = fmt.Sprintf("the recorded observation has %s in degrees", q)
		c.fix = "multiply by π/180"
	case isAbout(f, 1/degreesPerRad) && angular(b.quantity):
		f, c.kind, c.rank = 1/degreesPerRad, Degrees, named
		c.says = fmt.Sprintf("the rollout has %s in degrees, the recorded observation in radians", q)
		c.fix = "log radians: multiply by π/180"
	case scale != 1 && isAbout(f, 1/scale):
		f, c.kind, c.rank = 1/scale, Unscaled, named
		c.says = fmt.Sprintf("the recorded observation has %s unscaled", q)
		c.fix = fmt.Sprintf("multiply by %v", scale)
	case scale != 1 && isAbout(f, scale):
		f = scale
		c.says = fmt.Sprintf("the recorded observation has %s scaled twice", q)
		c.fix = fmt.Sprintf("multiply by %v once", scale)
	default:
		c.says = fmt.Sprintf("the recorded observation has %s times %.4g", q, f)
		c.fix = fmt.Sprintf("divide by %.4g: the policy's layout has a scale of %v", f, scale)
		if b.quantity == policy.LastAction && isAbout(f, v.policy.ActionScale) {
			c.says += ", the action's scale"
			c.fix = "use the action as the policy gives it, before it is scaled"
		}
	}
	if math.Abs(f-1) > 1e-3 && !isAbout(f, -1) { // Signs are another matter.
		all = append(all, c)
	}
	apart, signs := false, true
	for _, g := range factors {
		apart = apart || !isAbout(g, f)
		signs = signs && (isAbout(g, 1) || isAbout(g, -1))
	}
	if apart && !signs {
		var words []string
		for i, slot := range b.slots {
			words = append(words, fmt.Sprintf("%s times %.3g", short(v.slots[slot]), factors[i]))
		}
		all = append(all, candidate{
			kind: Scaled, label: q + " each", rank: many,
			says:   fmt.Sprintf("the recorded observation has %s scaled one by one: %s", q, strings.Join(words, ", ")),
			fix:    fmt.Sprintf("divide by these: the policy's layout has a scale of %v", scale),
			change: v.each(b, func(i int, value float64) float64 { return factors[i] * value }),
		})
	}
	if b.quantity != policy.JointPosition {
		return all
	}
	pose := v.policy.DefaultPoseRad
	return append(all, candidate{
		kind: Degrees, label: "before the default pose", rank: named,
		says:   "the recorded observation has joint positions in degrees, less the default pose in radians",
		fix:    "multiply the positions by π/180 before the default pose is subtracted",
		change: v.each(b, func(i int, value float64) float64 { return degreesPerRad*(value+pose[i]) - pose[i] }),
	})
}

func angular(q policy.Quantity) bool {
	switch q {
	case policy.AngularVelocity, policy.RollPitch, policy.JointPosition, policy.JointVelocity:
		return true
	}
	return false
}

// short returns a slot's name without its quantity.
func short(s policy.Slot) string {
	return strings.TrimPrefix(s.Name, string(s.Quantity)+" ")
}

// signs are flips of some values, or all.
func (v *view) signs(b block) []candidate {
	var all []candidate
	for _, raw := range []bool{false, true} {
		if raw && b.quantity != policy.JointPosition {
			break
		}
		pose := make([]float64, len(b.slots))
		if raw {
			copy(pose, v.policy.DefaultPoseRad)
		}
		sign := make([]float64, len(b.slots))
		var flipped []string
		for i, slot := range b.slots {
			sign[i] = 1
			if p, _ := products(v.recorded[slot], v.rebuilt[slot], pose[i]); p < 0 {
				sign[i] = -1
				flipped = append(flipped, short(v.slots[slot]))
			}
		}
		if len(flipped) == 0 {
			continue
		}
		rank, which := fitted, "of "+strings.Join(flipped, ", ")
		switch {
		case len(flipped) == len(b.slots):
			rank, which = named, "of all values"
		case len(flipped) > 1 && commonType(flipped) != "":
			which = "of all joints " + commonType(flipped)
			for _, slot := range b.slots {
				if name := short(v.slots[slot]); strings.HasSuffix(name, commonType(flipped)) && !slices.Contains(flipped, name) {
					which = "of " + strings.Join(flipped, ", ")
				}
			}
		}
		q := string(b.quantity)
		c := candidate{
			kind: SignFlipped, label: q + which, rank: rank,
			says:   fmt.Sprintf("the sign %s in %s is flipped between the rollout and the recorded observation", which, q),
			fix:    "multiply by -1, in the observation or in the log, whichever is not as the robot's model has it",
			change: v.each(b, func(i int, value float64) float64 { return sign[i]*(value+pose[i]) - pose[i] }),
		}
		if raw {
			c.says += ", before the default pose is subtracted"
		}
		all = append(all, c)
	}
	return all
}

// commonType returns what follows the leg in all names, nothing where that differs.
func commonType(names []string) string {
	_, common, _ := strings.Cut(names[0], "_")
	for _, name := range names {
		if _, kind, _ := strings.Cut(name, "_"); kind != common {
			return ""
		}
	}
	return common
}

// clip bounds a block by its largest recorded value.
func (v *view) clip(b block) []candidate {
	limit, largest := 0.0, 0.0
	for _, slot := range b.slots {
		for t, r := range v.recorded[slot] {
			limit = max(limit, math.Abs(float64(r)))
			if made := math.Abs(float64(v.rebuilt[slot][t])); made > largest {
				largest = made
			}
		}
	}
	if limit <= equal || largest <= limit+equal {
		return nil
	}
	q := string(b.quantity)
	return []candidate{{
		kind: Clipped, label: q, rank: fitted,
		says:   fmt.Sprintf("the recorded observation has %s clipped to ±%.4g", q, limit),
		fix:    "do not clip: the policy's layout does not",
		change: v.each(b, func(_ int, value float64) float64 { return min(max(value, -limit), limit) }),
	}}
}

// permutation finds for each value the one that is most like it, with either sign. It is for orders without a name.
func (v *view) permutation(b block) []candidate {
	n := len(b.slots)
	at, sign := make([]int, n), make([]float64, n)
	used := make([]bool, n)
	negative := 0
	for i, slot := range b.slots {
		least := math.Inf(1)
		for j, other := range b.slots {
			for _, s := range []float64{1, -1} {
				sum := 0.0
				for t, r := range v.recorded[slot] {
					if d := float64(r) - s*float64(v.rebuilt[other][t]); !math.IsNaN(d) {
						sum += d * d
					}
				}
				if sum < least {
					least, at[i], sign[i] = sum, j, s
				}
			}
		}
		if used[at[i]] {
			return nil
		}
		used[at[i]] = true
		if sign[i] < 0 {
			negative++
		}
	}
	if isIdentity(at) {
		return nil
	}
	if perJoint(b.quantity) && negative == 0 &&
		slices.ContainsFunc(v.orders(), func(o order) bool { return slices.Equal(o.at, at) }) {
		return nil // It has a name.
	}
	var words []string
	for i, j := range at {
		if i != j {
			minus := ""
			if sign[i] < 0 {
				minus = "-"
			}
			words = append(words, fmt.Sprintf("%s is %s%s", short(v.slots[b.slots[i]]), minus, short(v.slots[b.slots[j]])))
		}
	}
	q := string(b.quantity)
	return []candidate{{
		kind: Swapped, label: q, rank: many,
		says: fmt.Sprintf("the recorded observation has %s in another order: %s", q, strings.Join(words, ", ")),
		fix:  "order them as the policy does",
		change: func() columns {
			out := columns{}
			for i, slot := range b.slots {
				from, to := v.rebuilt[b.slots[at[i]]], make([]float32, len(v.rebuilt[slot]))
				for t := range from {
					to[t] = float32(sign[i]) * from[t]
				}
				out[slot] = to
			}
			return out
		},
	}}
}

// offset is a constant for each value.
func (v *view) offset(b block) []candidate {
	offsets := make([]float64, len(b.slots))
	largest, isPose := 0.0, b.quantity == policy.JointPosition
	var words []string
	for i, slot := range b.slots {
		n, sum := 0.0, 0.0
		for t, r := range v.recorded[slot] {
			if d := float64(r) - float64(v.rebuilt[slot][t]); !math.IsNaN(d) {
				n, sum = n+1, sum+d
			}
		}
		if n > 0 {
			offsets[i] = sum / n
		}
		largest = max(largest, math.Abs(offsets[i]))
		if math.Abs(offsets[i]) > equal {
			words = append(words, fmt.Sprintf("%s %+.3g", short(v.slots[slot]), offsets[i]))
		}
		isPose = isPose && math.Abs(math.Abs(offsets[i])-math.Abs(v.policy.DefaultPoseRad[i])) <= v.noise*v.spread[slot]
	}
	if largest <= equal || isPose {
		return nil
	}
	q := string(b.quantity)
	c := candidate{
		kind: Offset, label: q, rank: vague,
		says:   fmt.Sprintf("the recorded %s differs by a constant: %s", q, strings.Join(words, ", ")),
		fix:    "look for what is added or subtracted in one place only",
		change: v.each(b, func(i int, value float64) float64 { return value + offsets[i] }),
	}
	if b.quantity == policy.JointPosition {
		c.fix = "compare the default poses: the manifest's default_pose_rad may not be that of training"
	}
	return []candidate{c}
}

// pose is a default pose that is not subtracted, or twice.
func (v *view) pose() []candidate {
	b := v.block(policy.JointPosition)
	if b == nil || v.agrees[b.quantity] {
		return nil
	}
	pose := v.policy.DefaultPoseRad
	relative, absolute := 0.0, 0.0 // How far the logged positions are from 0, and from the pose.
	for i, slot := range b.slots {
		for _, r := range v.rebuilt[slot] {
			relative += math.Abs(float64(r) + pose[i])
			absolute += math.Abs(float64(r))
		}
	}
	missing := candidate{
		kind: DefaultPose, label: "not subtracted", rank: named,
		says:   "the recorded observation has joint positions without the default pose subtracted",
		fix:    "subtract the manifest's default_pose_rad",
		change: v.each(*b, func(i int, value float64) float64 { return value + pose[i] }),
	}
	if relative < absolute {
		missing.label = "subtracted in the log"
		missing.says = "the rollout's joint positions have the default pose subtracted already"
		missing.fix = "log joint positions as the encoders have them"
	}
	return []candidate{missing, {
		kind: DefaultPose, label: "subtracted twice", rank: named,
		says:   "the recorded observation has the default pose subtracted twice from joint positions",
		fix:    "subtract the manifest's default_pose_rad once",
		change: v.each(*b, func(i int, value float64) float64 { return value - pose[i] }),
	}}
}

// perJoint says whether a quantity has one value a joint of the policy.
func perJoint(q policy.Quantity) bool {
	switch q {
	case policy.JointPosition, policy.JointVelocity, policy.LastAction:
		return true
	}
	return false
}

func (v *view) orders() []order {
	if v.knownOrders == nil {
		v.knownOrders = orders(v.policy.JointNames(), v.policy.Robot.Orders)
	}
	return v.knownOrders
}

// jointOrders are other orders of the joints, in the observation or in the log. The two differ for positions: there the
// default pose is subtracted from the right joint, here from the wrong one.
func (v *view) jointOrders() []candidate {
	var all []candidate
	names, pose := v.policy.JointNames(), v.policy.DefaultPoseRad
	for _, o := range v.orders() {
		moved := 0
		for o.at[moved] == moved {
			moved++
		}
		for _, scope := range []struct {
			quantities []policy.Quantity
			raw        bool
		}{
			{[]policy.Quantity{policy.JointPosition, policy.JointVelocity, policy.LastAction}, false},
			{[]policy.Quantity{policy.JointPosition, policy.JointVelocity}, true},
			{[]policy.Quantity{policy.JointPosition, policy.JointVelocity}, false},
			{[]policy.Quantity{policy.JointPosition, policy.JointVelocity, policy.LastAction}, true},
			{[]policy.Quantity{policy.JointPosition}, false},
			{[]policy.Quantity{policy.JointPosition}, true},
			{[]policy.Quantity{policy.JointVelocity}, false},
			{[]policy.Quantity{policy.LastAction}, false},
		} {
			var words []string
			wanted := false
			for _, q := range scope.quantities {
				words = append(words, string(q))
				wanted = wanted || !v.agrees[q]
			}
			if !wanted {
				continue
			}
			c := candidate{
				kind: o.kind, label: o.label, rank: named,
				says: fmt.Sprintf("the recorded observation has the joints of %s %s: its value for %s is what the rollout has for %s",
					strings.Join(words, ", "), o.label, names[moved], names[o.at[moved]]),
				fix: "order them as the policy's joint_order, by name",
				change: func() columns {
					out := columns{}
					for _, q := range scope.quantities {
						b := v.block(q)
						if b == nil {
							continue
						}
						for i, slot := range b.slots {
							from, to := v.rebuilt[b.slots[o.at[i]]], make([]float32, len(v.rebuilt[slot]))
							add := 0.0
							if scope.raw && q == policy.JointPosition {
								add = pose[o.at[i]] - pose[i]
							}
							for t := range from {
								to[t] = from[t] + float32(add)
							}
							out[slot] = to
						}
					}
					return out
				},
			}
			if scope.raw {
				c.says = fmt.Sprintf("the joint arrays of the rollout are not in the order of joint_names: %s, %s; what it calls %s is %s",
					o.label, strings.Join(words, ", "), names[o.at[moved]], names[moved])
				c.fix = "correct joint_names or the log; where it is the observation that is wrong, map joints by name before the default pose is subtracted"
			}
			all = append(all, c)
		}
	}
	return all
}

// gathered returns the columns of the blocks with the rows from others: row t has row from(t), unknown where that is below 0.
func (v *view) gathered(blocks []block, from func(t int) int) func() columns {
	return func() columns {
		out := columns{}
		for _, b := range blocks {
			for _, slot := range b.slots {
				source, to := v.rebuilt[slot], make([]float32, len(v.rebuilt[slot]))
				for t := range to {
					to[t] = float32(unknown)
					if at := from(t); at >= 0 && at < len(source) {
						to[t] = source[at]
					}
				}
				out[slot] = to
			}
		}
		return out
	}
}

// delays are rows that belong to other steps: of all, of the sensors, or of one quantity.
func (v *view) delays() []candidate {
	var all []candidate
	shift := func(steps int, what string, blocks []block) {
		n, later := steps, "older"
		if steps < 0 {
			n, later = -steps, "newer"
		}
		plural := "s"
		if n == 1 {
			plural = ""
		}
		c := candidate{
			kind: Delay, label: fmt.Sprintf("%s %d", what, steps), rank: named,
			says: fmt.Sprintf("%s in the recorded observation: %d step%s %s than in the rollout", what, n, plural, later),
			fix:  "build the observation from the newest reading, and log both in the same step",
			change: v.gathered(blocks, func(t int) int {
				from := t - steps
				if from < 0 || from >= len(v.begins) || v.begins[from] != v.begins[t] {
					return -1
				}
				return from
			}),
		}
		if what == string(policy.LastAction) {
			c.says = fmt.Sprintf("the last action in the recorded observation is that of %d step%s earlier than the one before", n, plural)
			c.fix = "give the policy the action that it gave in the step before"
			if steps == -1 {
				c.says = "the last action in the recorded observation is the action of the same step: the rollout's actions are one step early, or its observations late"
			}
		}
		all = append(all, c)
	}
	for _, steps := range []int{1, -1, 2, -2} {
		shift(steps, "all values", v.blocks)
		var sensors []block
		for _, b := range v.blocks {
			if b.quantity != policy.LastAction && b.quantity != policy.Command {
				sensors = append(sensors, b)
			}
		}
		shift(steps, "all sensors", sensors)
		for _, b := range v.blocks {
			if b.quantity != policy.Constant {
				shift(steps, string(b.quantity), []block{b})
			}
		}
	}
	return all
}

// rates are observations that were built in each second, third... row only and held in between.
func (v *view) rates() []candidate {
	var all []candidate
	for _, every := range []int{2, 3, 4, 5, 10} {
		for phase := range every {
			all = append(all, candidate{
				kind: WrongRate, label: fmt.Sprintf("held for %d", every), rank: named,
				says: fmt.Sprintf("the recorded observation changes in each %s row only: the rollout has %d rows for each step of the policy", nth(every), every),
				fix:  fmt.Sprintf("log one row for each step of the policy, at %v Hz, or run the policy at the rate of the log if it was trained for that", v.policy.ControlRateHz),
				change: v.gathered(v.blocks, func(t int) int {
					from := t - (t-phase+every)%every
					if from >= 0 && v.begins[from] != v.begins[t] {
						return -1
					}
					return from
				}),
			})
		}
	}
	return all
}

func nth(n int) string {
	switch n {
	case 2:
		return "second"
	case 3:
		return "third"
	}
	return fmt.Sprintf("%dth", n)
}

// sensors are hypotheses on what the log has, for which the observation is built anew: the orientation, frames, and
// positions in degrees, which do not survive that observations are clipped.
func (v *view) sensors() ([]candidate, error) {
	var all []candidate
	const (
		wxyzToXYZW = "the recorded observation took the orientation, which is w, x, y, z, for x, y, z, w"
		logIsXYZW  = "the orientation of the rollout is x, y, z, w, not w, x, y, z"
		logWritten = "write orientation_wxyz with w first"
	)
	conjugate := func(q [4]float64) [4]float64 { return [4]float64{q[0], -q[1], -q[2], -q[3]} }
	last := func(q [4]float64) [4]float64 { return [4]float64{q[3], q[0], q[1], q[2]} }
	first := func(q [4]float64) [4]float64 { return [4]float64{q[1], q[2], q[3], q[0]} }
	type hypothesis struct {
		kind       Kind
		label      string
		says, fix  string
		quantities []policy.Quantity
		change     func(*message.Observation)
	}
	tilt := []policy.Quantity{policy.Gravity, policy.RollPitch}
	orientation := func(kind Kind, label, says, fix string, change func([4]float64) [4]float64) hypothesis {
		return hypothesis{kind, label, says, fix, tilt, func(o *message.Observation) { o.IMU.Orientation = change(o.IMU.Orientation) }}
	}
	const inverse = ", and it is inverted: it turns vectors of the world frame into the base frame"
	list := []hypothesis{
		orientation(QuaternionOrder, "log", logIsXYZW, logWritten, last),
		orientation(QuaternionOrder, "observation", wxyzToXYZW, "hand the orientation over as w, x, y, z", first),
		orientation(QuaternionInverse, "", "the orientation of the rollout, or that of the recorded observation, is inverted: it turns vectors of the world frame into the base frame", "use the rotation from base to world", conjugate),
		orientation(QuaternionOrder, "log, inverse", logIsXYZW+inverse, logWritten+", and the rotation from base to world", func(q [4]float64) [4]float64 { return conjugate(last(q)) }),
		orientation(QuaternionOrder, "observation, inverse", wxyzToXYZW+inverse, "hand the orientation over as w, x, y, z, and the rotation from base to world", func(q [4]float64) [4]float64 { return conjugate(first(q)) }),
		{Frame, "gravity", "the recorded observation has gravity in the world frame, where it is always the same", "turn it into the base frame",
			[]policy.Quantity{policy.Gravity}, func(o *message.Observation) { o.IMU.Orientation = [4]float64{1, 0, 0, 0} }},
		{Degrees, "log", "the rollout has joint positions in degrees, the recorded observation was made of radians", "log radians: multiply by π/180",
			[]policy.Quantity{policy.JointPosition}, func(o *message.Observation) {
				for i := range o.PositionRad {
					o.PositionRad[i] /= degreesPerRad
				}
			}},
	}
	for _, vector := range []struct {
		quantity policy.Quantity
		of       func(*message.Observation) *[3]float64
	}{
		{policy.AngularVelocity, func(o *message.Observation) *[3]float64 { return &o.IMU.AngularVelocityRadPerSec }},
		{policy.BaseVelocity, func(o *message.Observation) *[3]float64 { return &o.BaseVelocityMps }},
	} {
		turn := func(back, level bool) func(*message.Observation) {
			return func(o *message.Observation) {
				q := o.IMU.Orientation
				p := vector.of(o)
				if level {
					*p = rotate(heading(q), rotate(q, *p, false), true)
					return
				}
				*p = rotate(q, *p, back)
			}
		}
		name := string(vector.quantity)
		q := []policy.Quantity{vector.quantity}
		list = append(list,
			hypothesis{Frame, name + " world", "the recorded observation has " + name + " in the world frame", "turn it into the base frame", q, turn(false, false)},
			hypothesis{Frame, name + " log", "the rollout has " + name + " in the world frame, the recorded observation in the base frame", "log it in the base frame", q, turn(true, false)},
			hypothesis{Frame, name + " level", "the recorded observation has " + name + " in a level frame that has the base's heading", "turn it into the base frame, with roll and pitch", q, turn(false, true)},
		)
	}
	for _, h := range list {
		var slots []int
		differs := false
		for _, q := range h.quantities {
			if b := v.block(q); b != nil {
				slots = append(slots, b.slots...)
				differs = differs || !v.agrees[q]
			}
		}
		if !differs {
			continue
		}
		built, err := v.build(h.change)
		if err != nil {
			return nil, err
		}
		all = append(all, candidate{kind: h.kind, label: h.label, rank: named, says: h.says, fix: h.fix, change: func() columns {
			out := columns{}
			for _, slot := range slots {
				out[slot] = column(built, slot)
			}
			return out
		}})
	}
	return all, nil
}
