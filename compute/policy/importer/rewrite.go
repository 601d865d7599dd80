package importer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/graph"
)

// rewrite gives the model one input, the observation, which is split into the inputs of the export; then the states follow. The first
// output is the action.
func (l *leapp) rewrite() error {
	in, out := map[string]graph.Tensor{}, map[string]graph.Tensor{}
	for _, t := range l.metadata.Inputs {
		in[t.Name] = t
	}
	for _, t := range l.metadata.Outputs {
		out[t.Name] = t
	}
	size, used := int64(0), 0
	for i, name := range l.inputs {
		t, ok := in[name]
		if !ok || t.Type != graph.Float32 || len(t.Shape) != 2 || t.Shape[1] != l.sizes[i] {
			return &Error{File: l.o.Model, Field: "input " + name, Found: fmt.Sprint(t), Expected: fmt.Sprintf("%s float[1 %d], a %s", name, l.sizes[i], l.m.Observation.Terms[i].Term)}
		}
		size, used = size+l.sizes[i], used+1
	}
	if _, ok := out[l.target]; !ok || len(out) != 1+len(l.feedback) || len(in) != used+len(l.feedback) {
		return &Error{File: l.o.Model, Field: "inputs and outputs", Found: fmt.Sprintf("%v and %v", l.metadata.Inputs, l.metadata.Outputs), Expected: "those of the pipeline and of its feedback only"}
	}
	content, err := l.newGraph(size)
	if err != nil {
		return err
	}
	metadata, err := graph.Parse(content)
	if err != nil {
		return fmt.Errorf("%s: joining the inputs: %w", l.o.Model, err)
	}
	sum := sha256.Sum256(content)
	l.draft.model, l.metadata = content, metadata
	l.m.Files = map[string]string{policy.ModelFile: hex.EncodeToString(sum[:])}
	l.stateNames = l.feedback
	l.note("model", fmt.Sprintf("the inputs joined into %s[1 %d]", observationInput, size), "policy.onnx has one observation")
	return nil
}

// observationInput is the name of the joined input.
const observationInput = "krabby_obs"

// newGraph returns the model with the joined input.
func (l *leapp) newGraph(size int64) ([]byte, error) {
	if l.metadata.Opsets["ai.onnx"] < 13 {
		return nil, &Error{File: l.o.Model, Field: "ai.onnx", Found: fmt.Sprint(l.metadata.Opsets["ai.onnx"]), Expected: "13 or newer"}
	}
	inputs, outputs := map[string][]byte{}, map[string][]byte{}
	keep := func(target map[string][]byte) func([]byte, int) ([]byte, error) {
		return func(message []byte, _ int) ([]byte, error) {
			name, _ := stringEntry(message) // ValueInfoProto has its name in field 1, as StringStringEntryProto.
			target[name] = slices.Clone(message)
			return message, nil
		}
	}
	j := joiner{path: l.o.Model}
	return j.rewrite(l.draft.model, 0, map[protowire.Number]func([]byte, int) ([]byte, error){7: func(g []byte, depth int) ([]byte, error) { // graph
		if _, err := j.rewrite(g, depth, map[protowire.Number]func([]byte, int) ([]byte, error){11: keep(inputs), 12: keep(outputs)}); err != nil {
			return nil, err
		}
		var split []byte // The node Split, and the initializer with its sizes, in front of the other nodes.
		split = appendText(appendText(split, 1, observationInput), 1, observationInput+"_sizes")
		var sizes []byte
		for i, name := range l.inputs {
			split = appendText(split, 2, name)
			sizes = binary.LittleEndian.AppendUint64(sizes, uint64(l.sizes[i]))
		}
		split = appendText(appendText(split, 4, "Split"), 5, string(appendNumber(appendNumber(appendText(nil, 1, "axis"), 3, 1), 20, 2)))
		initializer := appendText(appendNumber(appendNumber(nil, 1, uint64(len(l.sizes))), 2, 7), 8, observationInput+"_sizes") // dims, INT64, name
		b := appendText(appendText(nil, 1, string(split)), 5, string(appendText(initializer, 9, string(sizes))))
		for rest := g; len(rest) > 0; {
			number, kind, n := protowire.ConsumeTag(rest)
			length := n + protowire.ConsumeFieldValue(number, kind, rest[n:])
			if number != 11 && number != 12 {
				b = append(b, rest[:length]...)
			}
			rest = rest[length:]
		}
		b = appendText(b, 11, string(valueInfo(observationInput, int(size))))
		b = appendText(b, 12, string(outputs[l.target]))
		for _, s := range l.feedback {
			b = appendText(appendText(b, 11, string(inputs[s.Input])), 12, string(outputs[s.Output]))
		}
		return b, nil
	}})
}
