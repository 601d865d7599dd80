package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"

	"krabby.dev/krabby/hal/message"
)

// observation and command are messages in which every value differs from every other.
func observation(joints, feet int) *message.Observation {
	o := &message.Observation{Sequence: 1, SessionID: 0xfedcba9876543210, MonotonicNs: math.MaxInt64, WallNs: -4}
	o.Resize(joints, feet)
	fill(10, o.PositionRad)
	fill(100, o.VelocityRadPerSec)
	fill(200, o.EffortNm)
	fill(300, o.IMU.Orientation[:])
	fill(310, o.IMU.AngularVelocityRadPerSec[:])
	fill(320, o.IMU.LinearAccelerationMps2[:])
	fill(330, o.BaseVelocityMps[:])
	for i := range o.Contacts {
		o.Contacts[i] = i%3 == 0
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

func TestMessagesSurviveTheRoundTrip(t *testing.T) {
	for _, shape := range []struct{ joints, feet int }{{12, 4}, {18, 6}, {0, 0}, {1, 0}, {MaxJoints, MaxFeet}} {
		o := observation(shape.joints, shape.feet)
		frame := encodeObservation(t, o)
		var gotO message.Observation
		gotO.Resize(0, 0)
		if err := DecodeObservation(&gotO, frame); err != nil || !reflect.DeepEqual(&gotO, o) {
			t.Errorf("%v: observation = %+v, %v, want %+v", shape, gotO, err, o)
		}
		if len(frame) > MaxFrameBytes {
			t.Errorf("%v: a frame of %d bytes exceeds MaxFrameBytes %d", shape, len(frame), MaxFrameBytes)
		}
		c := command(shape.joints)
		var gotC message.JointCommand
		if err := DecodeJointCommand(&gotC, encodeCommand(t, c)); err != nil || !slices.Equal(gotC.Kd, c.Kd) ||
			!slices.Equal(gotC.Kp, c.Kp) || !slices.Equal(gotC.TargetRad, c.TargetRad) || gotC.ExpiresNs != c.ExpiresNs ||
			gotC.MonotonicNs != 4 || gotC.ObservationSequence != 3 || gotC.SessionID != 2 || gotC.Sequence != 1 {
			t.Errorf("%v: command = %+v, %v, want %+v", shape, gotC, err, c)
		}
	}
}

// The layout is a contract with readers in other languages: this frame is written out by hand.
func TestLayoutIsTheDocumentedOne(t *testing.T) {
	c := &message.JointCommand{
		Sequence: 1, SessionID: 2, ObservationSequence: 3, MonotonicNs: 4, ExpiresNs: -1,
		TargetRad: []float64{0.5}, Kp: []float64{1}, Kd: []float64{-2},
	}
	want := []byte{
		'K', 'R', 'B', 'Y', 2, 2, 1, 0, 64, 0, 0, 0, 0x37, 0x1b, 0x8b, 0x14,
		1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0, 0, 0, 0, 0, 0, 0xe0, 0x3f, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0,
	}
	if got := encodeCommand(t, c); !bytes.Equal(got, want) {
		t.Errorf("frame =\n% x, want\n% x", got, want)
	}
}

func TestEncodingAppends(t *testing.T) {
	frame := encodeCommand(t, command(3))
	got, err := AppendJointCommand([]byte("before"), command(3))
	if want := append([]byte("before"), frame...); err != nil || !bytes.Equal(got, want) {
		t.Errorf("append = % x, %v, want % x", got, err, want)
	}
}

func TestEncodingRefusesSlicesThatDisagree(t *testing.T) {
	tests := map[string]func(*message.Observation, *message.JointCommand){
		"short second slice": func(o *message.Observation, c *message.JointCommand) {
			o.VelocityRadPerSec, c.Kp = o.VelocityRadPerSec[:1], c.Kp[:1]
		},
		"no third slice":  func(o *message.Observation, c *message.JointCommand) { o.EffortNm, c.Kd = nil, nil },
		"too many joints": func(o *message.Observation, c *message.JointCommand) { o.Resize(65, 4); c.Resize(65) },
	}
	for name, change := range tests {
		o, c := observation(12, 4), command(12)
		change(o, c)
		if got, err := AppendObservation([]byte{7}, o); err != Shape || !bytes.Equal(got, []byte{7}) {
			t.Errorf("%s: observation = % x, %v, want an untouched buffer and Shape", name, got, err)
		}
		if got, err := AppendJointCommand([]byte{7}, c); err != Shape || !bytes.Equal(got, []byte{7}) {
			t.Errorf("%s: command = % x, %v, want an untouched buffer and Shape", name, got, err)
		}
	}
	o := observation(12, MaxFeet+1)
	if _, err := AppendObservation(nil, o); err != Shape {
		t.Errorf("too many feet: error = %v, want Shape", err)
	}
}

func TestMalformedFramesHaveACause(t *testing.T) {
	resealed := func(change func([]byte)) func([]byte) []byte {
		return func(b []byte) []byte { change(b); seal(b); return b }
	}
	tests := []struct {
		name   string
		change func([]byte) []byte
		want   Cause
	}{
		{"empty", func([]byte) []byte { return nil }, Short},
		{"half a header", func(b []byte) []byte { return b[:8] }, Short},
		{"another magic", resealed(func(b []byte) { b[0] = 'X' }), Magic},
		{"version 1", resealed(func(b []byte) { b[4] = 1 }), Version},
		{"another kind", resealed(func(b []byte) { b[5] = kindCommand }), Kind},
		{"too many joints", resealed(func(b []byte) { b[6] = MaxJoints + 1 }), Shape},
		{"too many feet", resealed(func(b []byte) { b[7] = MaxFeet + 1 }), Shape},
		{"a contact of a foot that is not there", resealed(func(b []byte) { b[len(b)-1] = 0x80 }), Shape},
		{"another number of joints", resealed(func(b []byte) { b[6] = 11 }), Length},
		{"a wrong length field", resealed(func(b []byte) { binary.LittleEndian.PutUint32(b[8:], math.MaxUint32) }), Length},
		{"no payload", func(b []byte) []byte { return b[:headerBytes] }, Length},
		{"a trailing byte", func(b []byte) []byte { return append(b, 0) }, Length},
		{"a flipped bit in the payload", func(b []byte) []byte { b[40] ^= 1; return b }, Checksum},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			frame := tt.change(encodeObservation(t, observation(12, 4)))
			before := observation(2, 1)
			got := observation(2, 1)
			err := DecodeObservation(got, frame)
			var cause Cause
			if !errors.As(err, &cause) || cause != tt.want {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
			if !reflect.DeepEqual(got, before) {
				t.Error("a refused frame changed the observation")
			}
		})
	}
	frame := encodeCommand(t, command(12))
	frame[7] = 4
	seal(frame)
	if err := DecodeJointCommand(&message.JointCommand{}, frame); err != Shape {
		t.Errorf("a command with feet: error = %v, want Shape", err)
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	o, c := encodeObservation(t, observation(12, 4)), encodeCommand(t, command(12))
	for n := range o {
		if err := DecodeObservation(&message.Observation{}, o[:n:n]); !isOneOf(err, Short, Length) {
			t.Errorf("observation of %d bytes: error = %v", n, err)
		}
	}
	for n := range c {
		if err := DecodeJointCommand(&message.JointCommand{}, c[:n:n]); !isOneOf(err, Short, Length) {
			t.Errorf("command of %d bytes: error = %v", n, err)
		}
	}
}

func TestEveryBitFlipIsRefused(t *testing.T) {
	// Where a flip shows: by offset of the byte in the header; everything after it is the checksum's.
	want := []Cause{Magic, Magic, Magic, Magic, Version, Kind, "", "", Length, Length, Length, Length}
	o, c := encodeObservation(t, observation(12, 4)), encodeCommand(t, command(12))
	for bit := range 8 * len(o) {
		o[bit/8] ^= 1 << (bit % 8)
		err := DecodeObservation(&message.Observation{}, o)
		o[bit/8] ^= 1 << (bit % 8)
		checkFlip(t, "observation", bit, err, want)
	}
	for bit := range 8 * len(c) {
		c[bit/8] ^= 1 << (bit % 8)
		err := DecodeJointCommand(&message.JointCommand{}, c)
		c[bit/8] ^= 1 << (bit % 8)
		checkFlip(t, "command", bit, err, want)
	}
}

func checkFlip(t *testing.T, kind string, bit int, err error, want []Cause) {
	t.Helper()
	switch at := bit / 8; {
	case at == 6 || at == 7: // The shape: out of bounds, at odds with the length, or left to the checksum.
		if !isOneOf(err, Shape, Length, Checksum) {
			t.Errorf("%s: flip of bit %d: error = %v", kind, bit, err)
		}
	case at < len(want):
		if err != want[at] {
			t.Errorf("%s: flip of bit %d: error = %v, want %v", kind, bit, err, want[at])
		}
	default:
		if err != Checksum {
			t.Errorf("%s: flip of bit %d: error = %v, want Checksum", kind, bit, err)
		}
	}
}

func isOneOf(err error, causes ...Cause) bool {
	cause, ok := err.(Cause)
	return ok && slices.Contains(causes, cause)
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	o, c := observation(18, 6), command(18)
	buffer := make([]byte, 0, MaxFrameBytes)
	oFrame, cFrame := encodeObservation(t, o), encodeCommand(t, c)
	tests := map[string]func() error{
		"encode observation": func() error { _, err := AppendObservation(buffer, o); return err },
		"encode command":     func() error { _, err := AppendJointCommand(buffer, c); return err },
		"decode observation": func() error { return DecodeObservation(o, oFrame) },
		"decode command":     func() error { return DecodeJointCommand(c, cFrame) },
		"refuse a frame":     func() error { _ = DecodeJointCommand(c, oFrame); return nil },
	}
	for name, step := range tests {
		if n := testing.AllocsPerRun(100, func() {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations a run, want 0", name, n)
		}
	}
}

// Whatever decodes must encode to the same bytes: there is one frame for each message.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte(magic))
	f.Add(encodeObservation(f, observation(12, 4)))
	f.Add(encodeObservation(f, observation(0, 0)))
	f.Add(encodeCommand(f, command(12)))
	f.Add(encodeCommand(f, command(MaxJoints)))
	f.Fuzz(func(t *testing.T, frame []byte) {
		var o message.Observation
		if err := DecodeObservation(&o, frame); err == nil {
			if got := encodeObservation(t, &o); !bytes.Equal(got, frame) {
				t.Errorf("observation encodes to % x, was % x", got, frame)
			}
		} else if !isOneOf(err, Causes()...) {
			t.Errorf("error = %v, want a Cause", err)
		}
		var c message.JointCommand
		if err := DecodeJointCommand(&c, frame); err == nil {
			if got := encodeCommand(t, &c); !bytes.Equal(got, frame) {
				t.Errorf("command encodes to % x, was % x", got, frame)
			}
		} else if !isOneOf(err, Causes()...) {
			t.Errorf("error = %v, want a Cause", err)
		}
	})
}
