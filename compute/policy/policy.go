// Package policy loads trained policies. A policy is a folder with an ONNX model, policy.onnx, or several, and a
// manifest, manifest.json, that says which robot it drives, what its numbers mean and what its files' checksums are.
// Nothing in the folder is executed or trusted before it is checked.
//
// It must never import inference engines, observation builders or transport.
package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"krabby.dev/krabby/compute/policy/graph"
	"krabby.dev/krabby/hal/robot"
)

const (
	// ManifestFile and ModelFile are the names of the files of a policy's folder.
	ManifestFile = "manifest.json"
	ModelFile    = "policy.onnx"

	maxManifestBytes = 1 << 20
	maxFileBytes     = 256 << 20
)

// Error says which file of a policy, and which field if it is the manifest, is wrong, what was found and what was
// expected. It is a single line.
type Error struct {
	File     string
	Field    string // Empty where the file as a whole is wrong.
	Found    string
	Expected string
	// Err is the cause where there is one, for example fs.ErrNotExist.
	Err error
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "policy: %s: ", e.File)
	if e.Field != "" {
		fmt.Fprintf(&b, "%s: ", e.Field)
	}
	fmt.Fprintf(&b, "found %s, expected %s", e.Found, e.Expected)
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Policy is a policy that has been checked.
type Policy struct {
	Manifest
	// Robot is the robot that the manifest names.
	Robot *robot.Robot
	// Dir is the folder that it was loaded from.
	Dir string
	// Models has the content of the file of each graph, by the name of the graph, and Declared what it declares. These are
	// the very bytes that were checked.
	Models   map[string][]byte
	Declared map[string]*graph.Model

	joints robot.Map
	held   []held
}

// held is a joint that the policy does not drive.
type held struct {
	joint       int
	positionRad float64
}

// Load reads and checks the policy in dir, which may also be the path of its manifest: the manifest, the checksum of every
// file, and that each model declares the inputs and outputs of the manifest and has all of its weights in its file. The
// error is an *Error.
func Load(dir string) (*Policy, error) {
	if filepath.Base(dir) == ManifestFile {
		dir = filepath.Dir(dir)
	}
	manifestPath := filepath.Join(dir, ManifestFile)
	content, err := read(manifestPath, maxManifestBytes)
	if err != nil {
		return nil, err
	}
	m, err := parse(manifestPath, content)
	if err != nil {
		return nil, err
	}
	p := &Policy{Manifest: *m, Dir: dir, Models: map[string][]byte{}, Declared: map[string]*graph.Model{}}
	if p.Robot, p.joints, err = m.validate(manifestPath); err != nil {
		return nil, err
	}
	for i, joint := range p.Robot.Joints {
		if positionRad, ok := m.OtherJointsRad[joint.Name]; ok {
			p.held = append(p.held, held{i, positionRad})
		}
	}
	contents := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(m.Files)) {
		path := filepath.Join(dir, name)
		content, err := read(path, maxFileBytes)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(content)
		if found := hex.EncodeToString(sum[:]); found != m.Files[name] {
			return nil, &Error{File: path, Field: "sha256", Found: found, Expected: m.Files[name]}
		}
		contents[name] = content
	}
	for _, name := range slices.Sorted(maps.Keys(m.Graphs)) {
		g := m.Graphs[name]
		p.Models[name] = contents[g.File]
		if p.Declared[name], err = check(filepath.Join(dir, g.File), contents[g.File], g); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// check compares what a model declares with what the manifest says of it.
func check(path string, content []byte, g Graph) (*graph.Model, error) {
	model, err := graph.Parse(content)
	if err != nil {
		return nil, &Error{File: path, Found: "no ONNX model (" + err.Error() + ")", Expected: "an ONNX model", Err: err}
	}
	if len(model.External) > 0 {
		return nil, &Error{File: path, Field: "external data", Found: fmt.Sprintf("weights in %q", model.External), Expected: "all weights in the file itself"}
	}
	for _, side := range []struct {
		field    string
		found    []graph.Tensor
		expected []Tensor
	}{{"model inputs", model.Inputs, g.Inputs}, {"model outputs", model.Outputs, g.Outputs}} {
		if !slices.EqualFunc(side.found, side.expected, declares) {
			return nil, &Error{File: path, Field: side.field, Found: fmt.Sprint(side.found), Expected: describe(side.expected)}
		}
	}
	return model, nil
}

// declares says whether a model's declaration takes a tensor of the manifest: dimensions may be left open.
func declares(found graph.Tensor, expected Tensor) bool {
	return found.Name == expected.Name && found.Type == "float" &&
		slices.EqualFunc(found.Shape, expected.Shape, func(d, want int64) bool { return d < 0 || d == want })
}

func describe(tensors []Tensor) string {
	all := make([]graph.Tensor, len(tensors))
	for i, t := range tensors {
		all[i] = graph.Tensor{Name: t.Name, Type: "float", Shape: t.Shape}
	}
	return fmt.Sprint(all)
}

// JointNames returns the names of the policy's joints, in its order. A policy that was made by hand and names no joints has
// the robot's.
func (p *Policy) JointNames() []string {
	if len(p.JointOrder) > 0 {
		return p.JointOrder
	}
	return p.Robot.JointNames()
}

// Joints returns where the policy's joints are: Joints()[i] is the index among the robot's joints of the policy's joint i.
func (p *Policy) Joints() robot.Map {
	if p.joints != nil {
		return p.joints
	}
	order, names := p.JointNames(), p.Robot.JointNames()
	joints := make(robot.Map, len(order))
	for i, name := range order {
		joints[i] = slices.Index(names, name)
	}
	return joints
}

// Targets turns an action into joint positions in rad. dst has one value for each of the robot's joints, in the robot's
// order, action one for each of the policy's: clipped, scaled and added to the default pose. Joints that are not the
// policy's get the position where they are held. The joints' limits are not applied. It does not allocate.
func (p *Policy) Targets(dst []float64, action []float32) {
	for i, a := range action {
		value := float64(a)
		if p.ActionClip > 0 {
			value = min(max(value, -p.ActionClip), p.ActionClip)
		}
		at := i
		if p.joints != nil {
			at = p.joints[i]
		}
		dst[at] = p.DefaultPoseRad[i] + p.ActionScale*value
	}
	for _, h := range p.held {
		dst[h.joint] = h.positionRad
	}
}

// read returns the content of a regular file of at most maxBytes, and more than none.
func read(path string, maxBytes int64) ([]byte, error) {
	const expected = "a readable file"
	info, err := os.Stat(path) // Before opening it: opening a pipe would block.
	if err != nil {
		found := "an error (" + err.Error() + ")"
		if errors.Is(err, fs.ErrNotExist) {
			found = "no such file"
		}
		return nil, &Error{File: path, Found: found, Expected: expected, Err: err}
	}
	if !info.Mode().IsRegular() {
		return nil, &Error{File: path, Found: "something that is not a regular file", Expected: expected}
	}
	if info.Size() > maxBytes { // Before reading what would fill the memory.
		return nil, &Error{File: path, Found: fmt.Sprintf("%d bytes", info.Size()), Expected: fmt.Sprintf("1 to %d bytes", maxBytes)}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &Error{File: path, Found: "an error (" + err.Error() + ")", Expected: expected, Err: err}
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, &Error{File: path, Found: "an error (" + err.Error() + ")", Expected: expected, Err: err}
	}
	if n := int64(len(content)); n == 0 || n > maxBytes {
		found := "an empty file"
		if n > 0 {
			found = fmt.Sprintf("more than %d bytes", maxBytes)
		}
		return nil, &Error{File: path, Found: found, Expected: fmt.Sprintf("1 to %d bytes", maxBytes)}
	}
	return content, nil
}
