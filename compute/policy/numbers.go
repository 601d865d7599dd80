package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Numbers is one number for all elements, or one for each. In JSON it is a number or an array.
type Numbers []float64

// At returns the number of element i.
func (n Numbers) At(i int) float64 {
	if len(n) == 1 {
		return n[0]
	}
	return n[i]
}

// Uniform returns the number that all elements have in common, if there is one.
func (n Numbers) Uniform() (float64, bool) {
	if len(n) == 0 || slices.ContainsFunc(n, func(v float64) bool { return v != n[0] }) {
		return 0, false
	}
	return n[0], true
}

// Expand returns a number for each of size elements. Empty numbers stay empty.
func (n Numbers) Expand(size int) []float64 {
	if len(n) == 1 {
		return slices.Repeat(n, size)
	}
	return slices.Clone(n)
}

// String returns the common number, or all of them.
func (n Numbers) String() string {
	if v, ok := n.Uniform(); ok {
		return fmt.Sprint(v)
	}
	return fmt.Sprint([]float64(n))
}

// MarshalJSON writes one number as a number.
func (n Numbers) MarshalJSON() ([]byte, error) {
	if len(n) == 1 {
		return json.Marshal(n[0])
	}
	return json.Marshal([]float64(n))
}

// UnmarshalJSON reads a number or an array.
func (n *Numbers) UnmarshalJSON(text []byte) error {
	if jsontext.Value(text).Kind() == '[' {
		return json.Unmarshal(text, (*[]float64)(n))
	}
	*n = make(Numbers, 1)
	return json.Unmarshal(text, &(*n)[0])
}

// Bounds are the lower and the upper bound of all elements, or of each. In JSON they are a number b for -b to b, one pair, or
// an array of pairs.
type Bounds [][2]float64

// Symmetric returns the bounds -limit to limit of all elements.
func Symmetric(limit float64) Bounds { return Bounds{{-limit, limit}} }

// Expand returns the bounds of each of size elements. Empty bounds stay empty.
func (b Bounds) Expand(size int) [][2]float64 {
	if len(b) == 1 {
		return slices.Repeat(b, size)
	}
	return slices.Clone(b)
}

// String returns "±LIMIT", "LOW to HIGH", or the bounds of all elements.
func (b Bounds) String() string {
	var all []string
	for _, pair := range b {
		text := fmt.Sprintf("%v to %v", pair[0], pair[1])
		if pair[0] == -pair[1] {
			text = fmt.Sprintf("±%v", pair[1])
		}
		all = append(all, text)
	}
	if len(slices.Compact(slices.Clone(all))) == 1 {
		return all[0]
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// MarshalJSON writes the shortest form.
func (b Bounds) MarshalJSON() ([]byte, error) {
	switch {
	case len(b) == 1 && b[0][0] == -b[0][1]:
		return json.Marshal(b[0][1])
	case len(b) == 1:
		return json.Marshal(b[0])
	}
	return json.Marshal([][2]float64(b))
}

// UnmarshalJSON reads a number, a pair, or an array of pairs.
func (b *Bounds) UnmarshalJSON(text []byte) error {
	if jsontext.Value(text).Kind() != '[' {
		var limit float64
		if err := json.Unmarshal(text, &limit); err != nil {
			return err
		}
		*b = Symmetric(limit)
		return nil
	}
	var pair [2]float64
	if json.Unmarshal(text, &pair) == nil {
		*b = Bounds{pair}
		return nil
	}
	return json.Unmarshal(text, (*[][2]float64)(b))
}
