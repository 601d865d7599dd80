package importer

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"krabby.dev/krabby/compute/policy"
)

// maxConfigBytes is the size of the largest YAML or JSON file that is read.
const maxConfigBytes = 8 << 20

// The tags of values that are only data. Python's own tags of tuples and slices are among them, because the tools write them;
// every other tag would construct an object when Python loads the file.
const (
	tagPrefix = "tag:yaml.org,2002:"
	sliceTag  = tagPrefix + "python/object/apply:builtins.slice"
)

var dataTags = []string{
	"", "!", "map", "seq", "str", "int", "float", "bool", "null", "timestamp", "binary",
	"python/tuple", "python/list", "python/dict", "python/str", "python/unicode", "python/int", "python/float", "python/bool", "python/none",
}

// document is a YAML or JSON file, and which of its values were used.
type document struct {
	file string // For messages.
	root *yaml.Node
	used map[*yaml.Node]bool
}

// value is a place in a document.
type value struct {
	doc  *document
	path string
	node *yaml.Node
}

// entry is a key of a mapping with its value.
type entry struct {
	key   string
	value value
}

// parseDocument parses one YAML document. It constructs no objects: a tag that would is an error, and so are duplicate keys.
func parseDocument(file string, content []byte) (*document, error) {
	if len(content) > maxConfigBytes {
		return nil, &Error{File: file, Found: fmt.Sprintf("%d bytes", len(content)), Expected: fmt.Sprintf("at most %d", maxConfigBytes)}
	}
	var root yaml.Node
	if err := yaml.Unmarshal(content, &root); err != nil {
		return nil, fmt.Errorf("%s: invalid YAML: %w", file, err)
	}
	if root.Kind != yaml.DocumentNode || len(root.Content) != 1 {
		return nil, &Error{File: file, Found: "an empty file", Expected: "a YAML mapping"}
	}
	d := &document{file: file, root: root.Content[0], used: map[*yaml.Node]bool{}}
	if d.root.Kind != yaml.MappingNode {
		return nil, &Error{File: file, Found: describeNode(d.root), Expected: "a mapping"}
	}
	return d, d.check(d.top(), map[*yaml.Node]bool{})
}

// top returns the value of the whole document.
func (d *document) top() value { return value{d, "", d.root} }

// check refuses tags that construct objects, keys that are no text, and duplicate keys.
func (d *document) check(v value, seen map[*yaml.Node]bool) error {
	if seen[v.node] {
		return nil // An anchor that is used again, or that contains itself.
	}
	seen[v.node] = true
	if tag := v.node.LongTag(); tag != sliceTag && !slices.Contains(dataTags, strings.TrimPrefix(tag, tagPrefix)) {
		return v.wrong(fmt.Sprintf("the tag %s in line %d", v.node.Tag, v.node.Line), "plain data: a tag like this makes Python run code when it loads the file")
	}
	switch v.node.Kind {
	case yaml.AliasNode:
		return d.check(v.resolve(), seen)
	case yaml.SequenceNode:
		for i := range v.node.Content {
			if err := d.check(v.element(i), seen); err != nil {
				return err
			}
		}
	case yaml.MappingNode:
		keys := map[string]bool{}
		for i := 0; i+1 < len(v.node.Content); i += 2 {
			key := v.node.Content[i]
			if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
				return v.wrong(fmt.Sprintf("a key in line %d that is no plain text", key.Line), "plain keys")
			}
			child := value{d, join(v.path, key.Value), v.node.Content[i+1]}
			if keys[key.Value] {
				return child.wrong("the key again in line "+strconv.Itoa(key.Line), "each key once")
			}
			keys[key.Value] = true
			if err := d.check(child, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// wrong returns an error for v.
func (v value) wrong(found, expected string) error {
	return &Error{File: v.doc.file, Field: v.path, Found: found, Expected: expected}
}

// resolve follows an alias. The parser makes no alias of an alias.
func (v value) resolve() value {
	if v.node.Kind == yaml.AliasNode {
		v.node = v.node.Alias
	}
	return v
}

func (v value) element(i int) value {
	return value{v.doc, fmt.Sprintf("%s[%d]", v.path, i), v.node.Content[i]}
}

// use marks v as used, with everything in it.
func (v value) use() value {
	v.doc.used[v.node] = true
	v = v.resolve()
	v.doc.used[v.node] = true
	return v
}

// get returns the value of a key. A missing key and null are not found; null is used by it. What is not found is null, at its place.
func (v value) get(key string) (value, bool) {
	v = v.resolve()
	if v.node.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(v.node.Content); i += 2 {
			if v.node.Content[i].Value != key {
				continue
			}
			child := value{v.doc, join(v.path, key), v.node.Content[i+1]}
			if child.isNull() {
				child.use()
				return child, false
			}
			return child, true
		}
	}
	return value{v.doc, join(v.path, key), &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}}, false
}

// find returns the value at a path of keys.
func (v value) find(keys ...string) (value, bool) {
	for _, key := range keys {
		var ok bool
		if v, ok = v.get(key); !ok {
			return v, false
		}
	}
	return v, true
}

// has reports whether all keys are there, null or not.
func (v value) has(keys ...string) bool {
	v = v.resolve()
	for _, key := range keys {
		if v.node.Kind != yaml.MappingNode || !slices.ContainsFunc(v.entries(), func(e entry) bool { return e.key == key }) {
			return false
		}
	}
	return true
}

func (v value) isNull() bool {
	v = v.resolve()
	return v.node.Kind == yaml.ScalarNode && v.node.Tag == "!!null"
}

func (v value) isMapping() bool  { return v.resolve().node.Kind == yaml.MappingNode }
func (v value) isSequence() bool { return v.resolve().node.Kind == yaml.SequenceNode }

// isFullSlice reports whether v is Python's slice(None), which means all elements.
func (v value) isFullSlice() bool {
	v = v.resolve()
	return v.node.LongTag() == sliceTag && !slices.ContainsFunc(v.elements(), func(e value) bool { return !e.isNull() })
}

// entries returns the keys of a mapping with their values, in the order of the file.
func (v value) entries() []entry {
	v = v.resolve()
	var all []entry
	if v.node.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(v.node.Content); i += 2 {
			key := v.node.Content[i].Value
			all = append(all, entry{key, value{v.doc, join(v.path, key), v.node.Content[i+1]}})
		}
	}
	return all
}

// elements returns the elements of a sequence.
func (v value) elements() []value {
	v = v.resolve()
	var all []value
	if v.node.Kind == yaml.SequenceNode {
		for i := range v.node.Content {
			all = append(all, v.element(i))
		}
	}
	return all
}

// text returns a scalar as text.
func (v value) text() (string, error) {
	if r := v.resolve(); r.node.Kind != yaml.ScalarNode || v.isNull() {
		return "", v.wrong(describeNode(r.node), "text")
	}
	return v.use().node.Value, nil
}

// texts returns the elements of a sequence as text.
func (v value) texts() ([]string, error) {
	if !v.isSequence() {
		return nil, v.wrong(describeNode(v.resolve().node), "a list of names")
	}
	v.use()
	var all []string
	for _, e := range v.elements() {
		text, err := e.text()
		if err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, nil
}

// number returns a scalar as a number. NaN is an error; infinity is not.
func (v value) number() (float64, error) {
	r := v.resolve()
	var x float64
	if r.node.Kind != yaml.ScalarNode || v.isNull() || r.node.ShortTag() == "!!bool" {
		return 0, v.wrong(describeNode(r.node), "a number")
	}
	if err := r.node.Decode(&x); err != nil {
		parsed, parseErr := strconv.ParseFloat(r.node.Value, 64) // Python reads 1e-3 as text where YAML has a number, and the other way round.
		if parseErr != nil {
			return 0, v.wrong(describeNode(r.node), "a number")
		}
		x = parsed
	}
	if math.IsNaN(x) {
		return 0, v.wrong("NaN", "a number")
	}
	v.use()
	return x, nil
}

// integer returns a scalar as a whole number.
func (v value) integer() (int, error) {
	x, err := v.number()
	if err != nil {
		return 0, err
	}
	if x != math.Trunc(x) || math.Abs(x) > 1<<31 {
		return 0, v.wrong(fmt.Sprint(x), "a whole number")
	}
	return int(x), nil
}

// truth returns a scalar as true or false.
func (v value) truth() (bool, error) {
	var b bool
	if r := v.resolve(); r.node.Kind != yaml.ScalarNode || r.node.Decode(&b) != nil {
		return false, v.wrong(describeNode(r.node), "true or false")
	}
	v.use()
	return b, nil
}

// numbers returns a number, or a sequence of them, as policy.Numbers.
func (v value) numbers() (policy.Numbers, error) {
	if !v.isSequence() {
		x, err := v.number()
		return policy.Numbers{x}, err
	}
	v.use()
	all := policy.Numbers{}
	for _, e := range v.elements() {
		x, err := e.number()
		if err != nil {
			return nil, err
		}
		all = append(all, x)
	}
	return all, nil
}

// pair returns a sequence of two numbers.
func (v value) pair() (p [2]float64, err error) {
	all, err := v.numbers()
	if err != nil {
		return p, err
	}
	if !v.isSequence() || len(all) != 2 {
		return p, v.wrong(describeNode(v.resolve().node), "a list of two numbers")
	}
	return [2]float64(all), nil
}

// describeNode describes a value for an error.
func describeNode(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return fmt.Sprintf("a mapping of %d keys", len(n.Content)/2)
	case yaml.SequenceNode:
		return fmt.Sprintf("a list of %d", len(n.Content))
	}
	if n.Tag == "!!null" {
		return "null"
	}
	return quote(n.Value)
}

// unused returns the paths of all values that were not used, the highest of each branch only.
func (d *document) unused() []string {
	var all []string
	var walk func(v value) (used bool)
	walk = func(v value) bool {
		if d.used[v.node] {
			return true
		}
		if v.isNull() || (v.isMapping() || v.isSequence()) && len(v.children()) == 0 {
			return false // It states nothing.
		}
		var below []string // Unused children, for the case that others are used.
		used := false
		outside := all
		for _, child := range v.children() {
			all = nil
			if walk(child) {
				used = true
			}
			below = append(below, all...)
		}
		all = outside
		if !used {
			all = append(all, v.path)
			return false
		}
		all = append(all, below...)
		return true
	}
	walk(d.top())
	return all
}

// children returns the elements of a mapping or sequence. Those of an alias are not its own.
func (v value) children() []value {
	if v.node.Kind == yaml.AliasNode {
		return nil
	}
	all := v.elements()
	for _, e := range v.entries() {
		all = append(all, e.value)
	}
	return all
}
