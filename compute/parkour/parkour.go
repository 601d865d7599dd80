// Package parkour builds the observations of the Go2 parkour policy: kind "parkour", version 1. All values are clipped to
// ±100:
//
//	index  values  meaning
//	    0      53  proprioception, see below
//	   53     132  scan: depth of the ground around the robot, see [Scanner]; zeros for a student
//	  185       9  privileged states, which the graph "estimator" estimates from the proprioception
//	  194      29  privileged parameters: zeros, because no robot can measure them
//	  223     530  history: the last 10 proprioceptions, the oldest first
//
// Proprioception, with values over joints in the policy's order:
//
//	index  values  meaning
//	    0       3  angular velocity, base frame (rad/s), x 0.25
//	    3       2  roll, pitch (rad)
//	    5       1  zero
//	    6       2  yaw angles from the base's heading to the next goal and to the one after it (rad)
//	    8       2  zeros
//	   10       1  command forward (m/s); zero up to 0.2 m/s in either direction
//	   11       2  (1, 0) on terrain, (0, 1) on flat ground
//	   13      12  joint positions minus the policy's default pose (rad)
//	   25      12  joint velocities (rad/s), x 0.05
//	   37      12  last action, as the policy output it, before clipping
//	   49       4  contacts of the feet FL FR RL RR: 0.5 on the ground, -0.5 in the air
//
// In the history, the two yaw angles are zero. A step enters the history after its observation is built; in the first step
// the history is 10 copies of that step. Scans and depth images are taken in every 5th step, at 10 Hz.
//
// A teacher gets the scan from a [Scanner] and the yaw angles from [Guidance]. A student, a policy with the graph
// "depth_encoder", gets both from a depth image: the first 32 outputs of the encoder are the policy's input "scan_latent",
// the last two times 1.5 are the yaw angles. The proprioception in the encoder's own input has zeros for the yaw angles.
// docs/policies.md specifies the graphs and the depth image.
//
// It must never import inference engines, transport, servers or clients: it reaches models through an interface.
package parkour

import (
	"fmt"
	"math"
	"slices"
	"time"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/layout"
	"krabby.dev/krabby/hal/message"
)

const (
	// Kind is the kind of this observation in a manifest.
	Kind = "parkour"
	// Version is the version of this observation in a manifest.
	Version = 1
	// Size is the number of values of an observation.
	Size = historyAt + HistorySteps*ProprioceptionSize

	// ProprioceptionSize is the number of values of one step's proprioception.
	ProprioceptionSize = 53
	// ScanSize is the number of points of a scan.
	ScanSize = scanColumns * scanRows
	// PrivilegedStateSize is the number of privileged states.
	PrivilegedStateSize = 9
	// PrivilegedParameterSize is the number of privileged parameters.
	PrivilegedParameterSize = 29
	// HistorySteps is the number of steps in the history.
	HistorySteps = 10
	// FlatIndex is the index in an observation of the flag for flat ground: 1 on flat ground, 0 on terrain.
	FlatIndex = commandAt + 2

	// DefaultMaxImageAge is the default limit of the age of a depth image.
	DefaultMaxImageAge = 300 * time.Millisecond
)

// Graphs of a policy of this kind, beside policy.PolicyGraph.
const (
	// EstimatorGraph estimates the privileged states: input "prop" [1 53], output "priv_explicit" [1 9].
	EstimatorGraph = "estimator"
	// DepthEncoderGraph is a student's: inputs "depth" [1 58 87] and "prop" [1 53], output "latent_and_yaw" [1 34], and a
	// recurrent state.
	DepthEncoderGraph = "depth_encoder"
)

const (
	joints = 12

	// Indices in an observation.
	scanAt                = ProprioceptionSize
	privilegedStateAt     = scanAt + ScanSize
	privilegedParameterAt = privilegedStateAt + PrivilegedStateSize
	historyAt             = privilegedParameterAt + PrivilegedParameterSize

	// Indices in a proprioception.
	yawAt     = 6
	commandAt = 10
	jointsAt  = 13
	feetAt    = jointsAt + 3*joints

	angularVelocityScale = 0.25
	velocityScale        = 0.05
	yawScale             = 1.5 // Of the depth encoder's output.
	minCommandMps        = 0.2 // A command up to it is 0.
	valueLimit           = 100
	teacherScanInterval  = 5 // In steps. A student's is in its manifest.
)

// feet are the feet of the observation, in its order.
var feet = [...]string{"FL", "FR", "RL", "RR"}

// Model runs one graph of a policy. *onnx.Session implements it.
type Model interface {
	// InputOf returns the memory of the input of that name, in C order, or nil if there is none.
	InputOf(name string) []float32
	// OutputOf returns the memory of the output of that name, in C order, or nil if there is none.
	OutputOf(name string) []float32
	// Run computes the outputs from the inputs.
	Run() error
	// Reset sets the states of the model to zero.
	Reset()
}

// Guidance is where to go: information for a teacher that no sensor of the robot measures.
type Guidance struct {
	// DeltaYawRad is the yaw angle from the base's heading to the next goal.
	DeltaYawRad float64
	// DeltaNextYawRad is the yaw angle from the base's heading to the goal after the next one.
	DeltaNextYawRad float64
	// Flat is true on flat ground, false on terrain.
	Flat bool
}

// Option configures a Builder.
type Option func(*Builder)

// WithScanner sets the scanner of the ground. A teacher requires one; a student ignores it.
func WithScanner(s Scanner) Option { return func(b *Builder) { b.scanner = s } }

// WithGuidance sets the source of guidance, which Build calls in each step. The default is straight ahead, on terrain. A
// student uses only Flat.
func WithGuidance(guidance func(*message.Observation, message.NavigationCommand) Guidance) Option {
	return func(b *Builder) { b.guidance = guidance }
}

// WithMaxImageAge sets the largest age of a depth image that Build accepts. The default is DefaultMaxImageAge.
func WithMaxImageAge(d time.Duration) Option { return func(b *Builder) { b.maxImageAge = d } }

// Builder builds the observations of one policy. It has the history of the steps before, so it is for one control loop and
// one goroutine at a time.
type Builder struct {
	layout      layout.Layout
	feet        [len(feet)]int // Indices among the robot's feet.
	robotFeet   int
	scanner     Scanner
	guidance    func(*message.Observation, message.NavigationCommand) Guidance
	maxImageAge time.Duration

	estimator               Model
	estimatorProprioception []float32
	privilegedStates        []float32

	encoder               Model // Nil for a teacher, as all of the encoder is.
	encoderDepth          []float32
	encoderProprioception []float32
	encoderOutput         []float32
	scanLatent            []float32 // Input of the policy.
	preprocessor          *depthPreprocessor

	sessionID      uint64
	started        bool // The session has a step.
	scanInterval   int
	stepsToScan    int
	proprioception [ProprioceptionSize]float32 // Of the current step, with zeros for the yaw angles.
	scan           [ScanSize]float32
	yawRad         [2]float32 // Of a student.
	history        [HistorySteps * ProprioceptionSize]float32
}

// New returns a builder for p. models are the graphs of p, by name; Build runs those that prepare the observation. The error
// is a *policy.Error if p has another observation, or if p, its robot or its graphs lack something that the observation
// needs.
func New(p *policy.Policy, models map[string]Model, opts ...Option) (*Builder, error) {
	l, err := layout.New(p, policy.Observation{Kind: Kind, Version: Version, Size: Size}, joints)
	if err != nil {
		return nil, err
	}
	b := &Builder{layout: l, robotFeet: len(p.Robot.Feet), maxImageAge: DefaultMaxImageAge, scanInterval: teacherScanInterval}
	for _, opt := range opts {
		opt(b)
	}
	for i, foot := range feet {
		if b.feet[i] = slices.Index(p.Robot.Feet, foot); b.feet[i] < 0 {
			return nil, &policy.Error{File: p.Dir, Field: "robot", Err: fmt.Errorf("foot %q of %s not found in %q", foot, p.Robot.Name, p.Robot.Feet)}
		}
	}
	if err := b.bindEstimator(p, models); err != nil {
		return nil, err
	}
	if encoder, student := p.Graphs[DepthEncoderGraph]; student {
		err = b.bindEncoder(p, models, encoder)
	} else if b.scanner == nil {
		err = &policy.Error{File: p.Dir, Field: "graphs", Err: fmt.Errorf("%q not found: a teacher needs a scanner of the ground", DepthEncoderGraph)}
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

func (b *Builder) bindEstimator(p *policy.Policy, models map[string]Model) error {
	b.estimator = models[EstimatorGraph]
	return bind(p, models,
		buffer{EstimatorGraph, input, "prop", ProprioceptionSize, &b.estimatorProprioception},
		buffer{EstimatorGraph, output, "priv_explicit", PrivilegedStateSize, &b.privilegedStates},
	)
}

func (b *Builder) bindEncoder(p *policy.Policy, models map[string]Model, encoder policy.Graph) error {
	if len(encoder.States) == 0 {
		return &policy.Error{File: p.Dir, Field: "graphs." + DepthEncoderGraph + ".states", Found: "0 states", Expected: "1 or more: the encoder is recurrent"}
	}
	b.encoder, b.preprocessor = models[DepthEncoderGraph], newDepthPreprocessor()
	b.scanInterval = max(encoder.EverySteps, 1)
	return bind(p, models,
		buffer{DepthEncoderGraph, input, "depth", depthHeight * depthWidth, &b.encoderDepth},
		buffer{DepthEncoderGraph, input, "prop", ProprioceptionSize, &b.encoderProprioception},
		buffer{DepthEncoderGraph, output, "latent_and_yaw", scanLatentSize + 2, &b.encoderOutput},
		buffer{policy.PolicyGraph, input, "scan_latent", scanLatentSize, &b.scanLatent},
	)
}

// buffer is the memory of an input or output of a model.
type buffer struct {
	graph     string
	direction direction
	name      string
	size      int
	memory    *[]float32
}

type direction string

const (
	input  direction = "input"
	output direction = "output"
)

// bind sets the memory of each buffer. The error is a *policy.Error for the first that is missing or has another size.
func bind(p *policy.Policy, models map[string]Model, buffers ...buffer) error {
	for _, buf := range buffers {
		model, ok := models[buf.graph]
		if !ok {
			return &policy.Error{File: p.Dir, Field: "graphs", Err: fmt.Errorf("%q not found among the running graphs", buf.graph)}
		}
		find := model.InputOf
		if buf.direction == output {
			find = model.OutputOf
		}
		if *buf.memory = find(buf.name); len(*buf.memory) != buf.size {
			return &policy.Error{
				File:     p.Dir,
				Field:    "graphs." + buf.graph,
				Found:    fmt.Sprintf("an %s %s of %d values", buf.direction, buf.name, len(*buf.memory)),
				Expected: fmt.Sprint(buf.size),
			}
		}
	}
	return nil
}

// CheckCommand returns a *message.FieldError if a value of c is not finite, or if c commands more than a forward or backward
// velocity: the direction comes from the guidance or from the depth image.
func CheckCommand(c message.NavigationCommand) error {
	if err := c.Validate(); err != nil {
		return err
	}
	for _, f := range []struct {
		field string
		value float64
	}{{"vy_mps", c.VyMps}, {"yaw_rate_rad_per_sec", c.YawRateRadPerSec}} {
		if f.value != 0 {
			return &message.FieldError{Field: f.field, Found: fmt.Sprint(f.value), Expected: "0: the direction comes from guidance or from the depth image"}
		}
	}
	return nil
}

// Build writes an observation to dst, which has Size values, and a student's latent to the policy's input "scan_latent".
// lastAction is the last output of the policy, in its order. An observation with a new session ID starts a new history.
//
// Build fails if a slice has the wrong length, if CheckCommand rejects command and there is no guidance, if the scanner or a
// model fails, and if a student has no depth image or one that is too small or too old. A step that fails does not enter the
// history. Build does not allocate unless it fails.
func (b *Builder) Build(dst []float32, o *message.Observation, command message.NavigationCommand, lastAction []float32) error {
	if err := b.build(dst, o, command, lastAction); err != nil {
		return fmt.Errorf("parkour: %w", err)
	}
	return nil
}

func (b *Builder) build(dst []float32, o *message.Observation, command message.NavigationCommand, lastAction []float32) error {
	if err := b.layout.CheckLengths(dst, o, lastAction); err != nil {
		return err
	}
	if len(o.Contacts) != b.robotFeet {
		return fmt.Errorf("contacts: found %d values, expected %d", len(o.Contacts), b.robotFeet)
	}
	var guidance Guidance
	if b.guidance != nil {
		guidance = b.guidance(o, command)
	} else if err := CheckCommand(command); err != nil {
		return fmt.Errorf("command: %w", err)
	}
	if !b.started || o.SessionID != b.sessionID {
		b.Reset()
		b.sessionID = o.SessionID
	}
	b.updateProprioception(o, command, guidance, lastAction)
	if b.stepsToScan == 0 {
		if err := b.updateScan(o); err != nil {
			return err
		}
		b.stepsToScan = b.scanInterval
	}

	proprioception := dst[:ProprioceptionSize]
	copy(proprioception, b.proprioception[:])
	if b.encoder != nil {
		copy(proprioception[yawAt:], b.yawRad[:])
	} else {
		proprioception[yawAt], proprioception[yawAt+1] = clip(guidance.DeltaYawRad), clip(guidance.DeltaNextYawRad)
	}
	copy(b.estimatorProprioception, proprioception)
	if err := b.estimator.Run(); err != nil {
		return fmt.Errorf("estimator: %w", err)
	}
	for i, v := range b.scan {
		dst[scanAt+i] = clip(float64(v))
	}
	for i, v := range b.privilegedStates {
		dst[privilegedStateAt+i] = clip(float64(v))
	}
	clear(dst[privilegedParameterAt:historyAt])
	b.shiftHistory(dst[historyAt:])
	b.stepsToScan--
	return nil
}

// shiftHistory writes the history to dst. Then it removes the oldest step and appends the current one.
func (b *Builder) shiftHistory(dst []float32) {
	if !b.started {
		for i := range HistorySteps {
			copy(b.history[i*ProprioceptionSize:], b.proprioception[:])
		}
		b.started = true
	}
	copy(dst, b.history[:])
	copy(b.history[:], b.history[ProprioceptionSize:])
	copy(b.history[(HistorySteps-1)*ProprioceptionSize:], b.proprioception[:])
}

// Reset clears the history and the state of the depth encoder. The next step is the first.
func (b *Builder) Reset() {
	b.started, b.stepsToScan = false, 0
	b.yawRad = [2]float32{}
	if b.encoder != nil {
		b.encoder.Reset()
	}
}

// updateProprioception sets b.proprioception, with zeros for the two yaw angles.
func (b *Builder) updateProprioception(o *message.Observation, command message.NavigationCommand, guidance Guidance, lastAction []float32) {
	p := b.proprioception[:]
	clear(p)
	for i, v := range o.IMU.AngularVelocityRadPerSec {
		p[i] = clip(angularVelocityScale * v)
	}
	roll, pitch, _ := RollPitchYaw(o.IMU.Orientation)
	p[3], p[4] = clip(roll), clip(pitch)
	if math.Abs(command.VxMps) > minCommandMps {
		p[commandAt] = clip(command.VxMps)
	}
	if guidance.Flat {
		p[FlatIndex] = 1
	} else {
		p[commandAt+1] = 1
	}
	for i, joint := range b.layout.Joints {
		p[jointsAt+i] = clip(o.PositionRad[joint] - b.layout.DefaultPoseRad[i])
		p[jointsAt+joints+i] = clip(velocityScale * o.VelocityRadPerSec[joint])
		p[jointsAt+2*joints+i] = clip(float64(lastAction[i]))
	}
	for i, foot := range b.feet {
		p[feetAt+i] = -0.5
		if o.Contacts[foot] {
			p[feetAt+i] = 0.5
		}
	}
}

// updateScan takes a teacher's scan, or runs a student's depth encoder.
func (b *Builder) updateScan(o *message.Observation) error {
	if b.encoder == nil {
		if err := b.scanner.Scan(b.scan[:], o); err != nil {
			return fmt.Errorf("scan: %w", err)
		}
		return nil
	}
	if !o.Depth.Present() {
		return errNoDepthImage
	}
	if age := time.Duration(o.MonotonicNs - o.Depth.MonotonicNs); age > b.maxImageAge {
		return fmt.Errorf("depth image %d: found an age of %v when the joints were read, expected at most %v", o.Depth.Sequence, age, b.maxImageAge)
	}
	if err := b.preprocessor.process(b.encoderDepth, &o.Depth); err != nil {
		return err
	}
	copy(b.encoderProprioception, b.proprioception[:])
	if err := b.encoder.Run(); err != nil {
		return fmt.Errorf("depth encoder: %w", err)
	}
	copy(b.scanLatent, b.encoderOutput[:scanLatentSize])
	for i := range b.yawRad {
		b.yawRad[i] = clip(yawScale * float64(b.encoderOutput[scanLatentSize+i]))
	}
	return nil
}

// RollPitchYaw returns the intrinsic Z-Y'-X” angles in rad of a base with the orientation q (w, x, y, z): yaw about z, then
// pitch about the new y, then roll about the new x. q may have any norm but 0.
func RollPitchYaw(q [4]float64) (roll, pitch, yaw float64) {
	w, x, y, z := q[0], q[1], q[2], q[3]
	n := w*w + x*x + y*y + z*z
	roll = math.Atan2(2*(w*x+y*z), w*w-x*x-y*y+z*z)
	pitch = math.Asin(min(max(2*(w*y-z*x)/n, -1), 1))
	yaw = math.Atan2(2*(w*z+x*y), w*w+x*x-y*y-z*z)
	return roll, pitch, yaw
}

func clip(v float64) float32 { return float32(min(max(v, -valueLimit), valueLimit)) }
