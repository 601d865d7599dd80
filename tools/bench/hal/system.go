package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"krabby.dev/krabby/hal/backend"
	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/server"
	"krabby.dev/krabby/hal/synthetic"
	"krabby.dev/krabby/internal/bringup"
)

const (
	height, width = 480, 640
	warmUp        = 10
	sessionID     = 1
	// pause is the time between two messages. pyzmq needs it: a publisher with a queue of one message loses a message that follows in
	// less than a millisecond, because libzmq checks the queue only that often. All tools pause, except for one variant of krabby.
	pause = 2 * time.Millisecond
	// lostAfter is the time after which a message counts as lost.
	lostAfter = time.Second

	// The reader's period is not quite a multiple of the writer's, so that reads happen at all phases of the writer.
	writerPeriod, readerPeriod = 10 * time.Millisecond, 50300 * time.Microsecond
)

// variant selects the source of images and the pauses.
type variant struct {
	copies bool // Images lie in memory of the camera and are copied into the frame.
	busy   bool // No pauses.
}

// system is a robot's software with a robot that has cameras. Its server steps when the benchmark asks for it.
type system struct {
	*bringup.System
	robot    *cameraRobot
	waiting  *waitingReceiver
	accepted bool // The gate has accepted a command.
}

func newSystem(ctx context.Context, transport string, v variant) (*system, error) {
	r := robot.Hex()
	s := &system{robot: &cameraRobot{synthetic: synthetic.New(r, writerPeriod), variant: v}, waiting: &waitingReceiver{}}
	config := bringup.Config{
		Robot:     r,
		Backend:   s.robot,
		HALRateHz: float64(time.Second / writerPeriod),
		Server: []server.Option{
			server.WithSession(sessionID),
			server.WithMeters(func(time.Duration) {}, func(time.Duration) { s.accepted = true }),
		},
		WrapReceiver: func(in *bus.Receiver) server.Receiver { s.waiting.Receiver = in; return s.waiting },
	}
	if transport == tcp {
		config.Observations, config.Commands = "tcp://127.0.0.1:0", "tcp://127.0.0.1:0"
	}
	var err error
	if s.System, err = bringup.New(ctx, config); err != nil {
		return nil, err
	}
	if err := s.Server.Activate(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if transport == tcp {
		time.Sleep(300 * time.Millisecond) // Until the subscription has arrived.
	}
	return s, nil
}

// publish publishes the prepared observation and returns its sequence number.
func (s *system) publish(ctx context.Context) (uint64, error) {
	sequence := s.Server.PublishObservation(ctx)
	if sequence == 0 {
		return 0, fmt.Errorf("the server published no observation: %v", s.Server.Stats().Unpublished)
	}
	return sequence, nil
}

// apply waits until the server has written the command that answers the newest observation.
func (s *system) apply(ctx context.Context) error {
	s.waiting.ctx = ctx
	defer func() { s.waiting.ctx = nil }()
	for s.accepted = false; !s.accepted; {
		s.waiting.armed = true
		s.Server.ApplyCommands(ctx)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// waitingReceiver waits for the first frame of a step instead of polling.
type waitingReceiver struct {
	*bus.Receiver
	ctx   context.Context // Nil while the benchmark does not wait.
	armed bool
}

// TryReceive waits once per step, and then polls.
func (r *waitingReceiver) TryReceive() ([]byte, error) {
	if r.ctx == nil || !r.armed {
		return r.Receiver.TryReceive()
	}
	r.armed = false
	return r.Receiver.Receive(r.ctx)
}

// cameraRobot is a synthetic robot with cameras.
type cameraRobot struct {
	backend.Stateless
	synthetic *synthetic.Backend
	variant   variant
	sensors   message.Observation // Of the next Read.
	reads     int
	memory    [4][]byte // The cameras' own, if images are copied.
}

// prepare computes the sensor values of the next Read.
func (c *cameraRobot) prepare(ctx context.Context) error { return c.synthetic.Read(ctx, &c.sensors) }

// Read copies the prepared values and provides new images: in the frame, or borrowed from the cameras' memory.
func (c *cameraRobot) Read(_ context.Context, o *message.Observation) error {
	copy(o.PositionRad, c.sensors.PositionRad)
	copy(o.VelocityRadPerSec, c.sensors.VelocityRadPerSec)
	copy(o.EffortNm, c.sensors.EffortNm)
	copy(o.Contacts, c.sensors.Contacts)
	o.IMU, o.BaseVelocityKnown, o.BaseVelocityMps = c.sensors.IMU, c.sensors.BaseVelocityKnown, c.sensors.BaseVelocityMps
	c.reads++
	if c.variant.copies {
		c.lend(o)
		return nil
	}
	o.RGB1.Resize(height, width)
	o.RGB2.Resize(height, width)
	o.Depth.Resize(height, width)
	o.Confidence.Resize(height, width)
	if c.reads <= warmUp {
		// Memory that was never written is one page of zeros, which is read faster.
		fill(o.RGB1.Pixels)
		fill(o.RGB2.Pixels)
		for i := range o.Depth.Values {
			o.Depth.Values[i], o.Confidence.Values[i] = float32(i), 1
		}
	}
	return nil
}

// lend makes the images borrow the cameras' memory.
func (c *cameraRobot) lend(o *message.Observation) {
	if c.memory[0] == nil {
		for i, bytes := range []int{3, 3, 4, 4} {
			c.memory[i] = make([]byte, height*width*bytes)
			fill(c.memory[i])
		}
	}
	o.RGB1.Borrow(height, width, c.memory[0])
	o.RGB2.Borrow(height, width, c.memory[1])
	o.Depth.Borrow(height, width, c.memory[2])
	o.Confidence.Borrow(height, width, c.memory[3])
}

func fill(pixels []byte) {
	for i := range pixels {
		pixels[i] = byte(i)
	}
}

// Write writes the command to the synthetic robot.
func (c *cameraRobot) Write(ctx context.Context, command *message.JointCommand) error {
	return c.synthetic.Write(ctx, command)
}
