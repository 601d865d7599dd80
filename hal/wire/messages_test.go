package wire

import (
	"bytes"
	"flag"
	"math"
	"reflect"
	"slices"
	"testing"

	"krabby.dev/krabby/hal/message"
)

var update = flag.Bool("update", false, "update the golden files")

// observation, command and navigation return messages in which all values differ.
func observation(joints, feet int) *message.Observation {
	o := &message.Observation{Sequence: 1, SessionID: 0xfedcba9876543210, MonotonicNs: math.MaxInt64, WallNs: -4}
	o.Resize(joints, feet)
	fill(10, o.PositionRad)
	fill(100, o.VelocityRadPerSec)
	fill(200, o.EffortNm)
	fill(300, o.IMU.Orientation[:])
	fill(310, o.IMU.AngularVelocityRadPerSec[:])
	fill(320, o.IMU.LinearAccelerationMps2[:])
	for i := range o.Contacts {
		o.Contacts[i] = i%3 == 0
	}
	return o
}

// full returns an observation with all optional sections.
func full(height, width int) *message.Observation {
	o := observation(12, 4)
	o.BaseVelocityKnown = true
	fill(330, o.BaseVelocityMps[:])
	for i, image := range []*message.ColorImage{&o.RGB1, &o.RGB2} {
		image.Resize(height, width)
		image.ImageStamp = message.ImageStamp{Sequence: uint64(20 + i), MonotonicNs: -int64(30 + i), RateHz: 30.5 + float64(i)}
		for n := range image.Pixels {
			image.Pixels[n] = byte(n*7 + i)
		}
	}
	for i, image := range []*message.ScalarImage{&o.Depth, &o.Confidence} {
		image.Resize(height, width)
		image.ImageStamp = message.ImageStamp{Sequence: uint64(40 + i), MonotonicNs: int64(50 + i), RateHz: 15.5 + float64(i)}
		for n := range image.Values {
			image.Values[n] = float32(n) + 0.25 + float32(i)
		}
		image.Values[0] = float32(math.NaN())
	}
	return o
}

func command(joints int) *message.JointCommand {
	c := &message.JointCommand{Sequence: 1, SessionID: 2, ObservationSequence: 3, MonotonicNs: 4, ExpiresNs: math.MinInt64}
	c.Resize(joints)
	fill(10, c.TargetRad)
	fill(100, c.Kp)
	fill(200, c.Kd)
	return c
}

func fullCommand(joints int) *message.JointCommand {
	c := command(joints)
	c.ResizeFeedForward(joints)
	fill(300, c.FeedForwardNm)
	return c
}

func navigation() *message.NavigationCommand {
	return &message.NavigationCommand{Sequence: 1, SessionID: 2, MonotonicNs: 3, ExpiresNs: 4, VxMps: 0.5, VyMps: -0.25, YawRateRadPerSec: math.Inf(1)}
}

func request() *message.ControlRequest {
	return &message.ControlRequest{Sequence: 1, SessionID: 2, MonotonicNs: 3, ExpiresNs: math.MinInt64, Operation: message.Reset}
}

// reply returns a reply with all texts, plainReply one with the required text only.
func reply() *message.ControlReply {
	return &message.ControlReply{
		Sequence: 1, SessionID: 0xfedcba9876543210, ReceivedNs: -3, SentNs: math.MaxInt64, Status: message.FaultActive,
		State: "stopped", StoppedBy: "remote", Fault: "joint_outside", Reason: "joint FL_hip is at 1.3 rad, expected -0.863 to 0.863",
	}
}

func plainReply() *message.ControlReply {
	return &message.ControlReply{Sequence: 4, SessionID: 5, ReceivedNs: 6, SentNs: 7, State: "idle"}
}

func encodeReply(t testing.TB, r *message.ControlReply) []byte {
	t.Helper()
	frame, err := AppendControlReply(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

func fill(from float64, values []float64) {
	for i := range values {
		values[i] = from + float64(i) + 1.0/3
	}
}

func encodeObservation(t testing.TB, o *message.Observation) []byte {
	t.Helper()
	frame, err := AppendObservation(nil, o)
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

func encodeCommand(t testing.TB, c *message.JointCommand) []byte {
	t.Helper()
	frame, err := AppendJointCommand(nil, c)
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

// form is a kind of frame: an example, and functions that decode a frame, or decode and encode it.
type form struct {
	name     string
	frame    []byte
	decode   func(frame []byte) error
	reencode func(frame []byte) ([]byte, error)
}

func forms(t testing.TB) []form {
	decodeO := func(frame []byte) error { return DecodeObservation(&message.Observation{}, frame) }
	reencodeO := func(frame []byte) ([]byte, error) {
		var o message.Observation
		if err := DecodeObservation(&o, frame); err != nil {
			return nil, err
		}
		return AppendObservation(nil, &o)
	}
	decodeC := func(frame []byte) error { return DecodeJointCommand(&message.JointCommand{}, frame) }
	reencodeC := func(frame []byte) ([]byte, error) {
		var c message.JointCommand
		if err := DecodeJointCommand(&c, frame); err != nil {
			return nil, err
		}
		return AppendJointCommand(nil, &c)
	}
	decodeN := func(frame []byte) error { return DecodeNavigationCommand(&message.NavigationCommand{}, frame) }
	reencodeN := func(frame []byte) ([]byte, error) {
		var c message.NavigationCommand
		if err := DecodeNavigationCommand(&c, frame); err != nil {
			return nil, err
		}
		return AppendNavigationCommand(nil, &c), nil
	}
	decodeRequest := func(frame []byte) error { return DecodeControlRequest(&message.ControlRequest{}, frame) }
	reencodeRequest := func(frame []byte) ([]byte, error) {
		var r message.ControlRequest
		if err := DecodeControlRequest(&r, frame); err != nil {
			return nil, err
		}
		return AppendControlRequest(nil, &r), nil
	}
	decodeReply := func(frame []byte) error { return DecodeControlReply(&message.ControlReply{}, frame) }
	reencodeReply := func(frame []byte) ([]byte, error) {
		var r message.ControlReply
		if err := DecodeControlReply(&r, frame); err != nil {
			return nil, err
		}
		return AppendControlReply(nil, &r)
	}
	return []form{
		{"observation", encodeObservation(t, observation(12, 4)), decodeO, reencodeO},
		{"observation_images", encodeObservation(t, full(2, 3)), decodeO, reencodeO},
		{"joint_command", encodeCommand(t, command(12)), decodeC, reencodeC},
		{"joint_command_feed_forward", encodeCommand(t, fullCommand(12)), decodeC, reencodeC},
		{"navigation_command", AppendNavigationCommand(nil, navigation()), decodeN, reencodeN},
		{"control_request", AppendControlRequest(nil, request()), decodeRequest, reencodeRequest},
		{"control_reply", encodeReply(t, plainReply()), decodeReply, reencodeReply},
		{"control_reply_rejected", encodeReply(t, reply()), decodeReply, reencodeReply},
	}
}

// same compares observations. It compares images bit by bit, so that NaN equals NaN.
func same(a, b *message.Observation) bool {
	plain := func(o *message.Observation) (message.Observation, []byte) {
		c := *o
		c.PositionRad, c.VelocityRadPerSec = append([]float64{}, o.PositionRad...), append([]float64{}, o.VelocityRadPerSec...)
		c.EffortNm, c.Contacts = append([]float64{}, o.EffortNm...), append([]bool{}, o.Contacts...)
		pixels := slices.Concat(o.RGB1.Pixels, o.RGB2.Pixels, o.Depth.AppendTo(nil), o.Confidence.AppendTo(nil))
		for _, image := range []*message.ColorImage{&c.RGB1, &c.RGB2} {
			*image = message.ColorImage{ImageStamp: image.ImageStamp, Height: image.Height, Width: image.Width}
		}
		for _, image := range []*message.ScalarImage{&c.Depth, &c.Confidence} {
			*image = message.ScalarImage{ImageStamp: image.ImageStamp, Height: image.Height, Width: image.Width}
		}
		return c, pixels
	}
	plainA, pixelsA := plain(a)
	plainB, pixelsB := plain(b)
	return reflect.DeepEqual(plainA, plainB) && bytes.Equal(pixelsA, pixelsB)
}
