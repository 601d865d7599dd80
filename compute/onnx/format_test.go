package onnx_test

import (
	"strings"
	"testing"

	"krabby.dev/krabby/compute/onnx/onnxtest"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/graph"
	"krabby.dev/krabby/compute/policy/graph/graphtest"
)

// The formats that package graph says the pinned runtime takes are those that it takes.
func TestNewSession_formats(t *testing.T) {
	r := onnxtest.Open(t)
	if r.Version() != graph.PinnedRuntime {
		t.Fatalf("ONNX Runtime %s, want %s: update compute/policy/graph/runtime.go", r.Version(), graph.PinnedRuntime)
	}
	foreign := []graphtest.Node{{Op: "Foo", Domain: "com.example", Inputs: []string{"obs"}, Outputs: []string{"action"}}}
	for name, test := range map[string]struct {
		model graphtest.Model
		want  string // Why package graph says that it is rejected; empty if it is not.
	}{
		"newest formats":          {graphtest.Model{IRVersion: 14, Opset: 28, Imports: map[string]uint64{"ai.onnx.ml": 5}}, ""},
		"newer IR version":        {graphtest.Model{IRVersion: 15}, "found IR version 15, expected at most 14"},
		"newer operators":         {graphtest.Model{Opset: 29}, "found operators of ai.onnx 29, expected at most 28"},
		"newer ML operators":      {graphtest.Model{Imports: map[string]uint64{"ai.onnx.ml": 6}}, "found operators of ai.onnx.ml 6, expected at most 5"},
		"unknown domain":          {graphtest.Model{Nodes: foreign, Imports: map[string]uint64{"com.example": 1}}, "found operators of the unknown domain com.example"},
		"unknown and unused":      {graphtest.Model{Imports: map[string]uint64{"com.example": 1}}, ""},
		"IR version and operator": {graphtest.Model{IRVersion: 20, Opset: 40}, "found IR version 20, expected at most 14; found operators of ai.onnx 40, expected at most 28"},
	} {
		t.Run(name, func(t *testing.T) {
			m, shape := test.model, []int64{1, 4}
			m.Inputs, m.Outputs = []graphtest.Tensor{{Name: "obs", Shape: shape}}, []graphtest.Tensor{{Name: "action", Shape: shape}}
			if m.Nodes == nil {
				m.Nodes = []graphtest.Node{{Op: "Identity", Inputs: []string{"obs"}, Outputs: []string{"action"}}}
			}
			metadata, err := graph.Parse(m.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if got := metadata.RuntimeRejects(); got != test.want {
				t.Errorf("RuntimeRejects = %q, want %q", got, test.want)
			}
			p := &policy.Policy{Dir: "somewhere", Models: map[string][]byte{policy.PolicyGraph: m.Bytes()}}
			p.Graphs = map[string]policy.Graph{policy.PolicyGraph: {
				File: policy.ModelFile, Inputs: []policy.Tensor{{Name: "obs", Shape: shape}}, Outputs: []policy.Tensor{{Name: "action", Shape: shape}},
			}}
			session, err := r.NewSession(p)
			if (err == nil) != (test.want == "") {
				t.Errorf("NewSession: error = %v, want what RuntimeRejects says", err)
			}
			if err == nil {
				err = session.Close()
			}
			if err != nil && (strings.Contains(err.Error(), "::") || strings.Contains(err.Error(), ".cc:")) {
				t.Errorf("error = %v, want no C++ signature in it", err)
			}
		})
	}
}
