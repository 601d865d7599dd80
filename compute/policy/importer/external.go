package importer

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	maxModelBytes = 256 << 20
	maxDepth      = 16
)

// readFile returns the content of a regular file of at most maxBytes.
func readFile(path string, maxBytes int64) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, &Error{File: path, Found: "a file of mode " + info.Mode().String(), Expected: "a regular file"}
	case info.Size() > maxBytes:
		return nil, &Error{File: path, Found: fmt.Sprintf("%d bytes", info.Size()), Expected: fmt.Sprintf("at most %d", maxBytes)}
	}
	return os.ReadFile(path)
}

// joinExternal returns the ONNX model in content with all weights in it. path is its file; other files are only read from its
// directory.
//
// Comments at field numbers have the names in the format's definition, onnx.proto.
func joinExternal(path string, content []byte) ([]byte, error) {
	j := joiner{path: path, files: map[string][]byte{}}
	return j.rewrite(content, 0, map[protowire.Number]func([]byte, int) ([]byte, error){7: j.graph}) // graph
}

// joiner rewrites the messages of a model on the way to its tensors.
type joiner struct {
	path  string
	files map[string][]byte // By location.
	added int64
}

// rewrite returns message with those fields replaced by what the functions return; all other fields are copied.
func (j *joiner) rewrite(message []byte, depth int, fields map[protowire.Number]func([]byte, int) ([]byte, error)) ([]byte, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%s: graphs nested more than %d deep", j.path, maxDepth)
	}
	var out []byte
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil, fmt.Errorf("%s: invalid protobuf: %w", j.path, protowire.ParseError(n))
		}
		size := protowire.ConsumeFieldValue(number, kind, message[n:])
		if size < 0 {
			return nil, fmt.Errorf("%s: invalid protobuf: %w", j.path, protowire.ParseError(size))
		}
		replace := fields[number]
		if replace == nil || kind != protowire.BytesType {
			out = append(out, message[:n+size]...)
			message = message[n+size:]
			continue
		}
		inner, _ := protowire.ConsumeBytes(message[n:])
		replaced, err := replace(inner, depth)
		if err != nil {
			return nil, err
		}
		out = protowire.AppendBytes(protowire.AppendTag(out, number, kind), replaced)
		message = message[n+size:]
	}
	return out, nil
}

// graph rewrites a GraphProto.
func (j *joiner) graph(message []byte, depth int) ([]byte, error) {
	return j.rewrite(message, depth+1, map[protowire.Number]func([]byte, int) ([]byte, error){1: j.node, 5: j.tensor}) // node, initializer
}

// node rewrites a NodeProto.
func (j *joiner) node(message []byte, depth int) ([]byte, error) {
	return j.rewrite(message, depth, map[protowire.Number]func([]byte, int) ([]byte, error){5: j.attribute}) // attribute
}

// attribute rewrites an AttributeProto.
func (j *joiner) attribute(message []byte, depth int) ([]byte, error) {
	return j.rewrite(message, depth, map[protowire.Number]func([]byte, int) ([]byte, error){5: j.tensor, 10: j.tensor, 6: j.graph, 11: j.graph}) // t, tensors, g, graphs
}

// tensor returns a TensorProto with the data of its file.
func (j *joiner) tensor(message []byte, _ int) ([]byte, error) {
	var out []byte
	place := map[string]string{}
	external, name := false, ""
	for rest := message; len(rest) > 0; {
		number, kind, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return nil, fmt.Errorf("%s: invalid protobuf: %w", j.path, protowire.ParseError(n))
		}
		size := protowire.ConsumeFieldValue(number, kind, rest[n:])
		if size < 0 {
			return nil, fmt.Errorf("%s: invalid protobuf: %w", j.path, protowire.ParseError(size))
		}
		field := rest[:n+size]
		rest = rest[n+size:]
		switch {
		case number == 13 && kind == protowire.BytesType: // external_data
			external = true
			value, _ := protowire.ConsumeBytes(field[n:])
			key, text := stringEntry(value)
			place[key] = text
			continue
		case number == 14: // data_location
			continue
		case number == 8 && kind == protowire.BytesType: // name
			value, _ := protowire.ConsumeBytes(field[n:])
			name = string(value)
		}
		out = append(out, field...)
	}
	if !external {
		return message, nil
	}
	data, err := j.data(name, place)
	if err != nil {
		return nil, err
	}
	return protowire.AppendBytes(protowire.AppendTag(out, 9, protowire.BytesType), data), nil // raw_data
}

// data returns the bytes of a tensor.
func (j *joiner) data(name string, place map[string]string) ([]byte, error) {
	location := place["location"]
	wrong := func(key, expected string) error {
		return &Error{File: j.path, Field: fmt.Sprintf("weight %q: %s", name, key), Found: quote(place[key]), Expected: expected}
	}
	if location == "" || location != filepath.Base(location) || !filepath.IsLocal(location) {
		return nil, wrong("location", "the name of a file in the same directory")
	}
	content, ok := j.files[location]
	if !ok {
		var err error
		if content, err = readFile(filepath.Join(filepath.Dir(j.path), location), maxModelBytes); err != nil {
			return nil, err
		}
		j.files[location] = content
	}
	offset, length := int64(0), int64(len(content))
	var err error
	if text, ok := place["offset"]; ok {
		if offset, err = strconv.ParseInt(text, 10, 64); err != nil || offset < 0 || offset > int64(len(content)) {
			return nil, wrong("offset", fmt.Sprintf("0 to %d, the size of %s", len(content), location))
		}
	}
	length -= offset
	if text, ok := place["length"]; ok {
		if length, err = strconv.ParseInt(text, 10, 64); err != nil || length < 0 || length > int64(len(content))-offset {
			return nil, wrong("length", fmt.Sprintf("at most the %d bytes of %s from the offset on", int64(len(content))-offset, location))
		}
	}
	if j.added += length; j.added > maxModelBytes {
		return nil, wrong("length", fmt.Sprintf("at most %d bytes in all weights", maxModelBytes))
	}
	return content[offset : offset+length], nil
}

// stringEntry reads a StringStringEntryProto.
func stringEntry(message []byte) (key, value string) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 || kind != protowire.BytesType {
			return key, value
		}
		text, size := protowire.ConsumeBytes(message[n:])
		if size < 0 {
			return key, value
		}
		switch number {
		case 1:
			key = string(text)
		case 2:
			value = string(text)
		}
		message = message[n+size:]
	}
	return key, value
}
