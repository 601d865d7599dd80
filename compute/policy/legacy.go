package policy

import "fmt"

// The kinds of observation that schema versions 1 and 2 name.
const (
	kindJoystick = "go1_joystick"
	kindParkour  = "parkour"
)

// manifestV1 is a manifest of schema version 1.
type manifestV1 struct {
	SchemaVersion  int               `json:"schema_version"`
	Name           string            `json:"name"`
	Robot          string            `json:"robot"`
	Files          map[string]string `json:"files"`
	JointOrder     []string          `json:"joint_order"`
	DefaultPoseRad []float64         `json:"default_pose_rad"`
	ActionScale    float64           `json:"action_scale"`
	Observation    observationV1     `json:"observation"`
	ControlRateHz  float64           `json:"control_rate_hz"`
	Input          Tensor            `json:"input"`
	Output         Tensor            `json:"output"`
	Provenance     Provenance        `json:"provenance"`
}

// manifestV2 is a manifest of schema version 2.
type manifestV2 struct {
	SchemaVersion  int                `json:"schema_version"`
	Name           string             `json:"name"`
	Robot          string             `json:"robot"`
	Files          map[string]string  `json:"files"`
	JointOrder     []string           `json:"joint_order"`
	HeldJointsRad  map[string]float64 `json:"other_joints_rad,omitempty"`
	DefaultPoseRad []float64          `json:"default_pose_rad"`
	ActionScale    float64            `json:"action_scale"`
	ActionClip     float64            `json:"action_clip,omitempty"`
	Observation    observationV1      `json:"observation"`
	ControlRateHz  float64            `json:"control_rate_hz"`
	Graphs         map[string]Graph   `json:"graphs"`
	Provenance     Provenance         `json:"provenance"`
}

// observationV1 names a layout.
type observationV1 struct {
	Kind    string `json:"kind"`
	Version int    `json:"version"`
	Size    int    `json:"size"`
}

// upgrade returns v as version 2.
func (v *manifestV1) upgrade() *manifestV2 {
	return &manifestV2{
		SchemaVersion: v.SchemaVersion, Name: v.Name, Robot: v.Robot, Files: v.Files, JointOrder: v.JointOrder,
		DefaultPoseRad: v.DefaultPoseRad, ActionScale: v.ActionScale, Observation: v.Observation, ControlRateHz: v.ControlRateHz,
		Graphs: map[string]Graph{
			PolicyGraph: {File: ModelFile, Inputs: []Tensor{v.Input}, Outputs: []Tensor{v.Output}},
		},
		Provenance: v.Provenance,
	}
}

// upgrade returns v in the form of the newest schema. SchemaVersion stays. The gains, which are the
// robot's, are still empty.
func (v *manifestV2) upgrade(file string) (*Manifest, error) {
	wrong := func(field, found, expected string) error {
		return &Error{File: file, Field: field, Found: found, Expected: expected}
	}
	o, ranges, ok := KindObservation(v.Observation.Kind)
	switch {
	case !ok:
		return nil, wrong("observation.kind", quote(v.Observation.Kind), fmt.Sprintf("%q or %q", kindJoystick, kindParkour))
	case v.Observation.Version != 1:
		return nil, wrong("observation.version", fmt.Sprint(v.Observation.Version), "1")
	case !(v.ActionScale > 0):
		return nil, wrong("action_scale", fmt.Sprint(v.ActionScale), "a positive number")
	case !(v.ActionClip >= 0):
		return nil, wrong("action_clip", fmt.Sprint(v.ActionClip), "a positive number, or 0 to disable clipping")
	}
	o.Size = v.Observation.Size
	m := &Manifest{
		SchemaVersion: v.SchemaVersion, Name: v.Name, Robot: v.Robot, Files: v.Files, JointOrder: v.JointOrder,
		HeldJointsRad: v.HeldJointsRad, DefaultPoseRad: v.DefaultPoseRad, Action: Action{Scale: Numbers{v.ActionScale}},
		Observation: o, CommandRanges: ranges, ControlRateHz: v.ControlRateHz, Graphs: v.Graphs, Provenance: v.Provenance,
	}
	if v.ActionClip > 0 {
		m.Action.Clip = Symmetric(v.ActionClip)
	}
	return m, nil
}

// KindObservation returns the observation that manifests of schema versions 1 and 2 name by a kind, "go1_joystick" or
// "parkour", and the commands of its policies.
func KindObservation(kind string) (Observation, CommandRanges, bool) {
	switch kind {
	case kindJoystick:
		return joystick(), CommandRanges{&Range{-1.5, 1.5}, &Range{-0.8, 0.8}, &Range{-6.28, 6.28}}, true
	case kindParkour:
		return parkour(), CommandRanges{VyMps: &Range{}, YawRateRadPerSec: &Range{}}, true
	}
	return Observation{}, CommandRanges{}, false
}

// joystick returns the observation of the Go1 joystick policy of MuJoCo Playground.
func joystick() Observation {
	return Observation{Size: 48, Terms: []Term{
		{Term: TermBaseLinVel}, {Term: TermBaseAngVel}, {Term: TermProjectedGravity}, {Term: TermJointPosRel}, {Term: TermJointVel},
		{Term: TermLastAction}, {Term: TermVelocityCommand},
	}}
}

// parkour returns the observation of the Go2's parkour policy: 53 values that the history has, and 170 that it has not.
func parkour() Observation {
	clip, never := Symmetric(100), new(int) // Scaled values are clipped to ±100 too.
	return Observation{
		Size: 753, Provider: kindParkour,
		Terms: []Term{
			{Term: TermBaseAngVel, Clip: Symmetric(400), Scale: Numbers{0.25}},
			{Term: TermRollPitch, Clip: clip},
			{Term: TermConstant, Size: 1},
			{Term: TermSlot, Name: "goal_yaw", Size: 2, ZeroInHistory: true},
			{Term: TermConstant, Size: 2},
			{Term: TermVelocityCommand, Axes: []string{AxisVx}, Deadband: 0.2, Clip: clip},
			{Term: TermSlot, Name: "ground", Size: 2},
			{Term: TermJointPosRel, Clip: clip},
			{Term: TermJointVel, Clip: Symmetric(2000), Scale: Numbers{0.05}},
			{Term: TermLastAction, Clip: clip},
			{Term: TermFootContact, Feet: []string{"FL", "FR", "RL", "RR"}, Offset: Numbers{-0.5}},
			{Term: TermSlot, Name: "scan", Size: 132, HistorySteps: never},
			{Term: TermSlot, Name: "privileged_state", Size: 9, HistorySteps: never},
			{Term: TermSlot, Name: "privileged_parameter", Size: 29, HistorySteps: never},
		},
		History: &History{Steps: 10, Layout: ByStep, Order: OldestFirst, Start: StartRepeat, Push: PushAfter},
	}
}
