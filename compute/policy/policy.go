// Package policy loads and verifies trained policies. A policy is a directory with one or more ONNX models and a manifest,
// manifest.json: it names the robot that the policy drives, defines the units and the order of inputs and outputs, and has
// the SHA-256 of each file. docs/manifest.md specifies the format. Loading a policy executes nothing in the directory.
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

	"krabby.dev/krabby/compute/policy/graph"
	"krabby.dev/krabby/hal/robot"
)

const (
	// ManifestFile is the name of the manifest in a policy directory.
	ManifestFile = "manifest.json"
	// ModelFile is the name of the file of PolicyGraph.
	ModelFile = "policy.onnx"

	maxManifestBytes = 1 << 20
	maxFileBytes     = 256 << 20
)

// Error reports a file of a policy that is wrong, missing or unreadable. Its text is one line.
type Error struct {
	// File is the path of the file.
	File string
	// Field is the path of a field of the manifest, for example graphs.policy.inputs[0].shape, or a property of a model. It
	// is empty where the error concerns the whole file.
	Field string
	// Found and Expected describe a wrong value.
	Found    string
	Expected string
	// Err is set in place of Found and Expected where something is missing or unreadable, for example to fs.ErrNotExist.
	Err error
}

// Error returns "policy: FILE: FIELD: found FOUND, expected EXPECTED", or ERR in place of found and expected.
func (e *Error) Error() string {
	place := e.File
	if e.Field != "" {
		place += ": " + e.Field
	}
	if e.Err != nil {
		return fmt.Sprintf("policy: %s: %v", place, e.Err)
	}
	return fmt.Sprintf("policy: %s: found %s, expected %s", place, e.Found, e.Expected)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Policy is a verified policy.
type Policy struct {
	Manifest
	// Robot is the robot that the manifest names.
	Robot *robot.Robot
	// Dir is the directory that the policy was loaded from.
	Dir string
	// Models maps the name of each graph to the content of its ONNX file: the bytes that were verified.
	Models map[string][]byte
	// Metadata maps the name of each graph to what its ONNX file declares.
	Metadata map[string]*graph.Metadata

	joints robot.JointIndices
}

// Load reads the policy in dir and verifies it: all fields of the manifest, the SHA-256 of every file, and that each model
// declares the inputs and outputs of the manifest, contains all of its weights and states
// nothing else about the policy in its metadata. dir may also be the path of the
// manifest. The robot is one of robots, which may be nil, or a built-in one. The error is an *Error.
func Load(dir string, robots ...*robot.Robot) (*Policy, error) {
	if filepath.Base(dir) == ManifestFile {
		dir = filepath.Dir(dir)
	}
	manifestPath := filepath.Join(dir, ManifestFile)
	content, err := readFile(manifestPath, maxManifestBytes)
	if err != nil {
		return nil, withoutManifest(dir, err)
	}
	m, err := parse(manifestPath, content)
	if err != nil {
		return nil, err
	}
	p := &Policy{Manifest: *m, Dir: dir}
	if p.Robot, p.joints, err = (validator{m, manifestPath, robots}).validate(); err != nil {
		return nil, err
	}
	if m.SchemaVersion < 3 {
		p.Gains = p.robotGains()
	}
	if err := p.loadModels(); err != nil {
		return nil, err
	}
	return p, nil
}

// loadModels reads and verifies all files of the manifest.
func (p *Policy) loadModels() error {
	contents := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(p.Files)) {
		path := filepath.Join(p.Dir, name)
		content, err := readFile(path, maxFileBytes)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		if found := hex.EncodeToString(sum[:]); found != p.Files[name] {
			return &Error{File: path, Field: "sha256", Found: found, Expected: p.Files[name]}
		}
		contents[name] = content
	}
	p.Models, p.Metadata = map[string][]byte{}, map[string]*graph.Metadata{}
	for _, name := range slices.Sorted(maps.Keys(p.Graphs)) {
		g := p.Graphs[name]
		metadata, err := parseModel(filepath.Join(p.Dir, g.File), contents[g.File], g)
		if err != nil {
			return err
		}
		p.Models[name], p.Metadata[name] = contents[g.File], metadata
	}
	return p.checkProperties(filepath.Join(p.Dir, ModelFile), p.Metadata[PolicyGraph].Properties)
}

// parseModel returns the metadata of an ONNX file after comparing it with the manifest.
func parseModel(path string, content []byte, g Graph) (*graph.Metadata, error) {
	metadata, err := graph.Parse(content)
	if err != nil {
		return nil, &Error{File: path, Err: fmt.Errorf("invalid ONNX model: %w", err)}
	}
	if len(metadata.ExternalData) > 0 {
		return nil, &Error{File: path, Field: "external data", Found: fmt.Sprintf("weights in %q", metadata.ExternalData), Expected: "all weights in the model file; policy-import joins them"}
	}
	for _, side := range []struct {
		field    string
		found    []graph.Tensor
		expected []Tensor
	}{{"model inputs", metadata.Inputs, g.Inputs}, {"model outputs", metadata.Outputs, g.Outputs}} {
		if !slices.EqualFunc(side.found, side.expected, accepts) {
			return nil, &Error{File: path, Field: side.field, Found: fmt.Sprint(side.found), Expected: fmt.Sprint(declarations(side.expected))}
		}
	}
	return metadata, nil
}

// accepts reports whether the input or output that a model declares is the tensor of the manifest.
func accepts(declared graph.Tensor, t Tensor) bool {
	return declared.Name == t.Name && declared.Type == graph.Float32 && t.Fits(declared.Shape)
}

// declarations returns tensors of a manifest as a model declares them.
func declarations(tensors []Tensor) []graph.Tensor {
	all := make([]graph.Tensor, len(tensors))
	for i, t := range tensors {
		all[i] = graph.Tensor{Name: t.Name, Type: graph.Float32, Shape: t.Shape}
	}
	return all
}

// JointNames returns the names of the policy's joints, in the order of its actions. It returns the robot's joints where
// JointOrder is empty, which Load rejects.
func (p *Policy) JointNames() []string {
	if len(p.JointOrder) > 0 {
		return p.JointOrder
	}
	return p.Robot.JointNames()
}

// JointMap returns the index among the robot's joints of each joint of the policy: JointMap()[i] is the robot's index of
// the joint that action i moves.
func (p *Policy) JointMap() robot.JointIndices {
	if p.joints != nil {
		return p.joints
	}
	order, names := p.JointNames(), p.Robot.JointNames()
	joints := make(robot.JointIndices, len(order))
	for i, name := range order {
		joints[i] = slices.Index(names, name)
	}
	return joints
}

// readFile returns the content of a regular file of 1 to maxBytes bytes.
func readFile(path string, maxBytes int64) ([]byte, error) {
	info, err := os.Stat(path) // Before os.Open, which would block on a pipe.
	if err != nil {
		return nil, readError(path, err)
	}
	if !info.Mode().IsRegular() {
		found := "a file of mode " + info.Mode().String()
		if info.IsDir() {
			found = "a directory"
		}
		return nil, &Error{File: path, Found: found, Expected: "a regular file"}
	}
	size, content := info.Size(), []byte(nil)
	if size <= maxBytes { // A larger file does not get into memory.
		f, err := os.Open(path)
		if err != nil {
			return nil, readError(path, err)
		}
		defer f.Close()
		if content, err = io.ReadAll(io.LimitReader(f, maxBytes+1)); err != nil {
			return nil, readError(path, err)
		}
		size = int64(len(content))
	}
	if size < 1 || size > maxBytes {
		return nil, &Error{File: path, Found: fmt.Sprintf("%d bytes", size), Expected: fmt.Sprintf("1 to %d bytes", maxBytes)}
	}
	return content, nil
}

// readError returns an *Error for err, which an operation on the file at path returned.
// withoutManifest returns err, which reading the manifest gave, with what to do about an export that is no policy yet.
func withoutManifest(dir string, err error) error {
	if info, statErr := os.Stat(dir); statErr == nil && info.Mode().IsRegular() {
		return &Error{File: dir, Found: "a file", Expected: "a policy directory, which policy-import makes"}
	}
	exports, globErr := filepath.Glob(filepath.Join(dir, "*.onnx"))
	if missing, ok := errors.AsType[*Error](err); ok && len(exports) > 0 && globErr == nil && errors.Is(err, fs.ErrNotExist) {
		return &Error{File: missing.File, Err: fmt.Errorf("%w; policy-import makes a policy of %s", missing.Err, filepath.Base(exports[0]))}
	}
	return err
}

func readError(path string, err error) error {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathError.Err // Error.File has the path.
	}
	return &Error{File: path, Err: err}
}
