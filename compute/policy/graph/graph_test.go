package graph_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/policy/graph"
	"krabby.dev/krabby/compute/policy/graph/graphtest"
)

func TestParse(t *testing.T) {
	m := graphtest.Model{
		// The weight is among the inputs, as in old files.
		Inputs:  []graphtest.Tensor{{Name: "obs", Shape: []int64{-1, 48}}, {Name: "weight", Shape: []int64{48, 12}}, {Name: "steps", Type: 7}},
		Outputs: []graphtest.Tensor{{Name: "action", Shape: []int64{1, 12}}, {Name: "half", Type: 10, Shape: []int64{3}}},
		Nodes:   []graphtest.Node{{Op: "MatMul", Inputs: []string{"obs", "weight"}, Outputs: []string{"action"}}, {Op: "MatMul"}, {Op: "Elu"}},
		Weights: []graphtest.Weight{{Name: "weight", Shape: []int64{48, 12}}, {Name: "bias", Shape: []int64{12}}},
	}
	got, err := graph.Parse(m.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	want := &graph.Metadata{
		IRVersion:  8,
		Producer:   "graphtest",
		Opsets:     map[string]int64{"ai.onnx": 17},
		Inputs:     []graph.Tensor{{Name: "obs", Type: "float", Shape: []int64{-1, 48}}, {Name: "steps", Type: "int64"}},
		Outputs:    []graph.Tensor{{Name: "action", Type: "float", Shape: []int64{1, 12}}, {Name: "half", Type: "float16", Shape: []int64{3}}},
		Operators:  map[string]int{"MatMul": 2, "Elu": 1},
		Parameters: 48*12 + 12,
		Domains:    []string{"ai.onnx"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Parse = %+v,\n want %+v", got, want)
	}
	if counts := got.OperatorCounts(); counts != "1 Elu, 2 MatMul" {
		t.Errorf("OperatorCounts = %q, want 1 Elu, 2 MatMul", counts)
	}
}

func TestParse_externalData(t *testing.T) {
	outside := &graphtest.Weight{Name: "w", Shape: []int64{4}, External: "../w.bin"}
	body := &graphtest.Model{Nodes: []graphtest.Node{{Op: "Constant", Constant: outside}}}
	for name, m := range map[string]graphtest.Model{
		"initializer":           {Weights: []graphtest.Weight{*outside}},
		"constant":              {Nodes: []graphtest.Node{{Op: "Constant", Constant: outside}}},
		"initializer in a body": {Nodes: []graphtest.Node{{Op: "Loop", Body: &graphtest.Model{Weights: []graphtest.Weight{*outside}}}}},
		"constant in a body":    {Nodes: []graphtest.Node{{Op: "If"}, {Op: "Loop", Body: body}}},
	} {
		got, err := graph.Parse(m.Bytes())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.Equal(got.ExternalData, []string{"../w.bin"}) {
			t.Errorf("%s: external data = %q, want ../w.bin", name, got.ExternalData)
		}
	}
}

func TestParse_invalid(t *testing.T) {
	model := graphtest.Model{Inputs: []graphtest.Tensor{{Name: "obs", Shape: []int64{1}}}}.Bytes()
	nested := graphtest.Model{}
	for range 20 {
		body := nested
		nested = graphtest.Model{Nodes: []graphtest.Node{{Op: "Loop", Body: &body}}}
	}
	for name, test := range map[string]struct {
		content []byte
		want    string
	}{
		"empty file":      {nil, "graph not found"},
		"text":            {[]byte("not a model at all"), "graph: invalid protobuf"},
		"truncated":       {model[:len(model)/2], "graph: invalid protobuf"},
		"nesting":         {nested.Bytes(), "nested more than 16 deep"},
		"only IR version": {[]byte{8, 8}, "graph not found"},
		"no IR version":   {model[2:], "IR version not found"},
		"field length":    {[]byte{0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f}, "graph: invalid protobuf"},
	} {
		if _, err := graph.Parse(test.content); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error = %v, want %q in it", name, err, test.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(graphtest.Model{
		Inputs:  []graphtest.Tensor{{Name: "obs", Shape: []int64{-1, 48}}},
		Nodes:   []graphtest.Node{{Op: "Loop", Body: &graphtest.Model{Weights: []graphtest.Weight{{Name: "w", Shape: []int64{2}}}}}},
		Weights: []graphtest.Weight{{Name: "w", Shape: []int64{2}, External: "x"}},
	}.Bytes())
	f.Fuzz(func(t *testing.T, content []byte) {
		m, err := graph.Parse(content)
		if err != nil {
			return
		}
		if counts := slices.Sorted(maps.Values(m.Operators)); len(counts) > 0 && counts[0] < 1 {
			t.Errorf("operators = %v, want counts of 1 or more", m.Operators)
		}
		if !slices.IsSorted(m.ExternalData) {
			t.Errorf("external data = %q, want sorted paths", m.ExternalData)
		}
	})
}
