package doctor

import (
	"fmt"
	"slices"
	"strings"

	"krabby.dev/krabby/compute/policy"
)

// SignFlipped means that elements of a quantity have the opposite sign.
const SignFlipped Kind = "sign_flipped"

// sign supposes that some or all elements of a quantity have the opposite sign. Joint positions may have it before or after
// the default pose is subtracted.
func sign(e *evidence, g group) []correction {
	all := e.flippedSigns(g, make([]float64, len(g.elements)), "")
	if g.quantity == policy.JointPosition {
		all = append(all, e.flippedSigns(g, e.poseOf(g), ", before the default pose is subtracted")...)
	}
	return all
}

// flippedSigns returns the correction that flips the sign of value + offset of the elements where that fits better.
func (e *evidence) flippedSigns(g group, offset []float64, when string) []correction {
	signs := make([]float64, len(g.elements))
	var flipped []string
	for i, element := range g.elements {
		signs[i] = 1
		if product, _ := products(e.recorded[element], e.rebuilt[element], offset[i]); product < 0 {
			signs[i] = -1
			flipped = append(flipped, e.elements[element].Component)
		}
	}
	if len(flipped) == 0 {
		return nil
	}
	complexity := oneParameter
	if len(flipped) == len(g.elements) {
		complexity = noParameters
	}
	which := e.describeFlipped(g, flipped)
	return []correction{{
		kind: SignFlipped, variant: g.name + which, complexity: complexity,
		summary: fmt.Sprintf("the sign %s in %s is flipped between the rollout and the recorded observation%s", which, g.name, when),
		fix:     "multiply by -1 in the observation or in the log, whichever disagrees with the robot's model",
		change:  e.mapped(g, func(i int, value float64) float64 { return signs[i]*(value+offset[i]) - offset[i] }),
	}}
}

// describeFlipped names the flipped components: all values, all joints of a type, or one by one.
func (e *evidence) describeFlipped(g group, flipped []string) string {
	if len(flipped) == len(g.elements) {
		return "of all values"
	}
	if jointType := commonJointType(flipped); len(flipped) > 1 && jointType != "" {
		others := slices.ContainsFunc(g.elements, func(element int) bool {
			name := e.elements[element].Component
			return strings.HasSuffix(name, jointType) && !slices.Contains(flipped, name)
		})
		if !others {
			return "of every " + jointType
		}
	}
	return "of " + strings.Join(flipped, ", ")
}

// commonJointType returns what follows the leg in all joint names, empty if that differs.
func commonJointType(names []string) string {
	_, common, _ := strings.Cut(names[0], "_")
	for _, name := range names {
		if _, jointType, _ := strings.Cut(name, "_"); jointType != common {
			return ""
		}
	}
	return common
}
