package policy

import "testing"

func TestElements(t *testing.T) {
	terms := []ObservationTerm{
		{Quantity: Gravity, Components: []string{"x", "y"}},
		{Quantity: External, Components: []string{"goal"}},
		{Quantity: Gravity, Components: []string{"x", "y"}, AgeSteps: 2, Source: 0},
		{Quantity: External, Components: []string{"goal"}, AgeSteps: 1, Source: -1},
	}
	elements := Elements(terms)
	want := []struct {
		name         string
		term, source int
	}{
		{"gravity x", 0, 0}, {"gravity y", 0, 1}, {"external goal", 1, 2},
		{"gravity x, 2 steps ago", 2, 0}, {"gravity y, 2 steps ago", 2, 1}, {"external goal, 1 step ago", 3, -1},
	}
	if len(elements) != len(want) {
		t.Fatalf("%d elements, want %d", len(elements), len(want))
	}
	for i, e := range elements {
		if e.Name() != want[i].name || e.Term != &terms[want[i].term] || e.Source != want[i].source {
			t.Errorf("element %d = %q of %+v with source %d, want %+v", i, e.Name(), e.Term, e.Source, want[i])
		}
	}
}
