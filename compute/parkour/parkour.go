// Package parkour builds the observations of the Go2 parkour policy. The manifest has the layout; package observation builds
// everything that follows from it. This package provides the slots:
//
//	slot                  values  meaning
//	goal_yaw                   2  yaw angles from the base's heading to the next goal and to the one after it (rad)
//	ground                     2  (1, 0) on terrain, (0, 1) on flat ground
//	scan                     132  depth of the ground around the robot, see [Scanner]; zeros for a student
//	privileged_state           9  privileged states, which the graph "estimator" estimates from the proprioception
//	privileged_parameter      29  privileged parameters: zeros, because no robot can measure them
//
// The proprioception is everything before the scan. Scans and depth images are taken in every 5th step, at 10 Hz.
//
// A teacher gets the scan from a [Scanner] and the yaw angles from [Guidance]. A student, a policy with the graph
// "depth_encoder", gets both from a depth image: the first 32 outputs of the encoder are the policy's input "scan_latent",
// the last two times 1.5 are the yaw angles. The proprioception in the encoder's own input has zeros for the yaw angles.
// docs/parkour.md specifies the graphs and the depth image.
//
// It must never import inference engines, transport, servers or clients: it reaches models through an interface.
package parkour

import (
	"fmt"
	"time"

	"krabby.dev/krabby/compute/observation"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/message"
)

const (
	// Provider is the name of this package in a manifest.
	Provider = "parkour"

	// ProprioceptionSize is the number of values of one step's proprioception.
	ProprioceptionSize = 53
	// ScanSize is the number of points of a scan.
	ScanSize = scanColumns * scanRows
	// PrivilegedStateSize is the number of privileged states.
	PrivilegedStateSize = 9

	// DefaultMaxImageAge is the default limit of the age of a depth image.
	DefaultMaxImageAge = 300 * time.Millisecond
)

// The slots.
const (
	goalYaw         = "goal_yaw"
	ground          = "ground"
	scan            = "scan"
	privilegedState = "privileged_state"
	goals           = 2
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
	yawScale            = 1.5 // Of the depth encoder's output.
	valueLimit          = 100
	teacherScanInterval = 5 // In steps. A student's is in its manifest.
)

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

// Option configures a builder.
type Option func(*provider)

// WithScanner sets the scanner of the ground. A teacher requires one; a student ignores it.
func WithScanner(s Scanner) Option { return func(v *provider) { v.scanner = s } }

// WithGuidance sets the source of guidance, which Build calls in each step. The default is straight ahead, on terrain. A
// student uses only Flat.
func WithGuidance(guidance func(*message.Observation, message.NavigationCommand) Guidance) Option {
	return func(v *provider) { v.guidance = guidance }
}

// WithMaxImageAge sets the largest age of a depth image that Build accepts. The default is DefaultMaxImageAge.
func WithMaxImageAge(d time.Duration) Option { return func(v *provider) { v.maxImageAge = d } }

// provider provides the slots of one policy.
type provider struct {
	goalYaw, ground, scanSlot, privileged policy.Span // In a frame.

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

	scanInterval int
	stepsToScan  int
	scan         [ScanSize]float32
	yawRad       [goals]float32 // Of a student.
}

// New returns a builder for p. models are the graphs of p, by name; Build runs those that prepare the observation. The error
// is a *policy.Error if p has other slots, or if p, its robot or its graphs lack something that the observation needs.
func New(p *policy.Policy, models map[string]Model, opts ...Option) (*observation.Builder, error) {
	v := &provider{maxImageAge: DefaultMaxImageAge, scanInterval: teacherScanInterval}
	for _, opt := range opts {
		opt(v)
	}
	if err := v.findSlots(p); err != nil {
		return nil, err
	}
	if err := v.bindEstimator(p, models); err != nil {
		return nil, err
	}
	var err error
	if encoder, student := p.Graphs[DepthEncoderGraph]; student {
		err = v.bindEncoder(p, models, encoder)
	} else if v.scanner == nil {
		err = &policy.Error{File: p.Dir, Field: "graphs", Err: fmt.Errorf("%q not found: a teacher needs a scanner of the ground", DepthEncoderGraph)}
	}
	if err != nil {
		return nil, err
	}
	return observation.New(p, observation.WithProvider(v))
}

// findSlots finds the slots in a frame.
func (v *provider) findSlots(p *policy.Policy) error {
	if p.Observation.Provider != Provider {
		return &policy.Error{File: p.Dir, Field: "observation.provider", Found: fmt.Sprintf("%q", p.Observation.Provider), Expected: fmt.Sprintf("%q", Provider)}
	}
	places := map[string]policy.Span{}
	for i, span := range p.ObservationLayout().Terms {
		if name := p.Observation.Terms[i].Name; name != "" {
			places[name] = span
		}
	}
	for _, slot := range []struct {
		name string
		size int
		to   *policy.Span
	}{
		{goalYaw, goals, &v.goalYaw}, {ground, 2, &v.ground}, {scan, ScanSize, &v.scanSlot}, {privilegedState, PrivilegedStateSize, &v.privileged},
	} {
		if *slot.to = places[slot.name]; slot.to.Size != slot.size {
			return &policy.Error{
				File: p.Dir, Field: "observation.terms", Found: fmt.Sprintf("a slot %q of %d values", slot.name, slot.to.Size), Expected: fmt.Sprint(slot.size),
			}
		}
	}
	if v.scanSlot.At != ProprioceptionSize {
		return &policy.Error{
			File: p.Dir, Field: "observation.terms", Found: fmt.Sprintf("%d values before the slot %q", v.scanSlot.At, scan), Expected: fmt.Sprint(ProprioceptionSize),
		}
	}
	return nil
}

func (v *provider) bindEstimator(p *policy.Policy, models map[string]Model) error {
	v.estimator = models[EstimatorGraph]
	return bind(p, models,
		buffer{EstimatorGraph, input, "prop", ProprioceptionSize, &v.estimatorProprioception},
		buffer{EstimatorGraph, output, "priv_explicit", PrivilegedStateSize, &v.privilegedStates},
	)
}

func (v *provider) bindEncoder(p *policy.Policy, models map[string]Model, encoder policy.Graph) error {
	if len(encoder.States) == 0 {
		return &policy.Error{File: p.Dir, Field: "graphs." + DepthEncoderGraph + ".states", Found: "0 states", Expected: "1 or more: the encoder is recurrent"}
	}
	v.encoder, v.preprocessor = models[DepthEncoderGraph], newDepthPreprocessor()
	v.scanInterval = max(encoder.EverySteps, 1)
	return bind(p, models,
		buffer{DepthEncoderGraph, input, "depth", depthHeight * depthWidth, &v.encoderDepth},
		buffer{DepthEncoderGraph, input, "prop", ProprioceptionSize, &v.encoderProprioception},
		buffer{DepthEncoderGraph, output, "latent_and_yaw", scanLatentSize + 2, &v.encoderOutput},
		buffer{policy.PolicyGraph, input, "scan_latent", scanLatentSize, &v.scanLatent},
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

// checkCommand returns a *message.FieldError if a value of c is not finite, or if c commands more than a forward or backward
// velocity.
func checkCommand(c message.NavigationCommand) error {
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

// Provide writes the slots, and a student's latent to the policy's input "scan_latent". It implements observation.Provider.
//
// It fails if the command has a direction and there is no guidance, if the scanner or a model fails, and if a student has no
// depth image or one that is too small or too old.
func (v *provider) Provide(frame []float32, o *message.Observation, command message.NavigationCommand) error {
	if err := v.provide(frame, o, command); err != nil {
		return fmt.Errorf("parkour: %w", err)
	}
	return nil
}

func (v *provider) provide(frame []float32, o *message.Observation, command message.NavigationCommand) error {
	var guidance Guidance
	if v.guidance != nil {
		guidance = v.guidance(o, command)
	} else if err := checkCommand(command); err != nil {
		return fmt.Errorf("command: %w", err)
	}
	kind := 0
	if guidance.Flat {
		kind = 1
	}
	frame[v.ground.At+kind] = 1
	proprioception := frame[:v.scanSlot.At]
	if v.stepsToScan == 0 {
		if err := v.updateScan(proprioception, o); err != nil {
			return err
		}
		v.stepsToScan = v.scanInterval
	}
	yaw := frame[v.goalYaw.At : v.goalYaw.At+goals]
	if v.encoder != nil {
		copy(yaw, v.yawRad[:])
	} else {
		yaw[0], yaw[1] = clip(guidance.DeltaYawRad), clip(guidance.DeltaNextYawRad)
	}
	copy(v.estimatorProprioception, proprioception)
	if err := v.estimator.Run(); err != nil {
		return fmt.Errorf("estimator: %w", err)
	}
	for i, value := range v.scan {
		frame[v.scanSlot.At+i] = clip(float64(value))
	}
	for i, value := range v.privilegedStates {
		frame[v.privileged.At+i] = clip(float64(value))
	}
	v.stepsToScan--
	return nil
}

// Reset clears the state of the depth encoder. The next step takes a scan. It implements observation.Provider.
func (v *provider) Reset() {
	v.stepsToScan = 0
	v.yawRad = [goals]float32{}
	if v.encoder != nil {
		v.encoder.Reset()
	}
}

// updateScan takes a teacher's scan, or runs a student's depth encoder. The yaw angles of the proprioception are 0.
func (v *provider) updateScan(proprioception []float32, o *message.Observation) error {
	if v.encoder == nil {
		if err := v.scanner.Scan(v.scan[:], o); err != nil {
			return fmt.Errorf("scan: %w", err)
		}
		return nil
	}
	if !o.Depth.Present() {
		return errNoDepthImage
	}
	if age := time.Duration(o.MonotonicNs - o.Depth.MonotonicNs); age > v.maxImageAge {
		return fmt.Errorf("depth image %d: found an age of %v when the joints were read, expected at most %v", o.Depth.Sequence, age, v.maxImageAge)
	}
	if err := v.preprocessor.process(v.encoderDepth, &o.Depth); err != nil {
		return err
	}
	copy(v.encoderProprioception, proprioception)
	if err := v.encoder.Run(); err != nil {
		return fmt.Errorf("depth encoder: %w", err)
	}
	copy(v.scanLatent, v.encoderOutput[:scanLatentSize])
	for i := range v.yawRad {
		v.yawRad[i] = clip(yawScale * float64(v.encoderOutput[scanLatentSize+i]))
	}
	return nil
}

func clip(v float64) float32 { return float32(min(max(v, -valueLimit), valueLimit)) }
