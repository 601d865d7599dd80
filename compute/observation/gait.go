package observation

import (
	"math"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/message"
)

// gait is the state of a gait phase.
type gait struct {
	*policy.Gait
	stepRad  float64
	phaseRad []float64
	standing bool
}

func newGait(g *policy.Gait, rateHz float64) *gait {
	n := &gait{Gait: g, stepRad: 2 * math.Pi / (g.PeriodS * rateHz), phaseRad: make([]float64, len(g.OffsetsRad))}
	n.reset()
	return n
}

func (g *gait) reset() { copy(g.phaseRad, g.OffsetsRad) }

// stand looks whether the command is small.
func (g *gait) stand(c message.NavigationCommand) {
	g.standing = g.Standing != nil && math.Sqrt(c.VxMps*c.VxMps+c.VyMps*c.VyMps+c.YawRateRadPerSec*c.YawRateRadPerSec) < g.Standing.Below
}

// write writes the cosines and sines of the phases.
func (g *gait) write(raw []float64) {
	phases, n := g.phaseRad, len(g.phaseRad)
	if g.standing {
		phases = g.Gait.Standing.PhasesRad
	}
	cosines, sines := raw[:n], raw[n:]
	if g.Order == policy.SinCos {
		sines, cosines = cosines, sines
	}
	for i, phase := range phases {
		sines[i], cosines[i] = math.Sincos(phase)
	}
}

// advance moves the phases by one step, within ±pi.
func (g *gait) advance() {
	for i := range g.phaseRad {
		g.phaseRad[i] = math.Remainder(g.phaseRad[i]+g.stepRad, 2*math.Pi)
	}
}
