// Package graph reads what an ONNX file declares: its inputs and outputs, its weights, and whether they are all in the
// file. It runs nothing, and it follows no path that a file names.
//
// It reads the few fields of the format that it needs (https://onnx.ai/onnx/repo-docs/IR.html) and must never import
// inference engines, or anything else of this module.
package graph

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxDepth bounds how deep graphs may be nested in one another.
const maxDepth = 16

// Model is what an ONNX file declares.
type Model struct {
	// IRVersion is the version of the format, Producer the program that wrote the file.
	IRVersion int64  `json:"ir_version"`
	Producer  string `json:"producer"`
	// Opsets are the versions of the operators by their domain; that of ONNX itself is "ai.onnx".
	Opsets map[string]int64 `json:"opsets"`
	// Inputs and Outputs are those of the graph, without weights.
	Inputs  []Tensor `json:"inputs"`
	Outputs []Tensor `json:"outputs"`
	// Operators counts the nodes of each type.
	Operators map[string]int `json:"operators"`
	// Parameters counts the values of all weights, those of floating point.
	Parameters int64 `json:"parameters"`
	// External names the places outside the file where it has weights, sorted.
	External []string `json:"external"`
}

// Tensor is an input or output.
type Tensor struct {
	Name string `json:"name"`
	// Type is the type of the values as ONNX names it, in lower case: float for float32. It is empty for what is no tensor.
	Type string `json:"type"`
	// Shape has -1 for a dimension that the file leaves open.
	Shape []int64 `json:"shape"`
}

func (t Tensor) String() string { return fmt.Sprintf("%s %s%v", t.Name, t.Type, t.Shape) }

// types are TensorProto.DataType by their number.
var types = []string{
	"undefined", "float", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16", "double",
	"uint32", "uint64", "complex64", "complex128", "bfloat16",
}

func typeName(number uint64) string {
	if number < uint64(len(types)) {
		return types[number]
	}
	return fmt.Sprintf("type %d", number)
}

// Parse reads an ONNX file.
func Parse(content []byte) (*Model, error) {
	p := parser{model: &Model{Opsets: map[string]int64{}, Operators: map[string]int{}}, external: map[string]bool{}, weights: map[string]bool{}}
	err := fields(content, func(number protowire.Number, value uint64, bytes []byte) error {
		switch number {
		case 1:
			p.model.IRVersion = int64(value)
		case 2:
			p.model.Producer = string(bytes)
		case 7:
			p.found = true
			return p.graph(bytes, 0)
		case 8:
			return p.opset(bytes)
		case 20: // Training, which has graphs of its own.
			return fields(bytes, func(number protowire.Number, _ uint64, bytes []byte) error {
				if number == 1 || number == 2 {
					return p.graph(bytes, 1)
				}
				return nil
			})
		case 25: // A function: a body of nodes.
			return fields(bytes, func(number protowire.Number, _ uint64, bytes []byte) error {
				if number == 7 {
					return p.node(bytes, 1)
				}
				return nil
			})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("graph: %w", err)
	}
	if !p.found || p.model.IRVersion == 0 {
		return nil, errors.New("graph: no graph or no version of the format in it")
	}
	// Old files list weights among the inputs.
	p.model.Inputs = slices.DeleteFunc(p.model.Inputs, func(t Tensor) bool { return p.weights[t.Name] })
	p.model.External = slices.Sorted(maps.Keys(p.external))
	return p.model, nil
}

type parser struct {
	model    *Model
	found    bool
	weights  map[string]bool
	external map[string]bool
}

func (p *parser) opset(message []byte) error {
	domain, version := "ai.onnx", int64(0)
	err := fields(message, func(number protowire.Number, value uint64, bytes []byte) error {
		switch {
		case number == 1 && len(bytes) > 0:
			domain = string(bytes)
		case number == 2:
			version = int64(value)
		}
		return nil
	})
	p.model.Opsets[domain] = version
	return err
}

// graph reads a graph: that of the model, at depth 0, or one within a node.
func (p *parser) graph(message []byte, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("graphs nested more than %d deep", maxDepth)
	}
	return fields(message, func(number protowire.Number, _ uint64, bytes []byte) error {
		switch number {
		case 1:
			return p.node(bytes, depth)
		case 5:
			return p.tensor(bytes, depth)
		case 11, 12:
			if depth > 0 {
				return nil
			}
			t, err := declaration(bytes)
			if number == 11 {
				p.model.Inputs = append(p.model.Inputs, t)
			} else {
				p.model.Outputs = append(p.model.Outputs, t)
			}
			return err
		case 15:
			return p.sparse(bytes, depth)
		}
		return nil
	})
}

func (p *parser) node(message []byte, depth int) error {
	return fields(message, func(number protowire.Number, _ uint64, bytes []byte) error {
		switch number {
		case 4:
			p.model.Operators[string(bytes)]++
		case 5:
			return p.attribute(bytes, depth)
		}
		return nil
	})
}

// attribute looks for tensors and graphs in an attribute of a node.
func (p *parser) attribute(message []byte, depth int) error {
	return fields(message, func(number protowire.Number, _ uint64, bytes []byte) error {
		switch number {
		case 5, 10:
			return p.tensor(bytes, depth)
		case 6, 11:
			return p.graph(bytes, depth+1)
		case 22, 23:
			return p.sparse(bytes, depth)
		}
		return nil
	})
}

func (p *parser) sparse(message []byte, depth int) error {
	return fields(message, func(number protowire.Number, _ uint64, bytes []byte) error {
		if number == 1 || number == 2 {
			return p.tensor(bytes, depth)
		}
		return nil
	})
}

// tensor counts the values of a weight and notes where it is, if not here.
func (p *parser) tensor(message []byte, depth int) error {
	values, name, kind := int64(1), "", ""
	location, external := "", false
	err := fields(message, func(number protowire.Number, value uint64, bytes []byte) error {
		switch number {
		case 1: // Packed or not.
			if bytes == nil {
				values *= int64(value)
				return nil
			}
			for len(bytes) > 0 {
				d, n := protowire.ConsumeVarint(bytes)
				if n < 0 {
					return protowire.ParseError(n)
				}
				values, bytes = values*int64(d), bytes[n:]
			}
		case 2:
			kind = typeName(value)
		case 8:
			name = string(bytes)
		case 13:
			external = true
			key, value, err := entry(bytes)
			if key == "location" {
				location = value
			}
			return err
		case 14:
			external = external || value != 0
		}
		return nil
	})
	if strings.Contains(kind, "float") || kind == "double" {
		p.model.Parameters += values
	}
	if depth == 0 {
		p.weights[name] = true
	}
	if external {
		p.external[location] = true
	}
	return err
}

// declaration reads an input or output.
func declaration(message []byte) (t Tensor, err error) {
	err = fields(message, func(number protowire.Number, _ uint64, bytes []byte) error {
		switch number {
		case 1:
			t.Name = string(bytes)
		case 2:
			return fields(bytes, func(number protowire.Number, _ uint64, bytes []byte) error {
				if number == 1 { // A tensor; sequences, maps and the like stay without a type.
					return t.declare(bytes)
				}
				return nil
			})
		}
		return nil
	})
	return t, err
}

func (t *Tensor) declare(message []byte) error {
	return fields(message, func(number protowire.Number, value uint64, bytes []byte) error {
		switch number {
		case 1:
			t.Type = typeName(value)
		case 2:
			return fields(bytes, func(number protowire.Number, _ uint64, bytes []byte) error {
				if number != 1 {
					return nil
				}
				dimension := int64(-1)
				err := fields(bytes, func(number protowire.Number, value uint64, _ []byte) error {
					if number == 1 {
						dimension = int64(value)
					}
					return nil
				})
				t.Shape = append(t.Shape, dimension)
				return err
			})
		}
		return nil
	})
}

func entry(message []byte) (key, value string, err error) {
	err = fields(message, func(number protowire.Number, _ uint64, bytes []byte) error {
		switch number {
		case 1:
			key = string(bytes)
		case 2:
			value = string(bytes)
		}
		return nil
	})
	return key, value, err
}

// fields calls each with every field of a message: with the value of a number, or with the bytes of anything longer,
// which are then not nil.
func fields(message []byte, each func(number protowire.Number, value uint64, bytes []byte) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return fmt.Errorf("no ONNX file: %w", protowire.ParseError(n))
		}
		message = message[n:]
		var value uint64
		var content []byte
		switch kind {
		case protowire.VarintType:
			value, n = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			content, n = protowire.ConsumeBytes(message)
			if content == nil {
				content = []byte{}
			}
		default:
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return fmt.Errorf("no ONNX file: %w", protowire.ParseError(n))
		}
		message = message[n:]
		if err := each(number, value, content); err != nil {
			return err
		}
	}
	return nil
}

// OperatorNames lists the types of the nodes and how often each is there, sorted by name.
func (m *Model) OperatorNames() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(m.Operators)) {
		all = append(all, fmt.Sprintf("%d %s", m.Operators[name], name))
	}
	return strings.Join(all, ", ")
}
