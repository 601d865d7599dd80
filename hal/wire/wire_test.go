package wire

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

func TestRoundTrip(t *testing.T) {
	partial := full(4, 5)
	partial.RGB1.Clear()
	partial.Depth.Clear()
	partial.Confidence.Resize(1, message.MaxImageSide)
	clear(partial.Confidence.Values)
	reused := full(3, 3) // All values must be replaced.
	for name, want := range map[string]*message.Observation{
		"go1": observation(12, 4), "hex": observation(18, 6), "empty": observation(0, 0), "no feet": observation(1, 0),
		"largest": observation(robot.MaxJoints, robot.MaxFeet), "images": full(48, 64), "some images": partial,
	} {
		frame := encodeObservation(t, want)
		if err := DecodeObservation(reused, frame); err != nil || !same(reused, want) {
			t.Errorf("%s: observation = %+v, %v, want %+v", name, reused, err, want)
		}
		if n, err := ObservationSize(want); err != nil || n != len(frame) {
			t.Errorf("%s: size = %d, %v, want %d", name, n, err, len(frame))
		}
	}
	reusedCommand := fullCommand(3)
	for name, want := range map[string]*message.JointCommand{
		"plain": command(12), "feed-forward": fullCommand(18), "empty": command(0), "largest": fullCommand(robot.MaxJoints),
	} {
		frame := encodeCommand(t, want)
		got := reusedCommand
		if err := DecodeJointCommand(got, frame); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got.Sequence != want.Sequence || got.SessionID != want.SessionID || got.ObservationSequence != want.ObservationSequence ||
			got.MonotonicNs != want.MonotonicNs || got.ExpiresNs != want.ExpiresNs || !slices.Equal(got.TargetRad, want.TargetRad) ||
			!slices.Equal(got.Kp, want.Kp) || !slices.Equal(got.Kd, want.Kd) || !slices.Equal(got.FeedForwardNm, want.FeedForwardNm) {
			t.Errorf("%s: command = %+v, want %+v", name, got, want)
		}
		if len(frame) > MaxCommandBytes {
			t.Errorf("%s: frame of %d bytes, want at most MaxCommandBytes %d", name, len(frame), MaxCommandBytes)
		}
	}
	var got message.NavigationCommand
	if err := DecodeNavigationCommand(&got, AppendNavigationCommand(nil, navigation())); err != nil || got != *navigation() {
		t.Errorf("navigation command = %+v, %v, want %+v", got, err, navigation())
	}
	var gotRequest message.ControlRequest
	if err := DecodeControlRequest(&gotRequest, AppendControlRequest(nil, request())); err != nil || gotRequest != *request() {
		t.Errorf("control request = %+v, %v, want %+v", gotRequest, err, request())
	}
	gotReply := *reply() // All values must be replaced.
	for _, want := range []*message.ControlReply{plainReply(), reply()} {
		if err := DecodeControlReply(&gotReply, encodeReply(t, want)); err != nil || gotReply != *want {
			t.Errorf("control reply = %+v, %v, want %+v", gotReply, err, want)
		}
	}
}

func TestAppendControlReply_texts(t *testing.T) {
	long := plainReply()
	long.State, long.StoppedBy, long.Fault = strings.Repeat("s", 65), "\x1b[2Jbell\a", "ä"
	long.Reason = strings.Repeat("r", 1000)
	frame := encodeReply(t, long)
	var got message.ControlReply
	if err := DecodeControlReply(&got, frame); err != nil {
		t.Fatal(err)
	}
	want := *plainReply()
	want.State, want.StoppedBy, want.Fault, want.Reason = strings.Repeat("s", 64), "?[2Jbell?", "??", strings.Repeat("r", 256)
	if got != want {
		t.Errorf("reply = %+v, want %+v", got, want)
	}
	if len(frame) > MaxControlBytes/4 {
		t.Errorf("frame of %d bytes, want at most %d", len(frame), MaxControlBytes/4)
	}
	if got, err := AppendControlReply([]byte{7}, &message.ControlReply{}); err != RejectShape || !bytes.Equal(got, []byte{7}) {
		t.Errorf("a reply without a state: % x, %v, want an unchanged buffer and RejectShape", got, err)
	}
}

func TestObservationSize_largest(t *testing.T) {
	o := full(2048, 2048)
	if n, err := ObservationSize(o); err != nil || n > MaxFrameBytes {
		t.Errorf("size = %d, %v, want at most %d", n, err, MaxFrameBytes)
	}
}

func TestAppend_existingBuffer(t *testing.T) {
	for _, f := range []struct {
		name   string
		append func([]byte) ([]byte, error)
	}{
		{"observation", func(b []byte) ([]byte, error) { return AppendObservation(b, full(2, 3)) }},
		{"joint command", func(b []byte) ([]byte, error) { return AppendJointCommand(b, fullCommand(3)) }},
		{"navigation command", func(b []byte) ([]byte, error) { return AppendNavigationCommand(b, navigation()), nil }},
		{"control request", func(b []byte) ([]byte, error) { return AppendControlRequest(b, request()), nil }},
		{"control reply", func(b []byte) ([]byte, error) { return AppendControlReply(b, reply()) }},
	} {
		frame, err := f.append(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.append([]byte("before"))
		if want := append([]byte("before"), frame...); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: appended % x, %v, want % x", f.name, got, err, want)
		}
	}
}

func TestAppend_invalidShape(t *testing.T) {
	for name, change := range map[string]func(*message.Observation){
		"short second slice":    func(o *message.Observation) { o.VelocityRadPerSec = o.VelocityRadPerSec[:1] },
		"no third slice":        func(o *message.Observation) { o.EffortNm = nil },
		"too many joints":       func(o *message.Observation) { o.Resize(robot.MaxJoints+1, 4) },
		"too many feet":         func(o *message.Observation) { o.Resize(12, robot.MaxFeet+1) },
		"image without pixels":  func(o *message.Observation) { o.RGB1.Pixels = nil },
		"pixels without image":  func(o *message.Observation) { o.RGB2.Height, o.RGB2.Width = 0, 0 },
		"image without columns": func(o *message.Observation) { o.Depth.Width = 0 },
		"image too long":        func(o *message.Observation) { o.Depth.Resize(1, message.MaxImageSide+1) },
		"image too large":       func(o *message.Observation) { o.Confidence.Resize(2049, 2048) },
		"negative image size":   func(o *message.Observation) { o.Depth.Height, o.Depth.Width = -2, -3 },
		"depth size mismatch":   func(o *message.Observation) { o.Depth.Height++ },
	} {
		o := full(2, 3)
		change(o)
		if got, err := AppendObservation([]byte{7}, o); err != RejectShape || !bytes.Equal(got, []byte{7}) {
			t.Errorf("%s: observation = % x, %v, want an unchanged buffer and RejectShape", name, got, err)
		}
		if n, err := ObservationSize(o); err != RejectShape || n != 0 {
			t.Errorf("%s: size = %d, %v, want RejectShape", name, n, err)
		}
	}
	for name, change := range map[string]func(*message.JointCommand){
		"short second slice": func(c *message.JointCommand) { c.Kp = c.Kp[:1] },
		"no third slice":     func(c *message.JointCommand) { c.Kd = nil },
		"short feed-forward": func(c *message.JointCommand) { c.FeedForwardNm = c.FeedForwardNm[:6] },
		"too many joints":    func(c *message.JointCommand) { c.Resize(robot.MaxJoints + 1) },
	} {
		c := fullCommand(12)
		change(c)
		if got, err := AppendJointCommand([]byte{7}, c); err != RejectShape || !bytes.Equal(got, []byte{7}) {
			t.Errorf("%s: command = % x, %v, want an unchanged buffer and RejectShape", name, got, err)
		}
	}
}

func TestDecodeObservation_borrowsImages(t *testing.T) {
	frame := encodeObservation(t, full(2, 3))
	var o message.Observation
	if err := DecodeObservation(&o, frame); err != nil {
		t.Fatal(err)
	}
	frame[1344], frame[1344+128+3] = 77, 0x42 // Red of the first pixel; the exponent of the first depth.
	if o.RGB1.Pixels[0] != 77 || math.Float32bits(o.Depth.Values[0])>>24 != 0x42 {
		t.Errorf("first pixel = %d, first depth = %v: images were copied", o.RGB1.Pixels[0], o.Depth.Values[0])
	}
	if cap(o.RGB1.Pixels) != 18 || cap(o.Confidence.Values) != 6 {
		t.Errorf("capacity of images = %d and %d values, want that of their sections", cap(o.RGB1.Pixels), cap(o.Confidence.Values))
	}
	// Floats at an odd address are copied.
	odd := append(make([]byte, 1, len(frame)+1), encodeObservation(t, full(2, 3))...)
	if err := DecodeObservation(&o, odd[1:]); err != nil || !same(&o, full(2, 3)) {
		t.Errorf("at an odd address: observation = %+v, %v, want %+v", o, err, full(2, 3))
	}
}

func TestAllocations_steadyState(t *testing.T) {
	o, c, n := full(48, 64), fullCommand(18), navigation()
	r, answer := request(), plainReply()
	rFrame := AppendControlRequest(nil, r)
	oFrame, cFrame, nFrame := encodeObservation(t, o), encodeCommand(t, c), AppendNavigationCommand(nil, n)
	plain, unaligned := encodeObservation(t, observation(12, 4)), append([]byte{0}, oFrame...)[1:]
	huge := slices.Clone(oFrame)
	binary.LittleEndian.PutUint32(huge[entryDepth+16:], message.MaxImageSide)
	updateChecksums(huge)
	buffer := make([]byte, 0, len(oFrame))
	var odd message.Observation
	if err := DecodeObservation(&odd, unaligned); err != nil {
		t.Fatal(err)
	}
	tests := map[string]func() error{
		"encode observation":          func() error { _, err := AppendObservation(buffer, o); return err },
		"encode joint command":        func() error { _, err := AppendJointCommand(buffer, c); return err },
		"encode navigation command":   func() error { AppendNavigationCommand(buffer, n); return nil },
		"encode control request":      func() error { AppendControlRequest(buffer, r); return nil },
		"encode control reply":        func() error { _, err := AppendControlReply(buffer, answer); return err },
		"decode control request":      func() error { return DecodeControlRequest(r, rFrame) },
		"decode observation":          func() error { return DecodeObservation(o, oFrame) },
		"decode observations in turn": func() error { _ = DecodeObservation(o, plain); return DecodeObservation(o, oFrame) },
		"decode at an odd address":    func() error { return DecodeObservation(&odd, unaligned) },
		"decode joint command":        func() error { return DecodeJointCommand(c, cFrame) },
		"decode navigation command":   func() error { return DecodeNavigationCommand(n, nFrame) },
		"reject other kind":           func() error { _ = DecodeJointCommand(c, oFrame); return nil },
		"reject large dimension":      func() error { _ = DecodeObservation(&message.Observation{}, huge); return nil },
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

func TestAllocations_decode(t *testing.T) {
	frame := append([]byte{0}, encodeObservation(t, full(480, 640))...)[1:]
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := DecodeObservation(&message.Observation{}, frame); err != nil {
				b.Fatal(err)
			}
		}
	})
	// Depth and confidence are copied because of the address. The rest is less than 64 KiB.
	if got, limit := result.AllocedBytesPerOp(), int64(2*4*480*640+1<<16); got > limit {
		t.Errorf("decoding %d bytes allocated %d, want at most %d", len(frame), got, limit)
	}
}
