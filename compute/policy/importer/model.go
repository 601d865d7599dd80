package importer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/graph"
)

// openModel reads the ONNX file, and joins the weights of files beside it into it.
func (d *draft) openModel() error {
	content, err := readFile(d.o.Model, maxModelBytes)
	if err != nil {
		return err
	}
	original := sha256.Sum256(content)
	d.modelSum = hex.EncodeToString(original[:])
	metadata, err := graph.Parse(content)
	if err != nil {
		return &Error{File: d.o.Model, Found: "an invalid ONNX file: " + err.Error(), Expected: "an ONNX model"}
	}
	if len(metadata.ExternalData) > 0 {
		names := strings.Join(metadata.ExternalData, ", ")
		if content, err = joinExternal(d.o.Model, content); err != nil {
			return err
		}
		if metadata, err = graph.Parse(content); err != nil {
			return fmt.Errorf("%s: joining %s: %w", d.o.Model, names, err)
		}
		d.note("weights", fmt.Sprintf("joined into policy.onnx, %d bytes", len(content)), names)
	}
	if len(metadata.Inputs) == 0 || len(metadata.Outputs) == 0 {
		return &Error{File: d.o.Model, Field: "inputs and outputs", Found: fmt.Sprintf("%v and %v", metadata.Inputs, metadata.Outputs), Expected: "an observation and an action"}
	}
	d.model, d.metadata = content, metadata
	d.m.Provenance.Path = filepath.Base(d.o.Model)
	sum := sha256.Sum256(content)
	d.m.Files = map[string]string{policy.ModelFile: hex.EncodeToString(sum[:])}
	return nil
}

// modelFile returns the path of the model or the checkpoint.
func (d *draft) modelFile() string { return d.o.Model + d.o.Checkpoint }

// graph returns the manifest's description of the model: the observation and the action first, then recurrent states. The size of
// an open dimension of the observation is still missing.
func (d *draft) graph() (policy.Graph, error) {
	g := policy.Graph{File: policy.ModelFile}
	in, out := d.metadata.Inputs, d.metadata.Outputs
	for _, t := range slices.Concat(in, out) {
		if t.Type != graph.Float32 {
			return g, &Error{File: d.modelFile(), Field: t.Name, Found: "values of type " + t.Type, Expected: "float"}
		}
	}
	if shape := in[0].Shape; len(shape) != 2 || shape[0] > 1 {
		return g, &Error{File: d.modelFile(), Field: "input " + in[0].Name, Found: fmt.Sprintf("shape %v", shape), Expected: "[1 N], the observation"}
	}
	if shape, n := out[0].Shape, int64(d.joints()); len(shape) != 2 || shape[0] > 1 || shape[1] >= 0 && shape[1] != n {
		return g, &Error{File: d.modelFile(), Field: "output " + out[0].Name, Found: fmt.Sprintf("shape %v", shape), Expected: fmt.Sprintf("[1 %d]: one action for each joint of the policy", n)}
	}
	g.Inputs = []policy.Tensor{{Name: in[0].Name, Shape: []int64{1, 0}}}
	g.Outputs = []policy.Tensor{{Name: out[0].Name, Shape: []int64{1, int64(d.joints())}}}
	return g, d.states(&g)
}

// states adds the recurrent states: pairs of an input and an output, by their order and names.
func (d *draft) states(g *policy.Graph) error {
	in, out := d.metadata.Inputs[1:], d.metadata.Outputs[1:]
	if len(in) != len(out) {
		return &Error{File: d.modelFile(), Field: "inputs and outputs", Found: fmt.Sprintf("%v and %v", d.metadata.Inputs, d.metadata.Outputs),
			Expected: "an observation and an action, and each further input with the output that is its next state"}
	}
	for i, s := range d.stateNames { // The tensors were put into this order.
		g.Inputs = append(g.Inputs, policy.Tensor{Name: s.Input, Shape: in[i].Shape})
		g.Outputs = append(g.Outputs, policy.Tensor{Name: s.Output, Shape: out[i].Shape})
	}
	g.States = append(g.States, d.stateNames...)
	for i := len(d.stateNames); i < len(in); i++ {
		stem := strings.TrimSuffix(in[i].Name, "_in")
		if stem == in[i].Name || out[i].Name != stem+"_out" || !slices.Equal(in[i].Shape, out[i].Shape) || slices.Contains(in[i].Shape, -1) {
			return &Error{File: d.modelFile(), Field: "input " + in[i].Name, Found: fmt.Sprintf("%v beside %v", in[i], out[i]), Expected: "a state NAME_in of fixed shape, with its next value NAME_out at the same place of the outputs"}
		}
		g.Inputs = append(g.Inputs, policy.Tensor{Name: in[i].Name, Shape: in[i].Shape})
		g.Outputs = append(g.Outputs, policy.Tensor{Name: out[i].Name, Shape: out[i].Shape})
		g.States = append(g.States, policy.State{Input: in[i].Name, Output: out[i].Name})
		d.note("graphs.policy.states", stem, filepath.Base(d.modelFile())+" inputs and outputs")
	}
	return nil
}

// property returns a value of the model's metadata and marks it as used.
func (d *draft) property(key string) (string, bool) {
	if d.metadata == nil {
		return "", false
	}
	text, ok := d.metadata.Properties[key]
	if ok {
		d.usedProperties = append(d.usedProperties, key)
	}
	return text, ok
}

// unusedProperties returns the keys of the metadata that were not used, and that policy.Load does not compare.
func (d *draft) unusedProperties() []string {
	var keys []string
	if d.metadata != nil {
		for _, key := range slices.Sorted(maps.Keys(d.metadata.Properties)) {
			if !slices.Contains(d.usedProperties, key) && !slices.Contains(policy.ComparedProperties, key) {
				keys = append(keys, key)
			}
		}
	}
	return keys
}
