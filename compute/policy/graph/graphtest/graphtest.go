// Package graphtest encodes small ONNX models for tests.
//
// Only tests may import it, and it must never import anything else of this module.
package graphtest

import (
	"cmp"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Model is an ONNX model of one graph.
type Model struct {
	Inputs, Outputs []Tensor
	Nodes           []Node
	Weights         []Weight
	// IRVersion and Opset are versions; 0 stands for 8 and 17.
	IRVersion, Opset uint64
	// Imports are further operator sets: domain and version.
	Imports map[string]uint64
	// Properties are the model's metadata.
	Properties map[string]string
}

// Tensor is an input or output of a model.
type Tensor struct {
	Name string
	// Type is the number of a TensorProto.DataType; 0 stands for float32.
	Type uint64
	// Shape has the dimensions; -1 is an open dimension.
	Shape []int64
}

// Node is an operator.
type Node struct {
	// Op is the operator type.
	Op string
	// Domain is the domain of the operator; empty is ONNX's own.
	Domain string
	// Inputs and Outputs are names of tensors.
	Inputs, Outputs []string
	// Constant, if set, is an attribute with a tensor.
	Constant *Weight
	// Body, if set, is an attribute with a graph.
	Body *Model
}

// Weight is a float32 tensor of zeros. External, if set, is the path of the file that has the values.
type Weight struct {
	Name     string
	Shape    []int64
	External string
}

// Bytes returns the encoded ONNX file.
func (m Model) Bytes() []byte {
	var b []byte
	b = number(b, 1, cmp.Or(m.IRVersion, 8))
	b = text(b, 2, "graphtest")
	b = text(b, 7, string(m.graph()))
	b = text(b, 8, string(number(nil, 2, cmp.Or(m.Opset, 17))))
	for _, domain := range slices.Sorted(maps.Keys(m.Imports)) {
		b = text(b, 8, string(number(text(nil, 1, domain), 2, m.Imports[domain])))
	}
	for _, key := range slices.Sorted(maps.Keys(m.Properties)) {
		b = text(b, 14, string(text(text(nil, 1, key), 2, m.Properties[key])))
	}
	return b
}

func (m Model) graph() []byte {
	var b []byte
	for _, n := range m.Nodes {
		b = text(b, 1, string(n.bytes()))
	}
	b = text(b, 2, "graph")
	for _, w := range m.Weights {
		b = text(b, 5, string(w.bytes()))
	}
	for _, t := range m.Inputs {
		b = text(b, 11, string(t.bytes()))
	}
	for _, t := range m.Outputs {
		b = text(b, 12, string(t.bytes()))
	}
	return b
}

func (t Tensor) bytes() []byte {
	var shape []byte
	for _, d := range t.Shape {
		var dimension []byte
		if d < 0 {
			dimension = text(nil, 2, "batch")
		} else {
			dimension = number(nil, 1, uint64(d))
		}
		shape = text(shape, 1, string(dimension))
	}
	dataType := t.Type
	if dataType == 0 {
		dataType = 1 // FLOAT
	}
	tensor := text(number(nil, 1, dataType), 2, string(shape))
	return text(text(nil, 1, t.Name), 2, string(text(nil, 1, string(tensor))))
}

func (n Node) bytes() []byte {
	var b []byte
	for _, name := range n.Inputs {
		b = text(b, 1, name)
	}
	for _, name := range n.Outputs {
		b = text(b, 2, name)
	}
	b = text(b, 4, n.Op)
	if n.Domain != "" {
		b = text(b, 7, n.Domain)
	}
	if n.Constant != nil {
		b = text(b, 5, string(number(text(text(nil, 1, "value"), 5, string(n.Constant.bytes())), 20, 4)))
	}
	if n.Body != nil {
		b = text(b, 5, string(number(text(text(nil, 1, "body"), 6, string(n.Body.graph())), 20, 5)))
	}
	return b
}

func (w Weight) bytes() []byte {
	var b []byte
	values := int64(1)
	for _, d := range w.Shape {
		b = number(b, 1, uint64(d))
		values *= d
	}
	b = text(number(b, 2, 1), 8, w.Name)
	if w.External == "" {
		return text(b, 9, string(make([]byte, 4*values)))
	}
	b = text(b, 13, string(text(text(nil, 1, "location"), 2, w.External)))
	return number(b, 14, 1)
}

func number(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func text(b []byte, field protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), v)
}
