package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/safety"
	"krabby.dev/krabby/hal/synthetic"
	"krabby.dev/krabby/hal/wire"
	"krabby.dev/krabby/tools/bench/latency"
)

const (
	height, width = 480, 640
	warmUp        = 10
	// Between a message and the next. pyzmq needs it: a publisher whose queue is one message loses what comes sooner than a
	// millisecond, in which libzmq does not look whether the queue is empty again. So all get it, and one of ours does not.
	pause = 2 * time.Millisecond
	// After so long a message counts as lost.
	lostAfter = time.Second

	// Not quite a multiple, so that the reader comes at all times between two observations.
	writerPeriod, readerPeriod = 10 * time.Millisecond, 50300 * time.Microsecond
)

// variant is how observations are made.
type variant struct {
	copies bool // Images come from memory of the camera's, and are copied into the frame.
	busy   bool // Without pauses.
}

// ours is both sides of the hardware abstraction layer without the server's period: the controller's is hal/client, the
// robot's does what hal/server does at a tick, whenever it is asked to.
type ours struct {
	bus     *bus.Context
	out     *bus.Publisher
	in      *bus.Receiver
	client  *client.Client
	clock   *clock.Clock
	gate    *safety.Gate
	backend *synthetic.Backend

	observation *message.Observation
	incoming    *message.JointCommand
	how         variant
	sequence    uint64
	camera      [4][]byte // What is copied, where anything is.
}

func newOurs(transport string, how variant) (_ *ours, err error) {
	r := robot.Hex()
	const session = 1
	config := safety.Defaults(r)
	config.SessionID = session
	o := &ours{
		clock: clock.New(), how: how,
		backend:     synthetic.New(r, writerPeriod),
		observation: message.NewObservation(r), incoming: message.NewJointCommand(r),
	}
	o.observation.SessionID = session
	if o.gate, err = safety.New(r, config); err != nil {
		return nil, err
	}
	if o.bus, err = bus.NewContext(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.bus.Close())
		}
	}()
	observations, commands := "inproc://observations", "inproc://commands"
	if transport == tcp {
		observations, commands = "tcp://127.0.0.1:0", "tcp://127.0.0.1:0"
	}
	if o.out, err = o.bus.NewPublisher(observations); err != nil {
		return nil, err
	}
	if o.in, err = o.bus.NewReceiver(commands); err != nil {
		return nil, err
	}
	in, err := o.bus.NewSubscriber(o.out.Endpoint())
	if err != nil {
		return nil, err
	}
	out, err := o.bus.NewSender(o.in.Endpoint())
	if err != nil {
		return nil, err
	}
	o.client = client.New(r, in, out)
	// Images come from memory of their own at first; from then on they are where the next frame wants them.
	o.observation.RGB1.Resize(height, width)
	o.observation.RGB2.Resize(height, width)
	o.observation.Depth.Resize(height, width)
	o.observation.Confidence.Resize(height, width)
	if transport == tcp {
		time.Sleep(300 * time.Millisecond) // Until the subscription is there.
	}
	return o, nil
}

// prepare is what a robot does before it has an observation: its sensors give one, images straight into the frame. That
// is not measured, for the peer neither.
func (o *ours) prepare(ctx context.Context) ([]byte, error) {
	size, err := wire.ObservationBytes(o.observation)
	if err != nil {
		return nil, err
	}
	memory, err := o.out.Acquire(size)
	if err != nil {
		return nil, err
	}
	if !o.how.copies {
		if err := wire.PlaceObservation(memory[:cap(memory)], o.observation); err != nil {
			return nil, err
		}
	}
	if err := o.backend.Read(ctx, o.observation); err != nil {
		return nil, err
	}
	if o.how.copies {
		// Filling a frame leaves images in it; a camera that brings memory of its own says so anew each time.
		o.lend()
	} else {
		o.observation.RGB1.Resize(height, width)
		o.observation.RGB2.Resize(height, width)
		o.observation.Depth.Resize(height, width)
		o.observation.Confidence.Resize(height, width)
	}
	if o.sequence < warmUp && !o.how.copies {
		// Memory that was never written to is all the same page of zeros, which is soon read.
		fill(o.observation.RGB1.Pixels)
		fill(o.observation.RGB2.Pixels)
		for i := range o.observation.Depth.Values {
			o.observation.Depth.Values[i], o.observation.Confidence.Values[i] = float32(i), 1
		}
	}
	return memory, nil
}

// lend makes the images those of a camera with memory of its own.
func (o *ours) lend() {
	if o.camera[0] == nil {
		for i, bytes := range []int{3, 3, 4, 4} {
			o.camera[i] = make([]byte, height*width*bytes)
			fill(o.camera[i])
		}
	}
	o.observation.RGB1.Borrow(height, width, o.camera[0])
	o.observation.RGB2.Borrow(height, width, o.camera[1])
	o.observation.Depth.Borrow(height, width, o.camera[2])
	o.observation.Confidence.Borrow(height, width, o.camera[3])
}

func fill(pixels []byte) {
	for i := range pixels {
		pixels[i] = byte(i)
	}
}

// publish sends the prepared observation, made now.
func (o *ours) publish(memory []byte) error {
	o.sequence++
	o.observation.Sequence, o.observation.MonotonicNs = o.sequence, o.clock.NowNs()
	if !o.gate.Observe(o.observation, o.observation.MonotonicNs) {
		return errors.New("the gate refuses an observation")
	}
	frame, err := wire.FillObservation(memory, o.observation)
	if err != nil {
		return err
	}
	return o.out.Publish(frame)
}

// apply waits for the command that answers the newest observation, and writes what the gate makes of it.
func (o *ours) apply(ctx context.Context) error {
	for {
		frame, err := o.in.Receive(ctx)
		if err != nil {
			return err
		}
		if err := wire.DecodeJointCommand(o.incoming, frame); err != nil {
			return err
		}
		if o.incoming.ObservationSequence != o.sequence {
			continue // Of an observation that was given up.
		}
		if cause := o.gate.Offer(o.incoming, o.clock.NowNs()); cause != "" {
			return fmt.Errorf("the gate refuses a command: %s", cause)
		}
		output := o.gate.Tick(o.clock.NowNs())
		if output == nil {
			return errors.New("the gate accepted a command and writes nothing")
		}
		err = o.backend.Write(ctx, output)
		o.gate.Wrote(err == nil)
		return err
	}
}

// measureOurs takes one measure.
func measureOurs(ctx context.Context, m measureName, transport string, how variant, duration time.Duration) (_ latency.Sample, err error) {
	o, err := newOurs(transport, how)
	if err != nil {
		return latency.Sample{}, err
	}
	defer func() { err = errors.Join(err, o.bus.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, duration+time.Minute) // No answer to a command must not be waited for for ever.
	defer cancel()
	if m == age {
		return o.age(ctx, duration)
	}
	return o.lockstep(ctx, m == command, duration)
}

// lockstep publishes an observation as soon as the one before was read, or answered and the answer applied.
func (o *ours) lockstep(ctx context.Context, answer bool, duration time.Duration) (latency.Sample, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type reading struct {
		sequence uint64
		age      time.Duration
	}
	read, ended := make(chan reading, 1), make(chan error, 1)
	go func() {
		var in message.Observation
		cmd := message.NewJointCommand(robot.Hex())
		for {
			age, err := o.client.Latest(ctx, &in)
			switch {
			case ctx.Err() != nil:
				ended <- nil
				return
			case err != nil:
				ended <- err
				return
			case answer:
				cmd.ObservationSequence = in.Sequence
				err = o.client.Send(cmd)
			default:
				read <- reading{in.Sequence, age}
			}
			if err != nil {
				ended <- err
				return
			}
		}
	}()
	// Room for all that there can be, so that keeping it does not count as an allocation.
	s := latency.Sample{Took: make([]time.Duration, 0, int(duration/(5*time.Microsecond)))}
	lost := time.NewTimer(lostAfter)
	step := func() (took time.Duration, ok bool, err error) {
		memory, err := o.prepare(ctx)
		if err != nil {
			return 0, false, err
		}
		lost.Reset(lostAfter)
		if err := o.publish(memory); err != nil {
			return 0, false, err
		}
		if answer {
			err := o.apply(ctx)
			return time.Duration(o.clock.NowNs() - o.observation.MonotonicNs), err == nil, err
		}
		for {
			select {
			case r := <-read:
				if r.sequence == o.sequence {
					return r.age, true, nil
				}
			case err := <-ended:
				return 0, false, errors.Join(errors.New("the reader ended"), err)
			case <-lost.C:
				return 0, false, nil
			case <-ctx.Done():
				return 0, false, ctx.Err()
			}
		}
	}
	var before, after runtime.MemStats
	number := 0
	for end := time.Now().Add(duration); time.Now().Before(end); number++ {
		if number == warmUp {
			runtime.ReadMemStats(&before)
		}
		if !o.how.busy {
			time.Sleep(pause)
		}
		took, ok, err := step()
		switch {
		case err != nil:
			return latency.Sample{}, err
		case !ok:
			s.Lost++
		case number >= warmUp:
			s.Took = append(s.Took, took)
		}
	}
	runtime.ReadMemStats(&after)
	cancel()
	if err := <-ended; err != nil {
		return latency.Sample{}, err
	}
	if len(s.Took) == 0 {
		return latency.Sample{}, errors.New("nothing was measured: each message was lost")
	}
	allocations := float64(after.Mallocs-before.Mallocs) / float64(number-warmUp)
	s.Allocations = &allocations
	return s, nil
}

// age reads more slowly than is written, and says how old what is read is.
func (o *ours) age(ctx context.Context, duration time.Duration) (latency.Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		defer close(ended)
		pacer := clock.NewPacer(writerPeriod)
		for {
			if _, err := pacer.Wait(ctx); err != nil {
				return
			}
			memory, err := o.prepare(ctx)
			if err == nil {
				err = o.publish(memory)
			}
			if err != nil {
				ended <- err
				cancel()
				return
			}
		}
	}()
	var s latency.Sample
	var in message.Observation
	var before, after runtime.MemStats
	pacer := clock.NewPacer(readerPeriod)
	number := 0
	for ; ; number++ {
		if _, err := pacer.Wait(ctx); err != nil {
			break
		}
		if number == warmUp {
			runtime.ReadMemStats(&before)
		}
		took, err := o.client.Latest(ctx, &in)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			cancel()
			return latency.Sample{}, errors.Join(err, <-ended)
		}
		if number >= warmUp {
			s.Took = append(s.Took, took)
		}
	}
	runtime.ReadMemStats(&after)
	if err := <-ended; err != nil {
		return latency.Sample{}, err
	}
	if len(s.Took) == 0 {
		return latency.Sample{}, errors.New("nothing was measured: no observation was read")
	}
	return s, nil
}
