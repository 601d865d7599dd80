package doctor

import (
	"math"
	"slices"

	"krabby.dev/krabby/compute/policy"
)

// moments are sums over the rows of a recorded and a rebuilt value.
type moments struct{ n, x, y, xx, yy, xy float64 }

func (a *aligner) momentsOf(place, element int) moments {
	key := [2]int{place, element}
	if m, ok := a.moments[key]; ok {
		return m
	}
	var m moments
	recorded, rebuilt := a.recorded[place], a.rebuilt[element]
	for _, t := range a.rows {
		x, y := float64(recorded[t]), float64(rebuilt[t])
		if math.IsNaN(y) {
			continue
		}
		m.n, m.x, m.y, m.xx, m.yy, m.xy = m.n+1, m.x+x, m.y+y, m.xx+x*x, m.yy+y*y, m.xy+x*y
	}
	a.moments[key] = m
	return m
}

// square returns the mean square of recorded - (offset + factor * rebuilt).
func (m *moments) square(offset, factor float64) float64 {
	if m.n == 0 {
		return 0
	}
	sum := m.xx + m.n*offset*offset + factor*factor*m.yy - 2*offset*m.x - 2*factor*m.xy + 2*offset*factor*m.y
	return max(sum/m.n, 0)
}

// cost returns from 0 to 1 how badly a term fits at places of the recorded observation, in the best of the known units, with
// joints in the best of the known orders.
func (a *aligner) cost(term int, places []int) float64 {
	t := a.terms[term]
	scale := a.elements[t.current[0]].Term.Scale
	pose := a.poseOf(group{quantity: t.quantity, elements: t.current})
	fit := func(source []int, factor, poses float64) float64 {
		sum := 0.0
		for j, place := range places {
			from := j
			if source != nil {
				from = source[j]
			}
			m := a.momentsOf(place, t.current[from])
			offset := 0.0
			if poses != 0 {
				offset = poses * pose[from]
			}
			square := m.square(offset, factor)
			floor := 4 * a.tolerance[t.current[j]]
			if measured[t.quantity] { // Noise is no reason to look elsewhere.
				floor = max(floor, 2*a.noise*minSpread[t.quantity]*math.Abs(scale))
			}
			sum += square / (square + a.variance[place] + floor*floor)
		}
		return sum / float64(len(places))
	}
	best := fit(nil, 1, 0)
	try := func(v float64) { best = min(best, v+1e-3) }
	factors := []float64{-1, 0.05, 0.25, 0.5, 2, 4, 20, scale, 1 / scale}
	if isAngular(t.quantity) {
		factors = append(factors, degreesPerRad, 1/degreesPerRad)
	}
	if v, ok := a.policy.Action.Scale.Uniform(); ok && t.quantity == policy.LastAction {
		factors = append(factors, v)
	}
	for _, f := range factors {
		if best <= 1e-3 {
			return best
		}
		try(fit(nil, f, 0))
	}
	if t.width == 3 && slices.Contains(vectorQuantities, t.quantity) {
		best = min(best, a.turnedCost(t, places)+0.01)
	}
	if t.quantity == policy.JointPosition {
		try(fit(nil, 1, 1))
		try(fit(nil, 1, -1))
	}
	if isPerJoint(t.quantity) && t.width == len(a.policy.JointNames()) {
		for _, o := range a.orders {
			if best <= 1e-3 {
				return best
			}
			try(fit(o.source, 1, 0))
			try(fit(o.source, degreesPerRad, 0))
		}
	}
	return best
}

// turnedCost returns the cost of a vector that may be turned.
func (a *aligner) turnedCost(t alignedTerm, places []int) float64 {
	var sums [3][3]float64
	var square, variance, n float64
	for i, element := range t.current {
		for j, place := range places {
			sums[i][j] = a.momentsOf(place, element).xy
		}
		m := a.momentsOf(places[i], element)
		floor := 2 * a.noise * minSpread[t.quantity] * math.Abs(a.elements[element].Term.Scale)
		square, variance, n = square+m.xx+m.yy, variance+a.variance[places[i]]+floor*floor, m.n
	}
	if n == 0 {
		return 0
	}
	q := closestRotation(sums)
	for i := range 3 {
		unit := [3]float64{}
		unit[i] = 1
		for j, v := range rotate(q, unit, false) {
			square -= 2 * v * sums[i][j]
		}
	}
	square = max(square, 0) / n
	return square / (square + variance)
}

// inconsistency returns from 0 to 1 how badly the recorded history repeats the recorded values of the steps before, whatever
// those are.
func (a *aligner) inconsistency(p placement) float64 {
	n, sum := 0.0, 0.0
	for term := range p {
		zero := a.policy.Observation.Terms[term].ZeroInHistory
		for age := 1; age < len(p[term]); age++ {
			for j, place := range p[term][age] {
				squares, rows, history, current := 0.0, 0.0, a.recorded[place], a.recorded[p[term][0][j]]
				for _, t := range a.rows {
					from := t - age
					if from < max(a.episodeStart[t], 0) {
						continue
					}
					d := float64(history[t])
					if !zero {
						d -= float64(current[from])
					}
					squares, rows = squares+d*d, rows+1
				}
				if rows > 0 {
					square := squares / rows
					n, sum = n+1, sum+square/(square+a.variance[place]+16*equal*equal)
				}
			}
		}
	}
	return sum / max(n, 1)
}
