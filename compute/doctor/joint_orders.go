package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// order is another order of the policy's joints.
type order struct {
	kind   Kind
	label  string
	source []int // At i the order has the joint source[i] of the policy's order.
}

// jointOrders returns the orders in which someone may list the joints of a legged robot: leg by leg or type by type with the
// legs in any order, and those of the robot's description; each also inverted. Of more than four legs it only exchanges left
// and right, front and rear, or both.
func (c *comparison) jointOrders() []order {
	if c.orders == nil {
		c.orders = c.namedOrders()
	}
	return c.orders
}

func (c *comparison) namedOrders() []order {
	names := c.policy.JointNames()
	var all []order
	for _, o := range legOrdered(names) {
		all = add(all, names, o)
	}
	if len(all) == 0 {
		all = add(all, names, namedOrder{LegsSwapped, "left and right swapped", sidesSwapped(names)})
	}
	known := c.policy.Robot.Orders
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if len(known[name]) == len(names) {
			all = add(all, names, namedOrder{JointOrder, "in the order " + name, known[name]})
		}
	}
	// The simplest come first, as the first of equals is the one that is named.
	slices.SortStableFunc(all, func(a, b order) int { return strings.Count(a.label, "leg") - strings.Count(b.label, "leg") })
	return all
}

// namedOrder is an order as a list of joint names.
type namedOrder struct {
	kind   Kind
	label  string
	joints []string
}

// add adds an order of names and its inverse to all, unless they are there, or o has joints that the policy does not drive.
func add(all []order, names []string, o namedOrder) []order {
	source, inverse := make([]int, len(names)), make([]int, len(names))
	for i, joint := range o.joints {
		if source[i] = slices.Index(names, joint); source[i] < 0 {
			return all
		}
	}
	for i, j := range source {
		inverse[j] = i
	}
	for _, at := range [][]int{source, inverse} {
		if !isIdentity(at) && !slices.ContainsFunc(all, func(other order) bool { return slices.Equal(other.source, at) }) {
			all = append(all, order{o.kind, o.label, at})
		}
	}
	return all
}

// legOrdered returns the orders of joints named LEG_TYPE by legs and types, none if the names are not all combinations.
func legOrdered(names []string) []namedOrder {
	var legs, types []string
	for _, name := range names {
		leg, jointType, ok := strings.Cut(name, "_")
		if !ok {
			return nil
		}
		if !slices.Contains(legs, leg) {
			legs = append(legs, leg)
		}
		if !slices.Contains(types, jointType) {
			types = append(types, jointType)
		}
	}
	if len(legs)*len(types) != len(names) {
		return nil
	}
	legMajor := len(types) < 2 || len(names) > 1 && strings.HasPrefix(names[1], legs[0]+"_")
	var all []namedOrder
	for _, order := range legOrders(legs) {
		var byLeg, byType []string
		for _, leg := range order {
			for _, jointType := range types {
				byLeg = append(byLeg, leg+"_"+jointType)
			}
		}
		for _, jointType := range types {
			for _, leg := range order {
				byType = append(byType, leg+"_"+jointType)
			}
		}
		same, other, otherName := byLeg, byType, "type-major"
		if !legMajor {
			same, other, otherName = byType, byLeg, "leg-major"
		}
		if swapped := describeLegs(legs, order); swapped != "" {
			all = append(all, namedOrder{LegsSwapped, swapped, same})
			otherName += ", " + swapped
		}
		all = append(all, namedOrder{JointOrder, otherName, other})
	}
	return all
}

// sidesSwapped returns the names with left and right exchanged, as humanoids have them: left_NAME or Left_NAME.
func sidesSwapped(names []string) []string {
	exchange := strings.NewReplacer("left_", "right_", "right_", "left_", "Left_", "Right_", "Right_", "Left_")
	swapped := make([]string, len(names))
	for i, name := range names {
		swapped[i] = exchange.Replace(name)
	}
	return swapped
}

func isIdentity(source []int) bool {
	for i, j := range source {
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
		for _, exchange := range []func(string) string{mirrored, opposite, diagonal} {
			var other []string
			for _, leg := range legs {
				other = append(other, exchange(leg))
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

// mirrored returns the leg on the other side. Legs are called FL, FR, ML, MR, RL, RR.
func mirrored(leg string) string {
	switch {
	case strings.HasSuffix(leg, "L"):
		return leg[:len(leg)-1] + "R"
	case strings.HasSuffix(leg, "R"):
		return leg[:len(leg)-1] + "L"
	}
	return leg
}

// opposite returns the leg at the other end.
func opposite(leg string) string {
	switch {
	case strings.HasPrefix(leg, "F"):
		return "R" + leg[1:]
	case strings.HasPrefix(leg, "R"):
		return "F" + leg[1:]
	}
	return leg
}

// diagonal returns the leg on the other side at the other end.
func diagonal(leg string) string { return mirrored(opposite(leg)) }

// describeLegs says how an order of legs differs from legs, empty if it does not.
func describeLegs(legs, order []string) string {
	if slices.Equal(legs, order) {
		return ""
	}
	for _, d := range []struct {
		label    string
		exchange func(string) string
	}{
		{"left and right legs swapped", mirrored},
		{"front and rear legs swapped", opposite},
		{"legs swapped with those diagonally opposite", diagonal},
	} {
		if !slices.ContainsFunc(legs, func(leg string) bool { return order[slices.Index(legs, leg)] != d.exchange(leg) }) {
			return d.label
		}
	}
	return fmt.Sprintf("legs as %s", strings.Join(order, " "))
}
