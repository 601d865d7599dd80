package policy

import "slices"

// SchemaVersion is the newest schema version of a manifest. Load reads versions 1 and 2 as well, in which the observation is
// named by its kind and the gains are the robot's.
const SchemaVersion = 3

// PolicyGraph is the name of the graph whose first input is the observation and whose first output is the action.
const PolicyGraph = "policy"

// Manifest describes a policy: its robot, its files and how its inputs and outputs are used. The JSON format is specified
// in docs/manifest.md.
type Manifest struct {
	// SchemaVersion is 1 to SchemaVersion.
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
	// DefaultPoseRad is the pose that joint positions are relative to, and from which actions start unless Action has an
	// offset of its own: one position in rad for each joint of JointOrder.
	DefaultPoseRad []float64 `json:"default_pose_rad"`
	// Gains are those that the policy was trained with.
	Gains Gains `json:"gains"`
	// Action converts the policy's output to joint positions.
	Action Action `json:"action"`
	// Observation is the layout of the first input of PolicyGraph.
	Observation Observation `json:"observation"`
	// CommandRanges are the commands that the policy was trained for.
	CommandRanges CommandRanges `json:"command_ranges"`
	// IMU is the frame of the inertial measurement unit that the policy was trained with. Nil is the robot's own.
	IMU *IMU `json:"imu,omitempty"`
	// ControlRateHz is the rate at which the policy was trained to act, in Hz.
	ControlRateHz float64 `json:"control_rate_hz"`
	// Graphs maps the name of each graph to its description. PolicyGraph is required, and its file is ModelFile.
	Graphs map[string]Graph `json:"graphs"`
	// Provenance is the origin of the files.
	Provenance Provenance `json:"provenance"`
}

// Gains are the gains of the joints' PD loops, for the joints of JointOrder. Empty gains are the robot's.
type Gains struct {
	// Kp is the proportional gain, in N·m/rad.
	Kp Numbers `json:"kp"`
	// Kd is the derivative gain, in N·m·s/rad.
	Kd Numbers `json:"kd"`
}

// Action converts the policy's output to joint positions; see ActionProcessor. Numbers and bounds are for the joints of
// JointOrder.
type Action struct {
	// Clip bounds the output before everything else. Empty bounds do not clip.
	Clip Bounds `json:"clip,omitempty"`
	// Scale converts the output to rad.
	Scale Numbers `json:"scale"`
	// OffsetRad is the position that an output of 0 commands. Empty numbers are the default pose.
	OffsetRad Numbers `json:"offset_rad,omitempty"`
	// TargetClipRad bounds the position, in rad. Empty bounds do not clip.
	TargetClipRad Bounds `json:"target_clip_rad,omitempty"`
	// Smoothing is the weight of the new output in the exponential mean with the previous ones; 0 disables smoothing.
	Smoothing float64 `json:"smoothing,omitempty"`
	// DelaySteps is the number of steps by which outputs are delayed.
	DelaySteps int `json:"delay_steps,omitempty"`
}

// CommandRanges are ranges of the navigation command. Nil is any finite value.
type CommandRanges struct {
	// VxMps and VyMps are velocities forward and left, in m/s.
	VxMps *Range `json:"vx_mps,omitempty"`
	VyMps *Range `json:"vy_mps,omitempty"`
	// YawRateRadPerSec is the yaw rate, in rad/s.
	YawRateRadPerSec *Range `json:"yaw_rate_rad_per_sec,omitempty"`
}

// Range is an inclusive range: the lowest and the highest value.
type Range [2]float64

// The orders of quaternions.
const (
	WXYZ = "wxyz"
	XYZW = "xyzw"
)

// IMU is the pose of the training's inertial measurement unit in the robot's, and how it reports its orientation. The terms
// base_lin_vel, base_ang_vel, projected_gravity, roll_pitch and base_quat are those of this unit.
type IMU struct {
	// Orientation is the rotation of the training's unit, as a quaternion in the order of QuaternionOrder. Empty is none.
	Orientation Numbers `json:"orientation,omitempty"`
	// PositionM is the position of the training's unit, in m. Empty is the same.
	PositionM Numbers `json:"position_m,omitempty"`
	// QuaternionOrder is WXYZ or XYZW: the order of Orientation and of the term base_quat.
	QuaternionOrder string `json:"quaternion_order"`
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
