// Package parkour builds the observation of the Unitree Go2 parkour policy, version 1. All values are clipped to ±100:
//
//	index  values  meaning
//	    0      53  proprioception, see below
//	   53     132  scan: how deep the ground lies around the robot, see [Scanner]; zeros for a student
//	  185       9  privileged states: the estimator's guess from the proprioception
//	  194      29  privileged parameters, which no robot knows: zeros
//	  223     530  history: the last 10 proprioceptions, the oldest first
//
// Proprioception, joints in the policy's order:
//
//	index  values  meaning
//	    0       3  angular velocity, base frame (rad/s), x 0.25
//	    3       2  roll, pitch (rad)
//	    5       1  zero
//	    6       2  angle from the base's heading to the next goal and to the one after (rad)
//	    8       2  zeros
//	   10       1  command forward (m/s); zero where it is at most 0.2 of either sign
//	   11       2  (1, 0) on terrain, (0, 1) on flat ground
//	   13      12  joint positions less the policy's default pose (rad)
//	   25      12  joint velocities (rad/s), x 0.05
//	   37      12  last action, as the policy gave it, before it is clipped
//	   49       4  feet FL FR RL RR: 0.5 on the ground, -0.5 off it
//
// In the history the two angles are zero. A step is pushed into it after it was used; the first step finds 10 copies of
// itself. Scans and images are taken in each fifth step, at 10 Hz.
//
// A teacher is given the scan and the angles. A student, a policy with a graph "depth_encoder", sees them in a depth image:
// the encoder's first 32 outputs take the place of the scan's latent in the policy, its last two times 1.5 are the angles.
// The encoder itself gets the proprioception with zeros for angles.
//
// Its arithmetic is its own; models it knows by an interface only. It must never import inference engines, transport,
// servers or clients.
package parkour

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

const (
	// Kind and Version are what a manifest calls this observation.
	Kind    = "parkour"
	Version = 1
	// PropSize, ScanSize, ExplicitSize, LatentSize and HistorySteps are the parts, Size is the whole.
	PropSize     = 53
	ScanSize     = scanColumns * scanRows
	ExplicitSize = 9
	LatentSize   = 29
	HistorySteps = 10
	Size         = historyAt + HistorySteps*PropSize
	// FlatAt is the value that says that the ground is flat.
	FlatAt = commandAt + 2

	scanAt     = PropSize
	explicitAt = scanAt + ScanSize
	latentAt   = explicitAt + ExplicitSize
	historyAt  = latentAt + LatentSize

	joints    = 12
	yawAt     = 6 // The two angles.
	commandAt = 10
	jointsAt  = 13
	feetAt    = jointsAt + 3*joints

	angularVelocityScale = 0.25
	velocityScale        = 0.05
	yawScale             = 1.5
	stillMps             = 0.2
	valueLimit           = 100
	scanSteps            = 5

	// DefaultMaxImageAge is how old a depth image may be.
	DefaultMaxImageAge = 300 * time.Millisecond
)

// The graphs of a policy of this kind, beside policy.PolicyGraph. Only a student has the second.
const (
	EstimatorGraph    = "estimator"
	DepthEncoderGraph = "depth_encoder"
)

// Graph is a graph of a policy, ready to run; *onnx.Session is one.
type Graph interface {
	// InputOf and OutputOf return the memory of an input or output, nil where there is none of that name.
	InputOf(name string) []float32
	OutputOf(name string) []float32
	Run() error
	// Reset makes it forget.
	Reset()
}

// Guidance is what a teacher is told that no sensor of the robot says.
type Guidance struct {
	// DeltaYawRad and DeltaNextYawRad are the angles from the base's heading to the next goal and to the one after it.
	DeltaYawRad, DeltaNextYawRad float64
	// Flat says that the ground is flat.
	Flat bool
}

// Option configures a Builder.
type Option func(*Builder)

// WithScanner sets what measures the ground. A teacher needs one, a student has no use for it.
func WithScanner(s Scanner) Option { return func(b *Builder) { b.scanner = s } }

// WithGuide sets who knows the way; it is asked in each step. The default is straight ahead, on terrain. Of what it says
// a student takes Flat alone.
func WithGuide(guide func(*message.Observation, message.NavigationCommand) Guidance) Option {
	return func(b *Builder) { b.guide = guide }
}

// WithMaxImageAge sets how old a depth image may be; the default is DefaultMaxImageAge.
func WithMaxImageAge(d time.Duration) Option { return func(b *Builder) { b.maxImageAge = d } }

// Builder builds observations for one policy. It remembers the steps before, so it belongs to one loop.
type Builder struct {
	defaultPoseRad []float64
	joints         robot.Map // Where the policy's joints are among the robot's.
	feet           [4]int    // Where FL, FR, RL, RR are among the robot's feet.
	robotJoints    int
	robotFeet      int
	scanner        Scanner
	guide          func(*message.Observation, message.NavigationCommand) Guidance
	maxImageAge    time.Duration

	estimator   Graph
	estimatorIn []float32
	explicit    []float32
	encoder     Graph // Nil for a teacher.
	encoderIn   []float32
	image       []float32
	encoded     []float32
	latent      []float32 // The policy's input for the encoder's latent.
	preparation *preparation

	sessionID uint64
	started   bool
	untilScan int // Steps until the next scan or image; 0 is now.
	every     int
	prop      [PropSize]float32
	scan      [ScanSize]float32
	yaw       [2]float32
	history   [HistorySteps * PropSize]float32
}

// New returns a builder for p, which runs what prepares its observation: graphs are all graphs of p by their names. The
// error is a *policy.Error where p wants another observation or does not have what this one takes.
func New(p *policy.Policy, graphs map[string]Graph, opts ...Option) (*Builder, error) {
	wrong := func(field, found, expected string) error {
		return &policy.Error{File: p.Dir, Field: field, Found: found, Expected: expected}
	}
	if want := (policy.Observation{Kind: Kind, Version: Version, Size: Size}); p.Observation != want {
		return nil, wrong("observation", fmt.Sprintf("%+v", p.Observation), fmt.Sprintf("%+v", want))
	}
	if len(p.DefaultPoseRad) != joints {
		return nil, wrong("default_pose_rad", fmt.Sprintf("%d values", len(p.DefaultPoseRad)), fmt.Sprint(joints))
	}
	b := &Builder{
		defaultPoseRad: p.DefaultPoseRad, joints: p.Joints(), robotJoints: len(p.Robot.Joints), robotFeet: len(p.Robot.Feet),
		maxImageAge: DefaultMaxImageAge, every: scanSteps,
	}
	for _, opt := range opts {
		opt(b)
	}
	for i, foot := range []string{"FL", "FR", "RL", "RR"} {
		if b.feet[i] = slices.Index(p.Robot.Feet, foot); b.feet[i] < 0 {
			return nil, wrong("robot", fmt.Sprintf("%s, with feet %q", p.Robot.Name, p.Robot.Feet), fmt.Sprintf("a robot with a foot %s", foot))
		}
	}
	_, student := p.Graphs[DepthEncoderGraph]
	for _, m := range []struct {
		graph, name string
		output      bool
		size        int
		memory      *[]float32
		needed      bool
	}{
		{EstimatorGraph, "prop", false, PropSize, &b.estimatorIn, true},
		{EstimatorGraph, "priv_explicit", true, ExplicitSize, &b.explicit, true},
		{DepthEncoderGraph, "depth", false, depthHeight * depthWidth, &b.image, student},
		{DepthEncoderGraph, "prop", false, PropSize, &b.encoderIn, student},
		{DepthEncoderGraph, "latent_and_yaw", true, scanLatent + 2, &b.encoded, student},
		{policy.PolicyGraph, "scan_latent", false, scanLatent, &b.latent, student},
	} {
		if !m.needed {
			continue
		}
		g, ok := graphs[m.graph]
		if !ok {
			return nil, wrong("graphs", "no "+m.graph, "one that runs")
		}
		side, memory := "input", g.InputOf
		if m.output {
			side, memory = "output", g.OutputOf
		}
		if *m.memory = memory(m.name); len(*m.memory) != m.size {
			return nil, wrong("graphs."+m.graph, fmt.Sprintf("an %s %s of %d values", side, m.name, len(*m.memory)), fmt.Sprint(m.size))
		}
	}
	b.estimator = graphs[EstimatorGraph]
	if student {
		b.encoder, b.preparation = graphs[DepthEncoderGraph], newPreparation()
		if b.every = max(p.Graphs[DepthEncoderGraph].EverySteps, 1); len(p.Graphs[DepthEncoderGraph].States) == 0 {
			return nil, wrong("graphs."+DepthEncoderGraph+".states", "none", "its memory, which would be lost")
		}
	} else if b.scanner == nil {
		return nil, wrong("graphs", "no "+DepthEncoderGraph, "one, or a scanner of the ground for this teacher")
	}
	return b, nil
}

// CheckCommand returns a *message.FieldError for a command that is not finite or that the policy cannot follow: it walks
// forward or backward, to where its guide or its eyes lead.
func CheckCommand(c message.NavigationCommand) error {
	if err := c.Validate(); err != nil {
		return err
	}
	for _, f := range []struct {
		field string
		value float64
	}{{"vy_mps", c.VyMps}, {"yaw_rate_rad_per_sec", c.YawRateRadPerSec}} {
		if f.value != 0 {
			return &message.FieldError{Field: f.field, Found: fmt.Sprint(f.value), Expected: "0: this policy is told a speed, and turns by what it sees or by its guide"}
		}
	}
	return nil
}

// Build writes the observation of Size values into dst, and for a student the latent into the policy's input. It does not
// allocate. Where it fails the step does not count: nothing of it is in the history. An observation of a new session begins
// anew.
func (b *Builder) Build(dst []float32, o *message.Observation, command message.NavigationCommand, lastAction []float32) error {
	switch {
	case len(dst) != Size:
		return fmt.Errorf("parkour: room for %d values, expected %d", len(dst), Size)
	case len(o.PositionRad) != b.robotJoints:
		return fmt.Errorf("parkour: %d joint positions, expected %d", len(o.PositionRad), b.robotJoints)
	case len(o.VelocityRadPerSec) != b.robotJoints:
		return fmt.Errorf("parkour: %d joint velocities, expected %d", len(o.VelocityRadPerSec), b.robotJoints)
	case len(o.Contacts) != b.robotFeet:
		return fmt.Errorf("parkour: %d contacts, expected %d", len(o.Contacts), b.robotFeet)
	case len(lastAction) != joints:
		return fmt.Errorf("parkour: a last action of %d values, expected %d", len(lastAction), joints)
	}
	if b.guide == nil {
		if err := CheckCommand(command); err != nil {
			return fmt.Errorf("parkour: command: %w", err)
		}
	}
	if !b.started || o.SessionID != b.sessionID {
		b.Reset()
		b.sessionID = o.SessionID
	}
	var guidance Guidance
	if b.guide != nil {
		guidance = b.guide(o, command)
	}
	b.buildProp(o, command, guidance, lastAction)
	if b.untilScan == 0 {
		if err := b.look(o); err != nil {
			return err
		}
		b.untilScan = b.every
	}

	prop := dst[:PropSize]
	copy(prop, b.prop[:])
	if b.encoder != nil {
		copy(prop[yawAt:], b.yaw[:])
	} else {
		prop[yawAt], prop[yawAt+1] = clip(guidance.DeltaYawRad), clip(guidance.DeltaNextYawRad)
	}
	copy(b.estimatorIn, prop)
	if err := b.estimator.Run(); err != nil {
		return fmt.Errorf("parkour: estimator: %w", err)
	}
	for i, v := range b.scan {
		dst[scanAt+i] = clip(float64(v))
	}
	for i, v := range b.explicit {
		dst[explicitAt+i] = clip(float64(v))
	}
	clear(dst[latentAt:historyAt])
	if !b.started {
		for i := range HistorySteps {
			copy(b.history[i*PropSize:], b.prop[:])
		}
		b.started = true
	}
	copy(dst[historyAt:], b.history[:])

	copy(b.history[:], b.history[PropSize:])
	copy(b.history[(HistorySteps-1)*PropSize:], b.prop[:])
	b.untilScan--
	return nil
}

// Reset makes the builder and its models forget all steps before.
func (b *Builder) Reset() {
	b.started, b.untilScan = false, 0
	b.yaw = [2]float32{}
	if b.encoder != nil {
		b.encoder.Reset()
	}
}

// buildProp writes the proprioception into b.prop, with zeros for the two angles.
func (b *Builder) buildProp(o *message.Observation, command message.NavigationCommand, guidance Guidance, lastAction []float32) {
	p := b.prop[:]
	clear(p)
	for i, v := range o.IMU.AngularVelocityRadPerSec {
		p[i] = clip(angularVelocityScale * v)
	}
	roll, pitch, _ := RollPitchYaw(o.IMU.Orientation)
	p[3], p[4] = clip(roll), clip(pitch)
	if math.Abs(command.VxMps) > stillMps {
		p[commandAt] = clip(command.VxMps)
	}
	if guidance.Flat {
		p[FlatAt] = 1
	} else {
		p[commandAt+1] = 1
	}
	for i, at := range b.joints {
		p[jointsAt+i] = clip(o.PositionRad[at] - b.defaultPoseRad[i])
		p[jointsAt+joints+i] = clip(velocityScale * o.VelocityRadPerSec[at])
		p[jointsAt+2*joints+i] = clip(float64(lastAction[i]))
	}
	for i, at := range b.feet {
		p[feetAt+i] = -0.5
		if o.Contacts[at] {
			p[feetAt+i] = 0.5
		}
	}
}

// look takes the scan, or has the student look at its image.
func (b *Builder) look(o *message.Observation) error {
	if b.encoder == nil {
		if err := b.scanner.Scan(b.scan[:], o); err != nil {
			return fmt.Errorf("parkour: scan: %w", err)
		}
		return nil
	}
	if !o.Depth.Present() {
		return errors.New("parkour: found no depth image, expected a robot or simulator with a depth camera")
	}
	if age := time.Duration(o.MonotonicNs - o.Depth.MonotonicNs); age > b.maxImageAge {
		return fmt.Errorf("parkour: depth image %d was %v old when the joints were read, expected at most %v", o.Depth.Sequence, age, b.maxImageAge)
	}
	if err := b.preparation.prepare(b.image, &o.Depth); err != nil {
		return err
	}
	copy(b.encoderIn, b.prop[:])
	if err := b.encoder.Run(); err != nil {
		return fmt.Errorf("parkour: depth encoder: %w", err)
	}
	copy(b.latent, b.encoded[:scanLatent])
	for i := range b.yaw {
		b.yaw[i] = clip(yawScale * float64(b.encoded[scanLatent+i]))
	}
	return nil
}

// RollPitchYaw returns the angles in rad of a base of orientation q (w, x, y, z): it was turned by yaw, then by pitch,
// then by roll, each about the axis that the one before left. The quaternion need not be quite of unit length, but not 0.
func RollPitchYaw(q [4]float64) (roll, pitch, yaw float64) {
	w, x, y, z := q[0], q[1], q[2], q[3]
	n := w*w + x*x + y*y + z*z
	roll = math.Atan2(2*(w*x+y*z), w*w-x*x-y*y+z*z)
	pitch = math.Asin(min(max(2*(w*y-z*x)/n, -1), 1))
	yaw = math.Atan2(2*(w*z+x*y), w*w+x*x-y*y-z*z)
	return roll, pitch, yaw
}

func clip(v float64) float32 { return float32(min(max(v, -valueLimit), valueLimit)) }
