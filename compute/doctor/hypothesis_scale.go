package doctor

import (
	"fmt"
	"math"
	"strings"

	"krabby.dev/krabby/compute/policy"
)

const (
	// Scaled means that a quantity, or its elements one by one, have another factor than in the policy's layout.
	Scaled Kind = "scaled"
	// Unscaled means that a quantity lacks the scale of the policy's layout.
	Unscaled Kind = "unscaled"
)

// scale supposes that a quantity has another factor than the policy's layout, as a whole or element by element.
func scale(e *evidence, g group) []correction {
	f, ok := e.fitFactors(g)
	if !ok {
		return nil
	}
	var all []correction
	nominal := e.elements[g.elements[0]].Term.Scale
	x := correction{
		kind: Scaled, variant: g.name, complexity: oneParameter,
		change: e.mapped(g, func(_ int, value float64) float64 { return f.whole * value }),
	}
	switch f.conversion {
	case toUnscaled:
		x.kind, x.complexity = Unscaled, noParameters
		x.summary = fmt.Sprintf("the recorded observation does not scale %s", g.name)
		x.fix = fmt.Sprintf("multiply by %v", nominal)
	case toScaledTwice:
		x.summary = fmt.Sprintf("the recorded observation scales %s twice", g.name)
		x.fix = fmt.Sprintf("multiply by %v only once", nominal)
	default:
		x.summary = fmt.Sprintf("the recorded observation scales %s by %.4g", g.name, f.whole)
		x.fix = fmt.Sprintf("divide by %.4g: the policy expects a scale of %v", f.whole, nominal)
		if scale, ok := e.policy.Action.Scale.Uniform(); ok && g.quantity == policy.LastAction && isAbout(f.whole, scale) {
			x.summary += ", the policy's action scale"
			x.fix = "use the action as the policy returns it, before scaling"
		}
	}
	// Signs, zeros and units are hypotheses of their own.
	isScale := f.conversion == noConversion || f.conversion == toUnscaled || f.conversion == toScaledTwice
	if isScale && math.Abs(f.whole-1) > 1e-3 && !isAbout(f.whole, -1) {
		all = append(all, x)
	}
	if f.differ() {
		var words []string
		for i, element := range g.elements {
			words = append(words, fmt.Sprintf("%s by %.3g", e.elements[element].Component, f.each[i]))
		}
		all = append(all, correction{
			kind: Scaled, variant: g.name + " each", complexity: parameterPerElement,
			summary: fmt.Sprintf("the recorded observation scales the elements of %s by different factors: %s", g.name, strings.Join(words, ", ")),
			fix:     fmt.Sprintf("divide by these factors: the policy expects a scale of %v", nominal),
			change:  e.mapped(g, func(i int, value float64) float64 { return f.each[i] * value }),
		})
	}
	return all
}

// factors are the factors that bring the rebuilt values of a group closest to the recorded ones.
type factors struct {
	// whole is one factor for all elements. If it is within 1 % of that of a conversion it is exactly that.
	whole      float64
	conversion conversion
	each       []float64 // By element of the group.
}

// conversion is a change of a quantity that a factor identifies.
type conversion int

const (
	noConversion  conversion = iota
	toZero                   // The recorded values are 0.
	toDegrees                // The recorded values are in degrees.
	fromDegrees              // The recorded values are in radians, those of the rollout's sensors in degrees.
	toUnscaled               // The recorded values lack the policy's scale.
	toScaledTwice            // The recorded values have the policy's scale twice.
)

const degreesPerRad = 180 / math.Pi

// fitFactors returns the factors of a group; ok is false if all rebuilt values are 0 or unknown.
func (e *evidence) fitFactors(g group) (f factors, ok bool) {
	product, square := 0.0, 0.0
	for _, element := range g.elements {
		p, s := products(e.recorded[element], e.rebuilt[element], 0)
		product, square = product+p, square+s
		factor := 1.0
		if s > 0 {
			factor = p / s
		}
		f.each = append(f.each, factor)
	}
	if square == 0 {
		return factors{}, false
	}
	f.whole = product / square
	nominal := e.elements[g.elements[0]].Term.Scale
	switch {
	case math.Abs(f.whole) < 1e-6:
		f.conversion = toZero
	case isAbout(f.whole, degreesPerRad) && isAngular(g.quantity):
		f.whole, f.conversion = degreesPerRad, toDegrees
	case isAbout(f.whole, 1/degreesPerRad) && isAngular(g.quantity):
		f.whole, f.conversion = 1/degreesPerRad, fromDegrees
	case nominal != 1 && isAbout(f.whole, 1/nominal):
		f.whole, f.conversion = 1/nominal, toUnscaled
	case nominal != 1 && isAbout(f.whole, nominal):
		f.whole, f.conversion = nominal, toScaledTwice
	}
	return f, true
}

// differ reports whether elements have factors of their own, not only signs of their own.
func (f factors) differ() bool {
	differ, signs := false, true
	for _, factor := range f.each {
		differ = differ || !isAbout(factor, f.whole)
		signs = signs && (isAbout(factor, 1) || isAbout(factor, -1))
	}
	return differ && !signs
}

// isAbout reports whether a fitted factor is within 1 % of an exact one.
func isAbout(fitted, exact float64) bool { return math.Abs(fitted-exact) <= 0.01*math.Abs(exact) }

// isAngular reports whether the unit of a quantity has an angle in it.
func isAngular(q policy.Quantity) bool {
	switch q {
	case policy.AngularVelocity, policy.RollPitch, policy.JointPosition, policy.AbsoluteJointPosition, policy.JointVelocity:
		return true
	}
	return false
}
