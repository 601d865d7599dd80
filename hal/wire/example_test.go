package wire_test

import (
	"errors"
	"fmt"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/wire"
)

func ExampleAppendJointCommand() {
	sent := message.NewJointCommand(robot.Go1())
	sent.Sequence, sent.SessionID, sent.ObservationSequence = 1, 42, 7
	frame, err := wire.AppendJointCommand(nil, sent)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(frame), "bytes")

	var received message.JointCommand
	if err := wire.DecodeJointCommand(&received, frame); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("command", received.Sequence, "answers observation", received.ObservationSequence)
	fmt.Println("targets in rad:", received.TargetRad[:3])
	// Output:
	// 608 bytes
	// command 1 answers observation 7
	// targets in rad: [0.1 0.9 -1.8]
}

// A decoder returns a RejectReason, which is an error and a key of counters.
func ExampleRejectReason() {
	frame, err := wire.AppendObservation(nil, message.NewObservation(robot.Go1()))
	if err != nil {
		fmt.Println(err)
		return
	}
	frame[16] ^= 1 // Of the sequence.

	rejected := map[string]int{}
	err = wire.DecodeObservation(new(message.Observation), frame)
	if reason, ok := errors.AsType[wire.RejectReason](err); ok {
		rejected[string(reason)]++
	}
	fmt.Println(err)
	fmt.Println(errors.Is(err, wire.RejectChecksum), rejected)
	// Output:
	// malformed frame: checksum
	// true map[checksum:1]
}

// The images of a decoded observation borrow their pixels from the frame. CopyFrom makes a copy that outlives it.
func ExampleDecodeObservation() {
	sent := message.NewObservation(robot.Go1())
	sent.RGB1.Resize(2, 2)
	frame, err := wire.AppendObservation(nil, sent)
	if err != nil {
		fmt.Println(err)
		return
	}
	var borrowed, copied message.Observation
	if err := wire.DecodeObservation(&borrowed, frame); err != nil {
		fmt.Println(err)
		return
	}
	copied.CopyFrom(&borrowed)
	for i := range frame {
		frame[i] = 255 // The frame is reused.
	}
	fmt.Println("borrowed:", borrowed.RGB1.Pixels[:3])
	fmt.Println("copied:", copied.RGB1.Pixels[:3])
	// Output:
	// borrowed: [255 255 255]
	// copied: [0 0 0]
}
