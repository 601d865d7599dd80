package policy

import "slices"

// SchemaVersion is the newest schema version of a manifest. Load reads version 1 as well: one graph with one input and
// one output, and all joints of the robot.
const SchemaVersion = 2

// PolicyGraph is the name of the graph whose first input is the observation and whose first output is the action.
const PolicyGraph = "policy"

// Manifest describes a policy: its robot, its files and how its inputs and outputs are used. The JSON format is specified
// in docs/policies.md.
type Manifest struct {
	// SchemaVersion is 1 or SchemaVersion.
	SchemaVersion int `json:"schema_version"`
	// Name identifies the policy in reports. It is not empty.
	Name string `json:"name"`
	// Robot is the name of the robot that the policy drives; see robot.ByName.
	Robot string `json:"robot"`
	// Files maps the name of each file in the policy directory to its SHA-256 in lower case hex. ModelFile is required.
	Files map[string]string `json:"files"`
	// JointOrder names the joints that the policy drives, in the order of its actions.
	JointOrder []string `json:"joint_order"`
	// HeldJointsRad maps each joint of the robot that is not in JointOrder to the position at which it is held, in rad.
	HeldJointsRad map[string]float64 `json:"other_joints_rad,omitempty"`
	// DefaultPoseRad is the pose that an action of 0 commands: one position in rad for each joint of JointOrder.
	DefaultPoseRad []float64 `json:"default_pose_rad"`
	// ActionScale converts actions to rad: target = default pose + scale * action.
	ActionScale float64 `json:"action_scale"`
	// ActionClip is the largest absolute value of an action before scaling; 0 disables clipping.
	ActionClip float64 `json:"action_clip,omitempty"`
	// Observation is the layout of the first input of PolicyGraph.
	Observation Observation `json:"observation"`
	// ControlRateHz is the rate at which the policy was trained to act, in Hz.
	ControlRateHz float64 `json:"control_rate_hz"`
	// Graphs maps the name of each graph to its description. PolicyGraph is required, and its file is ModelFile.
	Graphs map[string]Graph `json:"graphs"`
	// Provenance is the origin of the files.
	Provenance Provenance `json:"provenance"`
}

// Observation identifies the layout of an observation. Each kind has its own package, which builds it.
type Observation struct {
	// Kind is the name of the layout, for example "go1_joystick".
	Kind string `json:"kind"`
	// Version is the version of the layout, 1 or more.
	Version int `json:"version"`
	// Size is the number of values.
	Size int `json:"size"`
}

// Graph describes one ONNX model of a policy. All tensors are float32.
type Graph struct {
	// File is the name of the ONNX file in the policy directory.
	File string `json:"file"`
	// Inputs are all inputs of the model, in its order.
	Inputs []Tensor `json:"inputs"`
	// Outputs are all outputs of the model, in its order.
	Outputs []Tensor `json:"outputs"`
	// States are the recurrent states: after each run, the output is copied to the input. The first input and the first
	// output are not states.
	States []State `json:"states,omitempty"`
	// EverySteps is the number of control steps from one run of the model to the next; 0 means 1.
	EverySteps int `json:"every_steps,omitempty"`
}

// State names an input and an output of the same shape.
type State struct {
	Input  string `json:"input"`
	Output string `json:"output"`
}

// Tensor describes an input or output of a model.
type Tensor struct {
	// Name is the name in the model.
	Name string `json:"name"`
	// Shape has the dimensions, all of them 1 or more.
	Shape []int64 `json:"shape"`
}

// Fits reports whether a model input or output with the declared shape accepts a tensor of t's shape. A negative declared
// dimension is open: it accepts any size.
func (t Tensor) Fits(declared []int64) bool {
	return slices.EqualFunc(declared, t.Shape, func(d, size int64) bool { return d < 0 || d == size })
}

// Provenance is the origin of a policy, for people.
type Provenance struct {
	// Source is a package, a repository or a training run. It is not empty.
	Source string `json:"source"`
	// Path is the path of the model in Source.
	Path string `json:"path"`
	// License is the license of the files.
	License string `json:"license"`
}
