package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// order is another order of the same joints: what it has at i is at[i] in the policy's order.
type order struct {
	kind  Kind
	label string
	at    []int
}

// orders returns the orders in which someone may list the joints of a legged robot: leg by leg or type by type, the legs
// in any order, and those that the robot's description knows; each also the other way round. names are in the policy's
// order. Of more than four legs only those orders are tried that exchange left and right, front and rear, or both.
func orders(names []string, known map[string][]string) []order {
	var all []order
	add := func(kind Kind, label string, order_ []string) {
		at := make([]int, len(names))
		for i, name := range order_ {
			if at[i] = slices.Index(names, name); at[i] < 0 {
				return // Of joints that the policy does not drive.
			}
		}
		inverse := make([]int, len(at))
		for i, j := range at {
			inverse[j] = i
		}
		for _, o := range []order{{kind, label, at}, {kind, label, inverse}} {
			if !isIdentity(o.at) && !slices.ContainsFunc(all, func(other order) bool { return slices.Equal(other.at, o.at) }) {
				all = append(all, o)
			}
		}
	}
	var legs, types []string
	for _, name := range names {
		leg, kind, ok := strings.Cut(name, "_")
		if !ok {
			legs = nil
			break
		}
		if !slices.Contains(legs, leg) {
			legs = append(legs, leg)
		}
		if !slices.Contains(types, kind) {
			types = append(types, kind)
		}
	}
	legMajor := len(types) < 2 || len(names) > 1 && strings.HasPrefix(names[1], legs[0]+"_")
	if len(legs)*len(types) == len(names) {
		for _, l := range legOrders(legs) {
			swapped := describeLegs(legs, l)
			var byLeg, byType []string
			for _, leg := range l {
				for _, kind := range types {
					byLeg = append(byLeg, leg+"_"+kind)
				}
			}
			for _, kind := range types {
				for _, leg := range l {
					byType = append(byType, leg+"_"+kind)
				}
			}
			same, other, otherName := byLeg, byType, "type-major"
			if !legMajor {
				same, other, otherName = byType, byLeg, "leg-major"
			}
			if swapped != "" {
				add(LegsSwapped, swapped, same)
				otherName += ", " + swapped
			}
			add(JointOrder, otherName, other)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if len(known[name]) == len(names) {
			add(JointOrder, "in the order "+name, known[name])
		}
	}
	// The simplest first: of two that fit, that one is named.
	slices.SortStableFunc(all, func(a, b order) int { return strings.Count(a.label, "leg") - strings.Count(b.label, "leg") })
	return all
}

func isIdentity(at []int) bool {
	for i, j := range at {
		if i != j {
			return false
		}
	}
	return true
}

// legOrders returns orders of the legs, the given one first.
func legOrders(legs []string) [][]string {
	if len(legs) > 4 {
		all := [][]string{legs}
		for _, mirror := range []func(string) string{mirrored, reversed, func(leg string) string { return mirrored(reversed(leg)) }} {
			var other []string
			for _, leg := range legs {
				other = append(other, mirror(leg))
			}
			all = append(all, other)
		}
		return all
	}
	all := [][]string{nil}
	for range legs {
		var longer [][]string
		for _, some := range all {
			for _, leg := range legs {
				if !slices.Contains(some, leg) {
					longer = append(longer, append(slices.Clone(some), leg))
				}
			}
		}
		all = longer
	}
	return all
}

// mirrored returns the leg on the other side, reversed that at the other end: legs are called FL, FR, ML, MR, RL, RR.
func mirrored(leg string) string {
	switch {
	case strings.HasSuffix(leg, "L"):
		return leg[:len(leg)-1] + "R"
	case strings.HasSuffix(leg, "R"):
		return leg[:len(leg)-1] + "L"
	}
	return leg
}

func reversed(leg string) string {
	switch {
	case strings.HasPrefix(leg, "F"):
		return "R" + leg[1:]
	case strings.HasPrefix(leg, "R"):
		return "F" + leg[1:]
	}
	return leg
}

// describeLegs says how an order of legs differs from the right one, nothing where it does not.
func describeLegs(legs, other []string) string {
	if slices.Equal(legs, other) {
		return ""
	}
	for _, d := range []struct {
		label string
		of    func(string) string
	}{
		{"left and right legs swapped", mirrored},
		{"front and rear legs swapped", reversed},
		{"legs swapped with those diagonally opposite", func(leg string) string { return mirrored(reversed(leg)) }},
	} {
		if !slices.ContainsFunc(legs, func(leg string) bool { return other[slices.Index(legs, leg)] != d.of(leg) }) {
			return d.label
		}
	}
	return fmt.Sprintf("legs as %s", strings.Join(other, " "))
}
