// Package safety is the gate between commands and a robot's joints. It rejects malformed, stale and out-of-range commands,
// limits the speed of each joint's target, and holds, damps and stops the joints when commands, observations or writes fail.
//
// A [Gate] is a state machine. docs/hal.md lists every event in every state.
//
//	state    output at each tick                        transitions
//	idle     none                                       command accepted: active
//	                                                    EStop: stopped
//	active   gains and feed-forward effort of the       command expired: hold
//	         command; its target, approached at the     command expired for DampAfter: damp
//	         slew limit                                 fault or EStop: stopped
//	hold     as the last output                         command accepted: active
//	                                                    command expired for DampAfter: damp
//	                                                    fault or EStop: stopped
//	damp     kp 0, DampKd, the last target, no          command accepted: active
//	         feed-forward effort                        fault or EStop: stopped
//	stopped  as in damp                                 Reset, if no fault is active: damp
//
// Each entry into active starts at the measured position, clamped to the joints' ranges: the output moves on from where the
// joints are, and does not jump to an earlier target.
//
// All times are arguments, in ns of the monotonic clock that stamps observations and commands: the package reads no clock.
// Observe, Offer, Tick and ReportWrite do not allocate. A Gate is not safe for concurrent use. The package must never import
// transport, clocks, servers, backends or inference.
package safety

// RejectReason is the reason for rejecting a command.
type RejectReason string

// The reasons, in the order in which a command is checked.
const (
	// RejectSession: the command belongs to another session, or to none.
	RejectSession RejectReason = "session"
	// RejectShape: a slice does not have one value for each joint. The feed-forward effort may also be empty.
	RejectShape RejectReason = "shape"
	// RejectNotFinite: a target, gain or feed-forward effort is NaN or infinite.
	RejectNotFinite RejectReason = "not_finite"
	// RejectGain: a gain is negative or above its bound.
	RejectGain RejectReason = "gain"
	// RejectJointLimit: a target is outside its joint's range.
	RejectJointLimit RejectReason = "joint_limit"
	// RejectEffortLimit: a feed-forward effort exceeds its joint's limit.
	RejectEffortLimit RejectReason = "effort_limit"
	// RejectFuture: the command's time is later than now.
	RejectFuture RejectReason = "future"
	// RejectStale: the command is older than MaxCommandAge.
	RejectStale RejectReason = "stale"
	// RejectExpired: the command's own expiry has passed.
	RejectExpired RejectReason = "expired"
	// RejectStopped: the robot is stopped and was not reset.
	RejectStopped RejectReason = "stopped"
	// RejectUnobserved: the last observation is older than MaxObservationAge.
	RejectUnobserved = RejectReason(FaultUnobserved)
	// RejectJointOutside: a joint is measured more than StopMarginRad outside its range.
	RejectJointOutside = RejectReason(FaultJointOutside)
	// RejectObservationUnknown: the command answers an observation that does not exist.
	RejectObservationUnknown RejectReason = "observation_unknown"
	// RejectObservationOld: the command answers an observation older than MaxObservationAge.
	RejectObservationOld RejectReason = "observation_old"
	// RejectSuperseded: the command is valid, but not newer than the last accepted command or the last reset.
	RejectSuperseded RejectReason = "superseded"
)

// Fault is the reason for a stop. EStop accepts other values too.
type Fault string

// The faults that a gate detects, in the order in which it checks for them.
const (
	// FaultUnobserved: the last observation is older than StopObservationAge.
	FaultUnobserved Fault = "unobserved"
	// FaultJointOutside: a joint is measured more than StopMarginRad outside its range.
	FaultJointOutside Fault = "joint_outside"
	// FaultWrite: more than MaxWriteFailures consecutive writes failed.
	FaultWrite Fault = "write"
	// FaultClock: the clock went back.
	FaultClock Fault = "clock"
	// FaultUnnamed: EStop was called without a fault.
	FaultUnnamed Fault = "unnamed"
)
