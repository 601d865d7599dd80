package client_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/wire"
)

// publish plays the server: it publishes an observation.
func publish(publisher *bus.Publisher, o *message.Observation) error {
	frame, err := wire.AppendObservation(nil, o)
	if err != nil {
		return err
	}
	return publisher.Publish(frame)
}

// receive plays the server: it receives a command.
func receive(ctx context.Context, receiver *bus.Receiver) (*message.JointCommand, error) {
	frame, err := receiver.Receive(ctx)
	if err != nil {
		return nil, err
	}
	var c message.JointCommand
	return &c, wire.DecodeJointCommand(&c, frame)
}

// A client reads an observation and answers it with a command.
func Example() {
	b, err := bus.NewContext()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	publisher, err1 := b.NewPublisher("inproc://observations")
	receiver, err2 := b.NewReceiver("inproc://commands")
	subscriber, err3 := b.NewSubscriber("inproc://observations")
	sender, err4 := b.NewSender("inproc://commands")
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	r := robot.Go1()
	published := message.NewObservation(r)
	published.SessionID, published.Sequence = 42, 1
	if err := publish(publisher, published); err != nil {
		fmt.Println(err)
		return
	}

	c := client.New(r, subscriber, sender, client.WithValidity(50*time.Millisecond))
	observation := message.NewObservation(r)
	if _, err := c.Latest(ctx, observation); err != nil {
		fmt.Println(err)
		return
	}
	command := message.NewJointCommand(r)
	command.ObservationSequence = observation.Sequence
	command.TargetRad[0] = observation.PositionRad[0] + 0.1
	if err := c.Send(command); err != nil {
		fmt.Println(err)
		return
	}

	received, err := receive(ctx, receiver)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("command %d of session %d answers observation %d\n", received.Sequence, received.SessionID, received.ObservationSequence)
	fmt.Printf("target of %s: %.1f rad, valid for %v\n",
		r.Joints[0].Name, received.TargetRad[0], time.Duration(received.ExpiresNs-received.MonotonicNs))
	// Output:
	// command 1 of session 42 answers observation 1
	// target of FR_hip_joint: 0.2 rad, valid for 50ms
}
