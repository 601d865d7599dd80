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

func TestParseReadsWhatAModelDeclares(t *testing.T) {
	m := graphtest.Model{
		// As old files do, the weight is among the inputs.
		Inputs:  []graphtest.Tensor{{Name: "obs", Shape: []int64{-1, 48}}, {Name: "weight", Shape: []int64{48, 12}}, {Name: "steps", Type: 7}},
		Outputs: []graphtest.Tensor{{Name: "action", Shape: []int64{1, 12}}, {Name: "half", Type: 10, Shape: []int64{3}}},
		Nodes:   []graphtest.Node{{Op: "MatMul", Inputs: []string{"obs", "weight"}, Outputs: []string{"action"}}, {Op: "MatMul"}, {Op: "Elu"}},
		Weights: []graphtest.Weight{{Name: "weight", Shape: []int64{48, 12}}, {Name: "bias", Shape: []int64{12}}},
	}
	got, err := graph.Parse(m.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	want := &graph.Model{
		IRVersion:  8,
		Producer:   "graphtest",
		Opsets:     map[string]int64{"ai.onnx": 17},
		Inputs:     []graph.Tensor{{Name: "obs", Type: "float", Shape: []int64{-1, 48}}, {Name: "steps", Type: "int64"}},
		Outputs:    []graph.Tensor{{Name: "action", Type: "float", Shape: []int64{1, 12}}, {Name: "half", Type: "float16", Shape: []int64{3}}},
		Operators:  map[string]int{"MatMul": 2, "Elu": 1},
		Parameters: 48*12 + 12,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Parse = %+v,\n want %+v", got, want)
	}
	if names := got.OperatorNames(); names != "1 Elu, 2 MatMul" {
		t.Errorf("OperatorNames = %q", names)
	}
}

func TestExternalWeightsAreFoundWhereverTheyAre(t *testing.T) {
	outside := &graphtest.Weight{Name: "w", Shape: []int64{4}, External: "../w.bin"}
	body := &graphtest.Model{Nodes: []graphtest.Node{{Op: "Constant", Constant: outside}}}
	for name, m := range map[string]graphtest.Model{
		"an initializer":             {Weights: []graphtest.Weight{*outside}},
		"a constant":                 {Nodes: []graphtest.Node{{Op: "Constant", Constant: outside}}},
		"an initializer in a branch": {Nodes: []graphtest.Node{{Op: "Loop", Body: &graphtest.Model{Weights: []graphtest.Weight{*outside}}}}},
		"a constant in a loop":       {Nodes: []graphtest.Node{{Op: "If"}, {Op: "Loop", Body: body}}},
	} {
		got, err := graph.Parse(m.Bytes())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.Equal(got.External, []string{"../w.bin"}) {
			t.Errorf("%s: external = %q, want ../w.bin", name, got.External)
		}
	}
}

func TestWhatIsNoModelIsRefused(t *testing.T) {
	whole := graphtest.Model{Inputs: []graphtest.Tensor{{Name: "obs", Shape: []int64{1}}}}.Bytes()
	deep := graphtest.Model{}
	for range 20 {
		inner := deep
		deep = graphtest.Model{Nodes: []graphtest.Node{{Op: "Loop", Body: &inner}}}
	}
	for name, test := range map[string]struct {
		content []byte
		want    string
	}{
		"nothing":         {nil, "no graph"},
		"text":            {[]byte("not a model at all"), "graph: no ONNX file"},
		"half a model":    {whole[:len(whole)/2], "graph: no ONNX file"},
		"a deep nesting":  {deep.Bytes(), "nested more than 16 deep"},
		"only a version":  {[]byte{8, 8}, "no graph"},
		"a field too big": {[]byte{0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f}, "graph: no ONNX file"},
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
		if total := slices.Sorted(maps.Values(m.Operators)); len(total) > 0 && total[0] < 1 {
			t.Errorf("operators = %v, want each counted at least once", m.Operators)
		}
		if !slices.IsSorted(m.External) {
			t.Errorf("external = %q, want them sorted", m.External)
		}
	})
}
