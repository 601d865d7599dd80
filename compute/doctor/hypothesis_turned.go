package doctor

import (
	"fmt"
	"math"
	"strings"

	"krabby.dev/krabby/compute/policy"
)

// vectorQuantities are those of vectors in the frame of the base, which an inertial unit that is mounted at an angle turns
// together.
var vectorQuantities = []policy.Quantity{policy.Gravity, policy.RollPitch, policy.AngularVelocity, policy.BaseVelocity}

// turned supposes that one rotation turns all vectors of the base's frame that differ, or one of them alone.
func turned(e *evidence) ([]correction, error) {
	var groups []group
	for _, q := range vectorQuantities {
		if g := e.group(q); g != nil && e.differs(q) && (len(g.elements) == 3 || q == policy.RollPitch && len(g.elements) == 2) {
			groups = append(groups, *g)
		}
	}
	var all []correction
	for _, g := range groups {
		if g.quantity != policy.RollPitch {
			all = append(all, e.turn([]group{g}, parameterPerElement)...)
		}
	}
	if len(groups) > 1 {
		all = append(all, e.turn(groups, oneParameter)...)
	}
	if len(groups) > 2 { // The velocity of the base often comes from elsewhere.
		all = append(all, e.turn(groups[:len(groups)-1], oneParameter)...)
	}
	return all, nil
}

// turn returns the correction by the rotation that brings the rebuilt vectors of groups closest to the recorded ones.
func (e *evidence) turn(groups []group, c complexity) []correction {
	var sums [3][3]float64 // Of rebuilt times recorded.
	var words []string
	for _, g := range groups {
		words = append(words, string(g.quantity))
		weight := 1 / (minSpread[g.quantity] * minSpread[g.quantity])
		recorded, rebuilt := e.vectors(g, e.recorded), e.vectors(g, e.rebuilt)
		for _, t := range e.sample {
			x, y := rebuilt(t), recorded(t)
			if math.IsNaN(x[0] + x[1] + x[2] + y[0] + y[1] + y[2]) {
				continue
			}
			for i := range 3 {
				for j := range 3 {
					sums[i][j] += weight * x[i] * y[j]
				}
			}
		}
	}
	q := closestRotation(sums)
	angle, axis := describeRotation(q)
	if math.Abs(angle) < 0.1 {
		return nil
	}
	verb := "are"
	if len(groups) == 1 {
		verb = "is"
	}
	names := words[0]
	if n := len(words); n > 1 {
		names = strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return []correction{{
		kind: Frame, variant: "turned " + names, complexity: c,
		summary: fmt.Sprintf("%s %s turned by %.3g degrees about %s", names, verb, angle, axis),
		fix:     "rotate them into the frame of the base: the manifest's imu has the pose of the training's unit",
		change: func() changes {
			out := changes{}
			for _, g := range groups {
				vector := e.vectors(g, e.rebuilt)
				scale := e.elements[g.elements[0]].Term.Scale
				for i, element := range g.elements {
					out[element] = func(t int) float32 {
						v := rotate(q, vector(t), false)
						if g.quantity == policy.RollPitch {
							v[0], v[1] = math.Atan2(-v[1], -v[2]), math.Asin(min(max(v[0], -1), 1))
						}
						return float32(v[i] * scale)
					}
				}
			}
			return out
		},
	}}
}

// vectors returns the vectors of a group in each step, without their scale. Those of roll and pitch are of gravity.
func (e *evidence) vectors(g group, values columns) func(t int) [3]float64 {
	scale := e.elements[g.elements[0]].Term.Scale
	return func(t int) (v [3]float64) {
		for i, element := range g.elements {
			v[i] = float64(values[element][t]) / scale
		}
		if g.quantity == policy.RollPitch {
			sr, cr := math.Sincos(v[0])
			sp, cp := math.Sincos(v[1])
			return [3]float64{sp, -sr * cp, -cr * cp}
		}
		return v
	}
}

// closestRotation returns the rotation, as a quaternion w, x, y, z, that maps vectors x closest to vectors y, from the sums of
// x times y. It is the eigenvector of Horn's matrix (1987) with the largest eigenvalue, found by squaring the matrix.
func closestRotation(s [3][3]float64) [4]float64 {
	m := [4][4]float64{
		{s[0][0] + s[1][1] + s[2][2], s[1][2] - s[2][1], s[2][0] - s[0][2], s[0][1] - s[1][0]},
		{s[1][2] - s[2][1], s[0][0] - s[1][1] - s[2][2], s[0][1] + s[1][0], s[2][0] + s[0][2]},
		{s[2][0] - s[0][2], s[0][1] + s[1][0], s[1][1] - s[0][0] - s[2][2], s[1][2] + s[2][1]},
		{s[0][1] - s[1][0], s[2][0] + s[0][2], s[1][2] + s[2][1], s[2][2] - s[0][0] - s[1][1]},
	}
	norm := func() float64 {
		sum := 0.0
		for _, row := range m {
			for _, v := range row {
				sum += v * v
			}
		}
		return math.Sqrt(sum)
	}
	shift := norm()
	if shift == 0 {
		return [4]float64{1, 0, 0, 0}
	}
	for i := range 4 {
		m[i][i] += shift // All eigenvalues are now 0 or more.
	}
	for range 40 {
		n := norm()
		var squared [4][4]float64
		for i := range 4 {
			for j := range 4 {
				for k := range 4 {
					squared[i][j] += m[i][k] / n * m[k][j] / n
				}
			}
		}
		m = squared
	}
	best := 0
	for i := range 4 {
		if m[i][i] > m[best][best] {
			best = i
		}
	}
	q, length := [4]float64{}, 0.0
	for i := range 4 {
		q[i] = m[i][best]
		length += q[i] * q[i]
	}
	for i := range 4 {
		q[i] /= math.Sqrt(length)
	}
	return q
}

// describeRotation returns the angle in degrees and the axis of a rotation.
func describeRotation(q [4]float64) (angle float64, axis string) {
	if q[0] < 0 {
		q = [4]float64{-q[0], -q[1], -q[2], -q[3]}
	}
	v := [3]float64{q[1], q[2], q[3]}
	length := math.Sqrt(v[0]*v[0] + v[1]*v[1] + v[2]*v[2])
	if length == 0 {
		return 0, ""
	}
	angle = 2 * math.Atan2(length, q[0]) * degreesPerRad
	for i, name := range []string{"x", "y", "z"} {
		if math.Abs(v[i]) > 0.998*length {
			if v[i] < 0 && angle < 179.5 {
				angle = -angle
			}
			return angle, name
		}
	}
	return angle, fmt.Sprintf("(%.2g, %.2g, %.2g)", v[0]/length, v[1]/length, v[2]/length)
}
