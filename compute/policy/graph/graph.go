// Package graph reads the metadata of ONNX files: inputs and outputs, operators, the number of parameters, and references to
// weights in other files. It executes no model and opens no file that a model refers to.
//
// It decodes the few protobuf fields that it needs; comments at field numbers have the names in the format's definition,
// https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. It must never import inference engines or anything else of this
// module.
package graph

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// coreDomain is the domain of ONNX's own operators.
const coreDomain = "ai.onnx"

// maxDepth is the deepest nesting of graphs that Parse accepts. Graphs are nested in attributes of nodes.
const maxDepth = 16

// Float32 is the Type of a tensor of 32-bit floating point values.
const Float32 = "float"

// Metadata is what an ONNX file declares.
type Metadata struct {
	// IRVersion is the version of the file format.
	IRVersion int64 `json:"ir_version"`
	// Producer is the name of the program that wrote the file.
	Producer string `json:"producer"`
	// Opsets maps the domain of each operator set to its version. ONNX's own domain is "ai.onnx".
	Opsets map[string]int64 `json:"opsets"`
	// Inputs are the inputs of the graph, in its order. Weights, which old files list as inputs, are left out.
	Inputs []Tensor `json:"inputs"`
	// Outputs are the outputs of the graph, in its order.
	Outputs []Tensor `json:"outputs"`
	// Operators maps each operator type to its number of nodes.
	Operators map[string]int `json:"operators"`
	// Parameters is the number of floating point values in all weights.
	Parameters int64 `json:"parameters"`
	// Domains are the domains of the operators that the model uses, sorted; those of functions in the model are left out.
	Domains []string `json:"domains"`
	// Properties are the model's metadata: what its exporter wrote beside the graph.
	Properties map[string]string `json:"properties,omitempty"`
	// ExternalData are the paths of the other files that have weights of the model, sorted.
	ExternalData []string `json:"external_data,omitempty"`
}

// Tensor is an input or output of a graph.
type Tensor struct {
	// Name is its name in the graph.
	Name string `json:"name"`
	// Type is the element type, as TensorProto.DataType names it, in lower case. It is empty for a sequence, a map or an
	// optional value.
	Type string `json:"type"`
	// Shape has the dimensions; -1 is an open dimension.
	Shape []int64 `json:"shape"`
}

// String returns the tensor as NAME TYPE[SHAPE], for example "obs float[1 48]".
func (t Tensor) String() string { return fmt.Sprintf("%s %s%v", t.Name, t.Type, t.Shape) }

// dataTypes are the names of TensorProto.DataType, by number.
var dataTypes = []string{
	"undefined", Float32, "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16", "double",
	"uint32", "uint64", "complex64", "complex128", "bfloat16",
}

// typeName returns the name of a data type. Newer types than those of dataTypes are named by their number.
func typeName(number uint64) string {
	if number < uint64(len(dataTypes)) {
		return dataTypes[number]
	}
	return fmt.Sprintf("type %d", number)
}

// Parse returns the metadata of an ONNX file. content is the whole file. It fails on invalid protobuf, on graphs nested
// more than 16 deep, and where the graph or the IR version is missing.
func Parse(content []byte) (*Metadata, error) {
	p := parser{
		metadata:     &Metadata{Opsets: map[string]int64{}, Operators: map[string]int{}},
		weights:      map[string]bool{},
		domains:      map[string]bool{},
		functions:    map[string]bool{},
		externalData: map[string]bool{},
	}
	if err := visit(content, p.model); err != nil {
		return nil, fmt.Errorf("graph: %w", err)
	}
	switch {
	case !p.found:
		return nil, errors.New("graph: graph not found in the file")
	case p.metadata.IRVersion == 0:
		return nil, errors.New("graph: IR version not found in the file")
	}
	p.metadata.Inputs = slices.DeleteFunc(p.metadata.Inputs, func(t Tensor) bool { return p.weights[t.Name] })
	maps.DeleteFunc(p.domains, func(domain string, _ bool) bool { return p.functions[domain] })
	p.metadata.Domains = slices.Sorted(maps.Keys(p.domains))
	p.metadata.ExternalData = slices.Sorted(maps.Keys(p.externalData))
	return p.metadata, nil
}

// parser collects metadata. Its methods take the encoded message of the type that their comment names.
type parser struct {
	metadata     *Metadata
	found        bool            // The graph of the model was found.
	weights      map[string]bool // Names of the weights of the graph of the model.
	domains      map[string]bool // Of operators.
	functions    map[string]bool // Domains of functions.
	externalData map[string]bool
}

// model reads a field of ModelProto.
func (p *parser) model(f field) error {
	switch f.number {
	case 1: // ir_version
		p.metadata.IRVersion = int64(f.value)
	case 2: // producer_name
		p.metadata.Producer = string(f.bytes)
	case 7: // graph
		p.found = true
		return p.graph(f.bytes, 0)
	case 8: // opset_import
		return p.opset(f.bytes)
	case 14: // metadata_props
		key, value, err := entry(f.bytes)
		if p.metadata.Properties == nil {
			p.metadata.Properties = map[string]string{}
		}
		p.metadata.Properties[key] = value
		return err
	case 20: // training_info
		return visit(f.bytes, func(f field) error {
			if f.number == 1 || f.number == 2 { // initialization, algorithm
				return p.graph(f.bytes, 1)
			}
			return nil
		})
	case 25: // functions
		return visit(f.bytes, func(f field) error {
			switch f.number {
			case 7: // node
				return p.node(f.bytes, 1)
			case 10: // domain
				p.functions[string(f.bytes)] = true
			}
			return nil
		})
	}
	return nil
}

// opset reads an OperatorSetIdProto.
func (p *parser) opset(message []byte) error {
	domain, version := coreDomain, int64(0)
	err := visit(message, func(f field) error {
		switch {
		case f.number == 1 && len(f.bytes) > 0: // domain
			domain = string(f.bytes)
		case f.number == 2: // version
			version = int64(f.value)
		}
		return nil
	})
	p.metadata.Opsets[domain] = version
	return err
}

// graph reads a GraphProto. Depth 0 is the graph of the model; graphs in nodes are deeper.
func (p *parser) graph(message []byte, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("graphs nested more than %d deep", maxDepth)
	}
	return visit(message, func(f field) error {
		switch f.number {
		case 1: // node
			return p.node(f.bytes, depth)
		case 5: // initializer
			return p.tensor(f.bytes, depth)
		case 11, 12: // input, output
			if depth > 0 {
				return nil
			}
			t, err := valueInfo(f.bytes)
			if f.number == 11 {
				p.metadata.Inputs = append(p.metadata.Inputs, t)
			} else {
				p.metadata.Outputs = append(p.metadata.Outputs, t)
			}
			return err
		case 15: // sparse_initializer
			return p.sparseTensor(f.bytes, depth)
		}
		return nil
	})
}

// node reads a NodeProto.
func (p *parser) node(message []byte, depth int) error {
	domain := coreDomain
	err := visit(message, func(f field) error {
		switch f.number {
		case 4: // op_type
			p.metadata.Operators[string(f.bytes)]++
		case 5: // attribute
			return p.attribute(f.bytes, depth)
		case 7: // domain
			if len(f.bytes) > 0 {
				domain = string(f.bytes)
			}
		}
		return nil
	})
	p.domains[domain] = true
	return err
}

// attribute reads the tensors and graphs of an AttributeProto.
func (p *parser) attribute(message []byte, depth int) error {
	return visit(message, func(f field) error {
		switch f.number {
		case 5, 10: // t, tensors
			return p.tensor(f.bytes, depth)
		case 6, 11: // g, graphs
			return p.graph(f.bytes, depth+1)
		case 22, 23: // sparse_tensor, sparse_tensors
			return p.sparseTensor(f.bytes, depth)
		}
		return nil
	})
}

// sparseTensor reads a SparseTensorProto.
func (p *parser) sparseTensor(message []byte, depth int) error {
	return visit(message, func(f field) error {
		if f.number == 1 || f.number == 2 { // values, indices
			return p.tensor(f.bytes, depth)
		}
		return nil
	})
}

// tensor reads a TensorProto: it counts the values and records the path of external data.
func (p *parser) tensor(message []byte, depth int) error {
	values, name, dataType := int64(1), "", ""
	path, external := "", false
	err := visit(message, func(f field) error {
		switch f.number {
		case 1: // dims, packed or not
			if f.bytes == nil {
				values *= int64(f.value)
				return nil
			}
			for rest := f.bytes; len(rest) > 0; {
				d, n := protowire.ConsumeVarint(rest)
				if n < 0 {
					return protowire.ParseError(n)
				}
				values, rest = values*int64(d), rest[n:]
			}
		case 2: // data_type
			dataType = typeName(f.value)
		case 8: // name
			name = string(f.bytes)
		case 13: // external_data
			external = true
			key, value, err := entry(f.bytes)
			if key == "location" {
				path = value
			}
			return err
		case 14: // data_location
			external = external || f.value != 0
		}
		return nil
	})
	if strings.Contains(dataType, "float") || dataType == "double" {
		p.metadata.Parameters += values
	}
	if depth == 0 {
		p.weights[name] = true
	}
	if external {
		p.externalData[path] = true
	}
	return err
}

// valueInfo reads a ValueInfoProto.
func valueInfo(message []byte) (t Tensor, err error) {
	err = visit(message, func(f field) error {
		switch f.number {
		case 1: // name
			t.Name = string(f.bytes)
		case 2: // type
			return visit(f.bytes, func(f field) error {
				if f.number == 1 { // tensor_type
					return t.tensorType(f.bytes)
				}
				return nil
			})
		}
		return nil
	})
	return t, err
}

// tensorType reads a TypeProto.Tensor.
func (t *Tensor) tensorType(message []byte) error {
	return visit(message, func(f field) error {
		switch f.number {
		case 1: // elem_type
			t.Type = typeName(f.value)
		case 2: // shape
			return visit(f.bytes, func(f field) error {
				if f.number != 1 { // dim
					return nil
				}
				dimension := int64(-1)
				err := visit(f.bytes, func(f field) error {
					if f.number == 1 { // dim_value
						dimension = int64(f.value)
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

// entry reads a StringStringEntryProto.
func entry(message []byte) (key, value string, err error) {
	err = visit(message, func(f field) error {
		switch f.number {
		case 1: // key
			key = string(f.bytes)
		case 2: // value
			value = string(f.bytes)
		}
		return nil
	})
	return key, value, err
}

// field is a field of a protobuf message. A varint is in value, a length-delimited content in bytes, which is nil for all
// other wire types.
type field struct {
	number protowire.Number
	value  uint64
	bytes  []byte
}

// visit calls read with each field of a message, in order, until read fails.
func visit(message []byte, read func(field) error) error {
	for len(message) > 0 {
		number, wireType, n := protowire.ConsumeTag(message)
		if n < 0 {
			return fmt.Errorf("invalid protobuf: %w", protowire.ParseError(n))
		}
		message = message[n:]
		f := field{number: number}
		switch wireType {
		case protowire.VarintType:
			f.value, n = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(message)
			if f.bytes == nil {
				f.bytes = []byte{}
			}
		default:
			n = protowire.ConsumeFieldValue(number, wireType, message)
		}
		if n < 0 {
			return fmt.Errorf("invalid protobuf: %w", protowire.ParseError(n))
		}
		message = message[n:]
		if err := read(f); err != nil {
			return err
		}
	}
	return nil
}

// OperatorCounts returns the operator types, sorted, each after its number of nodes: "1 Elu, 2 MatMul".
func (m *Metadata) OperatorCounts() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(m.Operators)) {
		all = append(all, fmt.Sprintf("%d %s", m.Operators[name], name))
	}
	return strings.Join(all, ", ")
}
