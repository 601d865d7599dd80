package mujoco

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"krabby.dev/krabby/hal/backend"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// sites are the names of the site of the inertial measurement unit in models, with the axes of the base.
var sites = []string{"imu", "imu_in_pelvis"}

// IMUSites returns the names of the site of the inertial measurement unit that models may have.
func IMUSites() []string { return slices.Clone(sites) }

// IsIMUSite reports whether a site of that name is the inertial measurement unit.
func IsIMUSite(name string) bool { return slices.Contains(sites, name) }

// sameRad is the tolerance for the limits of a joint against the model's, in rad. Robots share joint names, so limits identify the model.
const sameRad = 1e-3

// seededRad bounds the initial deviation of each joint from the default pose, in rad.
const seededRad = 0.05

// Option configures a Backend.
type Option func(*Backend)

// WithTerrain sets the ground; the default is Flat.
func WithTerrain(t Terrain) Option { return func(b *Backend) { b.terrain = t } }

// WithCamera adds a depth camera; the default is none.
func WithCamera(c Camera) Option { return func(b *Backend) { b.camera = newCamera(c) } }

// WithSeed moves each joint by up to 0.05 rad from the default pose at the start; 0, the default, moves none.
func WithSeed(seed uint64) Option { return func(b *Backend) { b.seed = seed } }

// WithClock sets the clock that stamps images, the server's; the default is the machine's monotonic clock.
func WithClock(c clock.Source) Option { return func(b *Backend) { b.clock = c } }

// Backend is a simulated robot; it implements backend.Backend. State, Push and Version belong to the goroutine of Read.
type Backend struct {
	robot     *robot.Robot
	library   string // Path of the MuJoCo library.
	modelFile string
	terrain   Terrain
	camera    *camera // Nil for none.
	seed      uint64
	clock     clock.Source
	failure   atomic.Pointer[string] // Why the simulation failed; nil while it works.

	model    *C.mjModel
	data     *C.mjData
	version  string
	stepNs   int64 // Of the physics.
	periodNs int64
	ns       int64 // Simulated by steps so far.
	dueNs    int64 // Simulated at the end of the last Read, which a step may not have reached yet.

	body     int     // The base.
	position []int   // Of each joint in qpos.
	velocity []int   // Of each joint in qvel.
	actuator []int   // Of each joint.
	foot     []C.int // Of each geom, -1 for none. A foot is the geom of its name, and those of its name with _1, _2 and so on.
	touching []C.uchar

	push      [3]float64 // N, world frame.
	pushUntil int64      // In simulated ns.
	startZM   float64    // Height of the base at the start, with no seed.
}

// New returns an unconfigured backend for r. library and model are the paths of libmujoco.so and of the robot's MJCF file; period
// is the simulated time of each Read.
func New(r *robot.Robot, library, model string, period time.Duration, opts ...Option) (*Backend, error) {
	b := &Backend{
		robot:     r,
		library:   library,
		modelFile: model,
		terrain:   Flat(),
		clock:     clock.New(),
		periodNs:  int64(period),
		touching:  make([]C.uchar, len(r.Feet)),
	}
	for _, opt := range opts {
		opt(b)
	}
	if period <= 0 {
		return nil, fmt.Errorf("mujoco: found a period of %v, expected more than 0", period)
	}
	if b.camera != nil {
		if err := b.camera.validate(); err != nil {
			return nil, fmt.Errorf("mujoco: %w", err)
		}
	}
	return b, nil
}

// Configure opens the library, compiles the model and puts the robot at its start; see Reset. The error names what of the robot is
// missing in the model.
func (b *Backend) Configure(context.Context) error {
	lib, err := Open(b.library)
	if err != nil {
		return err
	}
	b.version = lib.Version()
	if err := b.load(b.modelFile); err != nil {
		return fmt.Errorf("mujoco: model %s: %w", b.modelFile, err)
	}
	if err := b.resolve(); err != nil {
		return fmt.Errorf("mujoco: model %s: %w", b.modelFile, err)
	}
	b.stepNs = int64(math.Round(float64(b.model.opt.timestep) * 1e9))
	b.configureActuators()
	b.findStartHeight()
	return b.Reset()
}

// Activate puts the robot at its start; see Reset.
func (b *Backend) Activate(context.Context) error { return b.Reset() }

// Deactivate damps the joints: their proportional gains become 0, their derivative gains the robot's.
func (b *Backend) Deactivate(ctx context.Context) error {
	damped := message.NewJointCommand(b.robot)
	clear(damped.Kp)
	return b.Write(ctx, damped)
}

// Health returns OK, or Failed after a state that is not finite.
func (b *Backend) Health() backend.Health {
	if reason := b.failure.Load(); reason != nil {
		return backend.Health{Condition: backend.Failed, Reason: *reason}
	}
	return backend.Health{Condition: backend.OK}
}

// Version returns the version of the library, after Configure.
func (b *Backend) Version() string { return b.version }

// load compiles the model with the terrain.
func (b *Backend) load(model string) error {
	var allocated []unsafe.Pointer
	defer func() {
		for _, p := range allocated {
			C.free(p)
		}
	}()
	text := func(s string) *C.char {
		p := C.CString(s)
		allocated = append(allocated, unsafe.Pointer(p))
		return p
	}
	// One element more, so that both arrays have an address.
	feet := make([]*C.char, len(b.robot.Feet)+1)
	for i, name := range b.robot.Feet {
		feet[i] = text(name)
	}
	boxes := make([]C.krabby_box, len(b.terrain.boxes)+1)
	for i, box := range b.terrain.boxes {
		for axis := range 3 {
			boxes[i].center[axis] = C.double(box.centerM[axis])
			boxes[i].half[axis] = C.double(box.halfM[axis])
		}
		boxes[i].quat[0] = C.double(math.Cos(box.pitchRad / 2))
		boxes[i].quat[2] = C.double(math.Sin(box.pitchRad / 2))
	}
	var pinner runtime.Pinner
	defer pinner.Unpin()
	pinner.Pin(&feet[0])
	path := text(model)
	imu := make([]*C.char, len(sites))
	for i, name := range sites {
		imu[i] = text(name)
	}
	pinner.Pin(&imu[0])
	if err := call(func(reason *C.char, size C.int) bool {
		b.model = C.krabby_load(path, &imu[0], C.int(len(imu)), &feet[0], C.int(len(b.robot.Feet)), &boxes[0], C.int(len(b.terrain.boxes)), reason, size)
		return b.model != nil
	}); err != nil {
		return err
	}
	b.data = C.krabby_data(b.model)
	return nil
}

// resolve finds the robot's joints, actuators and feet in the model.
func (b *Backend) resolve() error {
	m := b.model
	if m.nsensordata != C.KRABBY_SENSORS {
		return fmt.Errorf("found %d sensor values, expected %d", int(m.nsensordata), int(C.KRABBY_SENSORS))
	}
	if n, joints := int(m.njnt), len(b.robot.Joints); n != joints+1 || int(m.nu) != joints || int(m.nq) != joints+7 {
		return fmt.Errorf("found %d joints and %d actuators, expected a free joint and %d of each, as %s has", n, int(m.nu), joints, b.robot.Name)
	}
	for i, id := range ints(m.jnt_bodyid, int(m.njnt)) {
		if ints(m.jnt_type, int(m.njnt))[i] == C.mjJNT_FREE {
			b.body = int(id)
		}
	}
	for _, joint := range b.robot.ModelJoints() {
		id := b.id(C.mjOBJ_JOINT, joint.Name)
		if id < 0 {
			return fmt.Errorf("joint %q of %s not found", joint.Name, b.robot.Name)
		}
		actuator := -1
		for i := range int(m.nu) {
			if int(ints(m.actuator_trnid, 2*int(m.nu))[2*i]) == id {
				actuator = i
			}
		}
		if actuator < 0 {
			return fmt.Errorf("actuator of joint %q not found", joint.Name)
		}
		if limits := numbers(m.jnt_range, 2*int(m.njnt))[2*id : 2*id+2]; math.Abs(limits[0]-joint.LowerRad) > sameRad ||
			math.Abs(limits[1]-joint.UpperRad) > sameRad {
			return fmt.Errorf("found joint %q with a range of %v to %v rad, expected %v to %v, as %s has", joint.Name, limits[0], limits[1],
				joint.LowerRad, joint.UpperRad, b.robot.Name)
		}
		b.position = append(b.position, int(ints(m.jnt_qposadr, int(m.njnt))[id]))
		b.velocity = append(b.velocity, int(ints(m.jnt_dofadr, int(m.njnt))[id]))
		b.actuator = append(b.actuator, actuator)
	}
	return b.resolveFeet()
}

// resolveFeet finds the geoms of the feet.
func (b *Backend) resolveFeet() error {
	b.foot = slices.Repeat([]C.int{-1}, int(b.model.ngeom))
	for i, foot := range b.robot.Feet {
		id := b.id(C.mjOBJ_GEOM, foot)
		if id < 0 {
			return fmt.Errorf("geom %q of a foot of %s not found", foot, b.robot.Name)
		}
		b.foot[id] = C.int(i)
		for n := 1; ; n++ {
			id := b.id(C.mjOBJ_GEOM, fmt.Sprintf("%s_%d", foot, n))
			if id < 0 {
				break
			}
			b.foot[id] = C.int(i)
		}
	}
	return nil
}

func (b *Backend) id(kind C.int, name string) int {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	return int(C.krabby_id(b.model, kind, text))
}

// configureActuators makes every actuator a PD loop, whatever its type in the model: kp (target - position) - kd velocity +
// feed-forward, within the joint's effort limit. MuJoCo computes it in each step.
func (b *Backend) configureActuators() {
	m := b.model
	damping := numbers(m.dof_damping, int(m.nv))
	gear := numbers(m.actuator_gear, 6*int(m.nout))
	for i, joint := range b.robot.Joints {
		a := b.actuator[i]
		ints(m.actuator_gaintype, int(m.nu))[a] = C.mjGAIN_FIXED
		ints(m.actuator_biastype, int(m.nu))[a] = C.mjBIAS_AFFINE
		clear(numbers(m.actuator_gainprm, C.mjNGAIN*int(m.nu))[C.mjNGAIN*a : C.mjNGAIN*(a+1)])
		clear(numbers(m.actuator_biasprm, C.mjNBIAS*int(m.nu))[C.mjNBIAS*a : C.mjNBIAS*(a+1)])
		unsafe.Slice(m.actuator_ctrllimited, int(m.nu))[a] = false
		unsafe.Slice(m.actuator_forcelimited, int(m.nu))[a] = true
		// Commands are positions and torques of the joint, whatever the transmission of the model.
		gear[6*ints(m.actuator_outadr, int(m.nu))[a]] = 1
		limit := numbers(m.actuator_forcerange, 2*int(m.nu))[2*a : 2*a+2]
		limit[0], limit[1] = -joint.EffortLimitNm, joint.EffortLimitNm
		// Models have viscous damping in place of kd. Here kd is part of the command; friction stays.
		damping[b.velocity[i]] = 0
	}
}

// findStartHeight computes the height of the base at which the lowest foot touches the floor in the default pose.
func (b *Backend) findStartHeight() {
	C.krabby_reset(b.model, b.data)
	b.setPose(0, nil)
	C.krabby_step(b.model, b.data, 0)
	lowest := math.Inf(1)
	for geom, foot := range b.foot {
		if foot >= 0 {
			lowest = min(lowest, b.bottom(geom))
		}
	}
	if len(b.robot.Feet) > 0 {
		b.startZM = -lowest
	}
}

// bottom returns the height of the lowest point of a geom: of a box, or of a sphere, as which all other types count.
func (b *Backend) bottom(geom int) float64 {
	z := numbers(b.data.geom_xpos, 3*int(b.model.ngeom))[3*geom+2]
	size := numbers(b.model.geom_size, 3*int(b.model.ngeom))[3*geom : 3*geom+3]
	if ints(b.model.geom_type, int(b.model.ngeom))[geom] != C.mjGEOM_BOX {
		return z - size[0]
	}
	vertical := numbers(b.data.geom_xmat, 9*int(b.model.ngeom))[9*geom+6 : 9*geom+9] // Of the axes of the box.
	return z - math.Abs(vertical[0])*size[0] - math.Abs(vertical[1])*size[1] - math.Abs(vertical[2])*size[2]
}

// setPose sets the base upright at a height and the joints to the default pose, plus a random deviation if random is not nil.
func (b *Backend) setPose(zM float64, random *rand.Rand) {
	q := numbers(b.data.qpos, int(b.model.nq))
	clear(q)
	q[2], q[3] = zM, 1
	for i, at := range b.position {
		q[at] = b.robot.DefaultPoseRad[i]
		if random != nil {
			q[at] = b.robot.Joints[i].Clamp(q[at] + seededRad*(2*random.Float64()-1))
		}
	}
}

// Reset puts the robot back to its start, at rest, and ends pushes. The joints hold the default pose until the next Write. The
// simulated time starts from 0 again.
func (b *Backend) Reset() error {
	C.krabby_reset(b.model, b.data)
	b.ns, b.dueNs, b.pushUntil = 0, 0, 0
	b.failure.Store(nil)
	if b.camera != nil {
		b.camera.nextS = 0
	}
	var random *rand.Rand
	if b.seed != 0 {
		random = rand.New(rand.NewPCG(b.seed, 0))
	}
	b.setPose(b.startZM, random)
	hold := message.NewJointCommand(b.robot)
	if err := b.Write(context.Background(), hold); err != nil {
		return err
	}
	return b.step(0)
}

// Close frees the model. Further calls do nothing.
func (b *Backend) Close() error {
	if b.model != nil {
		C.krabby_free(b.model, b.data)
		b.model, b.data = nil, nil
	}
	return nil
}

// Read simulates one period and fills the sensor fields of o. After an error, which reports a state that is not finite, every
// further call fails until Reset.
func (b *Backend) Read(_ context.Context, o *message.Observation) error {
	b.dueNs += b.periodNs
	// A step that would end after the period belongs to the next Read.
	if err := b.step(int((b.dueNs - b.ns) / b.stepNs)); err != nil {
		return err
	}
	o.Resize(len(b.robot.Joints), len(b.robot.Feet))
	q, v := numbers(b.data.qpos, int(b.model.nq)), numbers(b.data.qvel, int(b.model.nv))
	effort := numbers(b.data.actuator_force, int(b.model.nu))
	for i := range b.robot.Joints {
		o.PositionRad[i] = q[b.position[i]]
		o.VelocityRadPerSec[i] = v[b.velocity[i]]
		o.EffortNm[i] = effort[b.actuator[i]]
	}
	sensors := numbers(b.data.sensordata, C.KRABBY_SENSORS)
	copy(o.IMU.AngularVelocityRadPerSec[:], sensors[C.KRABBY_GYRO:])
	copy(o.IMU.LinearAccelerationMps2[:], sensors[C.KRABBY_ACCELERATION:])
	copy(o.IMU.Orientation[:], sensors[C.KRABBY_ORIENTATION:])
	o.BaseVelocityKnown = true
	copy(o.BaseVelocityMps[:], sensors[C.KRABBY_VELOCITY:])
	if len(b.robot.Feet) > 0 {
		C.krabby_contacts(b.model, b.data, &b.foot[0], C.int(len(b.robot.Feet)), &b.touching[0])
	}
	for i, touching := range b.touching {
		o.Contacts[i] = touching != 0
	}
	if b.camera != nil {
		b.camera.update(b, o)
	}
	return nil
}

// step simulates n steps, with the push while it lasts.
func (b *Backend) step(n int) error {
	force := numbers(b.data.xfrc_applied, 6*int(b.model.nbody))[6*b.body : 6*b.body+3]
	var warnings C.int
	for n >= 0 {
		clear(force)
		some := n
		if left := b.pushUntil - b.ns; left > 0 {
			copy(force, b.push[:])
			some = min(n, int((left+b.stepNs-1)/b.stepNs))
		}
		warnings = C.krabby_step(b.model, b.data, C.int(some))
		b.ns += int64(some) * b.stepNs
		if n -= some; n == 0 {
			break
		}
	}
	if warnings > 0 {
		reason := fmt.Sprintf("the state is not finite or huge at %.3f s", float64(b.data.time))
		b.failure.Store(&reason)
		return errors.New("mujoco: " + reason)
	}
	return nil
}

// Write sets the actuators to c until the next Write. It never fails.
func (b *Backend) Write(_ context.Context, c *message.JointCommand) error {
	m := b.model
	gain := numbers(m.actuator_gainprm, C.mjNGAIN*int(m.nu))
	bias := numbers(m.actuator_biasprm, C.mjNBIAS*int(m.nu))
	control := numbers(b.data.ctrl, int(m.nu))
	for i := range b.robot.Joints {
		a := b.actuator[i]
		control[a] = c.TargetRad[i]
		gain[C.mjNGAIN*a] = c.Kp[i]
		feedForward := 0.0
		if len(c.FeedForwardNm) > 0 {
			feedForward = c.FeedForwardNm[i]
		}
		// The affine bias: a constant, a factor of the position and a factor of the velocity.
		bias[C.mjNBIAS*a], bias[C.mjNBIAS*a+1], bias[C.mjNBIAS*a+2] = feedForward, -c.Kp[i], -c.Kd[i]
	}
	return nil
}

// Push applies a force to the base's center of mass for a duration, from the next Read on. forceN is in the world frame, in N. It
// replaces a push in progress.
func (b *Backend) Push(forceN [3]float64, during time.Duration) {
	b.push, b.pushUntil = forceN, b.ns+int64(during)
}

// State is the state of the simulation.
type State struct {
	// Time is the simulated time since the start.
	Time time.Duration
	// PositionM is the position of the base in the world frame, in m.
	PositionM [3]float64
	// HeightM is the height of the base above the ground below it, in m; -1 if there is no ground below.
	HeightM float64
	// VelocityMps is the velocity of the base in the world frame, in m/s.
	VelocityMps [3]float64
	// Physics has the positions and then the velocities of all joints, including the base's free joint, in the model's order. Runs
	// with equal values are in the same state.
	Physics []float64
}

// State returns the state at the end of the last Read.
func (b *Backend) State() State {
	q, v := numbers(b.data.qpos, int(b.model.nq)), numbers(b.data.qvel, int(b.model.nv))
	s := State{Time: time.Duration(b.ns), Physics: append(append([]float64(nil), q...), v...)}
	copy(s.PositionM[:], q)
	copy(s.VelocityMps[:], v)
	down := [3]float64{0, 0, -1}
	s.HeightM = float64(C.krabby_ray(b.model, b.data, (*C.double)(&s.PositionM[0]), (*C.double)(&down[0])))
	return s
}

// basePose returns the position of the base and its rotation matrix to the world frame, in row-major order.
func (b *Backend) basePose() (position [3]float64, rotation [9]float64) {
	copy(position[:], numbers(b.data.xpos, 3*int(b.model.nbody))[3*b.body:])
	copy(rotation[:], numbers(b.data.xmat, 9*int(b.model.nbody))[9*b.body:])
	return position, rotation
}

// numbers and ints return MuJoCo's memory as slices.
func numbers(p *C.mjtNum, n int) []float64 { return unsafe.Slice((*float64)(p), n) }
func ints(p *C.int, n int) []C.int         { return unsafe.Slice(p, n) }
