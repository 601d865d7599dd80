package wire

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

var update = flag.Bool("update", false, "write the golden files anew")

// observation, command and navigation are messages in which every value differs from every other.
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

// full is an observation with everything that is optional.
func full(height, width int) *message.Observation {
	o := observation(12, 4)
	o.BaseVelocityKnown = true
	fill(330, o.BaseVelocityMps[:])
	for i, image := range []*message.ColorImage{&o.RGB1, &o.RGB2} {
		image.Resize(height, width)
		image.ImageStamp = message.ImageStamp{Sequence: uint64(20 + i), MonotonicNs: -int64(30 + i), RateHz: 30.5 + float64(i)}
		for at := range image.Pixels {
			image.Pixels[at] = byte(at*7 + i)
		}
	}
	for i, image := range []*message.ScalarImage{&o.Depth, &o.Confidence} {
		image.Resize(height, width)
		image.ImageStamp = message.ImageStamp{Sequence: uint64(40 + i), MonotonicNs: int64(50 + i), RateHz: 15.5 + float64(i)}
		for at := range image.Values {
			image.Values[at] = float32(at) + 0.25 + float32(i)
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

// reply is a reply with every text; plainReply has only what each must have.
func reply() *message.ControlReply {
	return &message.ControlReply{
		Sequence: 1, SessionID: 0xfedcba9876543210, ReceivedNs: -3, SentNs: math.MaxInt64, Status: message.FaultLasts,
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

// form is a kind of frame: an example of it, and what decodes it into a fresh message and encodes that again.
type form struct {
	name   string
	frame  []byte
	decode func(frame []byte) error
	again  func(frame []byte) ([]byte, error)
}

func forms(t testing.TB) []form {
	decodeO := func(frame []byte) error { return DecodeObservation(&message.Observation{}, frame) }
	againO := func(frame []byte) ([]byte, error) {
		var o message.Observation
		if err := DecodeObservation(&o, frame); err != nil {
			return nil, err
		}
		return AppendObservation(nil, &o)
	}
	decodeC := func(frame []byte) error { return DecodeJointCommand(&message.JointCommand{}, frame) }
	againC := func(frame []byte) ([]byte, error) {
		var c message.JointCommand
		if err := DecodeJointCommand(&c, frame); err != nil {
			return nil, err
		}
		return AppendJointCommand(nil, &c)
	}
	decodeN := func(frame []byte) error { return DecodeNavigationCommand(&message.NavigationCommand{}, frame) }
	againN := func(frame []byte) ([]byte, error) {
		var c message.NavigationCommand
		if err := DecodeNavigationCommand(&c, frame); err != nil {
			return nil, err
		}
		return AppendNavigationCommand(nil, &c), nil
	}
	decodeRequest := func(frame []byte) error { return DecodeControlRequest(&message.ControlRequest{}, frame) }
	againRequest := func(frame []byte) ([]byte, error) {
		var r message.ControlRequest
		if err := DecodeControlRequest(&r, frame); err != nil {
			return nil, err
		}
		return AppendControlRequest(nil, &r), nil
	}
	decodeReply := func(frame []byte) error { return DecodeControlReply(&message.ControlReply{}, frame) }
	againReply := func(frame []byte) ([]byte, error) {
		var r message.ControlReply
		if err := DecodeControlReply(&r, frame); err != nil {
			return nil, err
		}
		return AppendControlReply(nil, &r)
	}
	return []form{
		{"observation", encodeObservation(t, observation(12, 4)), decodeO, againO},
		{"observation_images", encodeObservation(t, full(2, 3)), decodeO, againO},
		{"joint_command", encodeCommand(t, command(12)), decodeC, againC},
		{"joint_command_feed_forward", encodeCommand(t, fullCommand(12)), decodeC, againC},
		{"navigation_command", AppendNavigationCommand(nil, navigation()), decodeN, againN},
		{"control_request", AppendControlRequest(nil, request()), decodeRequest, againRequest},
		{"control_reply", encodeReply(t, plainReply()), decodeReply, againReply},
		{"control_reply_refused", encodeReply(t, reply()), decodeReply, againReply},
	}
}

// same compares observations, and images by their bits: NaN is the same as NaN.
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

func TestMessagesSurviveTheRoundTrip(t *testing.T) {
	partial := full(4, 5)
	partial.RGB1.Clear()
	partial.Depth.Clear()
	partial.Confidence.Resize(1, message.MaxImageSide)
	clear(partial.Confidence.Values)
	reused := full(3, 3) // Everything of it must go.
	for name, want := range map[string]*message.Observation{
		"go1": observation(12, 4), "hex": observation(18, 6), "nothing": observation(0, 0), "no feet": observation(1, 0),
		"the largest": observation(robot.MaxJoints, robot.MaxFeet), "images": full(48, 64), "some images": partial,
	} {
		frame := encodeObservation(t, want)
		if err := DecodeObservation(reused, frame); err != nil || !same(reused, want) {
			t.Errorf("%s: observation = %+v, %v, want %+v", name, reused, err, want)
		}
		if n, err := ObservationBytes(want); err != nil || n != len(frame) {
			t.Errorf("%s: size = %d, %v, want %d", name, n, err, len(frame))
		}
	}
	reusedCommand := fullCommand(3)
	for name, want := range map[string]*message.JointCommand{
		"plain": command(12), "feed-forward": fullCommand(18), "nothing": command(0), "the largest": fullCommand(robot.MaxJoints),
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
			t.Errorf("%s: a frame of %d bytes exceeds MaxCommandBytes %d", name, len(frame), MaxCommandBytes)
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
	gotReply := *reply() // Everything of it must go.
	for _, want := range []*message.ControlReply{plainReply(), reply()} {
		if err := DecodeControlReply(&gotReply, encodeReply(t, want)); err != nil || gotReply != *want {
			t.Errorf("control reply = %+v, %v, want %+v", gotReply, err, want)
		}
	}
}

func TestTextsOfAReplyAreCutAndMadePrintable(t *testing.T) {
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
		t.Errorf("a frame of %d bytes, want at most %d", len(frame), MaxControlBytes/4)
	}
	if got, err := AppendControlReply([]byte{7}, &message.ControlReply{}); err != Shape || !bytes.Equal(got, []byte{7}) {
		t.Errorf("a reply without a state: % x, %v, want an untouched buffer and Shape", got, err)
	}
}

func TestMalformedControlFramesHaveACause(t *testing.T) {
	le := binary.LittleEndian
	set8 := func(at int, v byte) func([]byte) { return func(b []byte) { b[at] = v } }
	set32 := func(at int, v uint32) func([]byte) { return func(b []byte) { le.PutUint32(b[at:], v) } }
	const entryState, entryReason, bodyStatus, bodyState = 128, 320, 384, 448
	for _, tt := range []struct {
		name   string
		form   string
		change func([]byte)
		want   Cause
	}{
		{"a reply as a request", "control_request", set8(6, 5), Kind},
		{"a command as a request", "control_request", set8(6, 2), Kind},
		{"a kind of the future", "control_request", set8(6, 6), Kind},
		{"a request that answers an observation", "control_request", set8(48, 1), Reserved},
		{"a request for two operations", "control_request", set32(64+16, 2), Shape},
		{"a request for none", "control_request", set32(64+16, 0), Shape},
		{"an operation as f64", "control_request", set8(64+2, 3), Shape},
		{"a request without an operation", "control_request", set8(64, 65), Section},
		{"an operation that is not known", "control_request", set8(128, 255), ""},
		{"a request as a reply", "control_reply_refused", set8(6, 4), Kind},
		{"a reply without a state", "control_reply_refused", set8(entryState, 79), Section},
		{"a state of no letters", "control_reply_refused", set32(entryState+16, 0), Shape},
		{"a state of 65 letters", "control_reply_refused", set32(entryState+16, 65), Shape},
		{"a reason of 257 letters", "control_reply_refused", set32(entryReason+16, 257), Shape},
		{"a bell in the state", "control_reply_refused", set8(bodyState, 7), Value},
		{"a rubout in the state", "control_reply_refused", set8(bodyState, 127), Value},
		{"a letter beyond ASCII", "control_reply_refused", set8(bodyState, 0xe4), Value},
		{"something after the status", "control_reply_refused", set8(bodyStatus+1, 1), Reserved},
		{"a status that is not known", "control_reply_refused", set8(bodyStatus, 255), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := forms(t)
			f := all[slices.IndexFunc(all, func(f form) bool { return f.name == tt.form })]
			tt.change(f.frame)
			reseal(f.frame)
			err := f.decode(f.frame)
			if tt.want == "" && err != nil || tt.want != "" && err != tt.want {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
	got := *reply()
	if err := DecodeControlReply(&got, nil); err != Short || got != *reply() {
		t.Errorf("a refused reply: %+v, %v, want it unchanged", got, err)
	}
}

func TestTheLargestObservationFitsAFrame(t *testing.T) {
	o := full(2048, 2048)
	if n, err := ObservationBytes(o); err != nil || n > MaxFrameBytes {
		t.Errorf("size = %d, %v, want at most %d", n, err, MaxFrameBytes)
	}
}

// The layout is a contract with readers in other languages: what is where is written out by hand, as in docs/hal.md.
func TestLayoutIsTheDocumentedOne(t *testing.T) {
	frame := encodeObservation(t, full(2, 3))
	u8At := func(at int) uint64 { return uint64(frame[at]) }
	u16At := func(at int) uint64 { return uint64(binary.LittleEndian.Uint16(frame[at:])) }
	u32At := func(at int) uint64 { return uint64(binary.LittleEndian.Uint32(frame[at:])) }
	u64At := func(at int) uint64 { return binary.LittleEndian.Uint64(frame[at:]) }
	f64At := func(at int) float64 { return math.Float64frombits(u64At(at)) }
	if string(frame[:4]) != "KRBY" {
		t.Errorf("magic = %q", frame[:4])
	}
	for _, tt := range []struct {
		what      string
		got, want uint64
	}{
		{"major", u8At(4), 2}, {"minor", u8At(5), 0}, {"kind", u8At(6), 1}, {"sections", u8At(7), 10},
		{"frame bytes", u32At(8), uint64(len(frame))},
		{"sequence", u64At(16), 1}, {"session", u64At(24), 0xfedcba9876543210},
		{"monotonic", u64At(32), math.MaxInt64}, {"wall", u64At(40), math.MaxUint64 - 3}, {"answered", u64At(48), 0}, {"reserved", u64At(56), 0},
		{"position id", u16At(64), 1}, {"position type", u8At(66), 3}, {"position rank", u8At(67), 1},
		{"position offset", u32At(68), 704}, {"position bytes", u32At(72), 96}, {"position dims", u32At(80), 12},
		{"velocity offset", u32At(128 + 4), 832}, {"effort offset", u32At(192 + 4), 960}, {"imu offset", u32At(256 + 4), 1088},
		{"contacts id", u16At(320), 5}, {"contacts offset", u32At(320 + 4), 1216}, {"contacts bytes", u32At(320 + 8), 4},
		{"base velocity id", u16At(384), 6}, {"base velocity offset", u32At(384 + 4), 1280},
		{"rgb 1 id", u16At(448), 16}, {"rgb 1 type", u8At(450), 1}, {"rgb 1 rank", u8At(451), 3}, {"rgb 1 offset", u32At(452), 1344},
		{"rgb 1 bytes", u32At(456), 18}, {"rgb 1 checksum", u32At(460), 0},
		{"rgb 1 height", u32At(464), 2}, {"rgb 1 width", u32At(468), 3}, {"rgb 1 channels", u32At(472), 3},
		{"rgb 1 sequence", u64At(480), 20}, {"rgb 1 monotonic", u64At(488), math.MaxUint64 - 29}, {"rgb 1 rate", u64At(496), math.Float64bits(30.5)},
		{"rgb 2 id", u16At(512), 17}, {"depth id", u16At(576), 18}, {"depth type", u8At(578), 2}, {"depth rank", u8At(579), 2},
		{"confidence id", u16At(640), 19}, {"confidence offset", u32At(644), 1344 + 3*64},
		{"frame end", uint64(len(frame)), 1344 + 3*64 + 24},
		{"contact 0", u8At(1216), 1}, {"contact 1", u8At(1217), 0}, {"contact 3", u8At(1219), 1}, {"red 0 1", u8At(1344 + 3), 21},
	} {
		if tt.got != tt.want {
			t.Errorf("%s = %d, want %d", tt.what, tt.got, tt.want)
		}
	}
	for what, tt := range map[string]struct{ got, want float64 }{
		"position 1": {f64At(704 + 8), 11 + 1.0/3}, "orientation x": {f64At(1088 + 8), 301 + 1.0/3},
		"angular velocity x": {f64At(1088 + 32), 310 + 1.0/3}, "acceleration z": {f64At(1088 + 72), 322 + 1.0/3}, "base velocity y": {f64At(1280 + 8), 331 + 1.0/3},
	} {
		if tt.got != tt.want {
			t.Errorf("%s = %v, want %v", what, tt.got, tt.want)
		}
	}
	frame = encodeCommand(t, fullCommand(12))
	for _, tt := range []struct {
		what      string
		got, want uint64
	}{
		{"kind", u8At(6), 2}, {"sections", u8At(7), 4}, {"expires", u64At(40), 1 << 63}, {"answered", u64At(48), 3},
		{"target id", u16At(64), 32}, {"target offset", u32At(68), 320}, {"kp id", u16At(128), 33}, {"kd id", u16At(192), 34}, {"feed-forward id", u16At(256), 35},
	} {
		if tt.got != tt.want {
			t.Errorf("command: %s = %d, want %d", tt.what, tt.got, tt.want)
		}
	}
	frame = AppendControlRequest(nil, request())
	for _, tt := range []struct {
		what      string
		got, want uint64
	}{
		{"minor", u8At(5), 0}, {"kind", u8At(6), 4}, {"sections", u8At(7), 1}, {"frame bytes", u32At(8), 129},
		{"sequence", u64At(16), 1}, {"session", u64At(24), 2}, {"monotonic", u64At(32), 3}, {"expires", u64At(40), 1 << 63}, {"answered", u64At(48), 0},
		{"operation id", u16At(64), 64}, {"operation type", u8At(66), 1}, {"operation offset", u32At(68), 128}, {"operation bytes", u32At(72), 1}, {"operation", u8At(128), 3},
	} {
		if tt.got != tt.want {
			t.Errorf("control request: %s = %d, want %d", tt.what, tt.got, tt.want)
		}
	}
	frame = encodeReply(t, reply())
	for _, tt := range []struct {
		what      string
		got, want uint64
	}{
		{"kind", u8At(6), 5}, {"sections", u8At(7), 5}, {"sequence", u64At(16), 1}, {"session", u64At(24), 0xfedcba9876543210},
		{"received", u64At(32), math.MaxUint64 - 2}, {"sent", u64At(40), math.MaxInt64}, {"answered", u64At(48), 0},
		{"status id", u16At(64), 80}, {"state id", u16At(128), 81}, {"state dims", u32At(128 + 16), 7}, {"stopped by id", u16At(192), 82}, {"fault id", u16At(256), 83}, {"reason id", u16At(320), 84},
		{"status offset", u32At(68), 384}, {"status", u8At(384), 4}, {"state offset", u32At(128 + 4), 448}, {"reason offset", u32At(320 + 4), 640},
	} {
		if tt.got != tt.want {
			t.Errorf("control reply: %s = %d, want %d", tt.what, tt.got, tt.want)
		}
	}
	if string(frame[448:455]) != "stopped" || string(frame[512:518]) != "remote" || string(frame[576:589]) != "joint_outside" {
		t.Errorf("control reply: texts = % x", frame[448:])
	}
}

func TestFramesAreTheGoldenOnes(t *testing.T) {
	for _, f := range forms(t) {
		path := filepath.Join("testdata", f.name+".bin")
		if *update {
			if err := os.WriteFile(path, f.frame, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(f.frame, want) {
			t.Errorf("%s: error %v, found % x, expected % x; go test ./hal/wire -update writes it", path, err, f.frame, want)
		}
		if got, err := f.again(want); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s decodes and encodes to % x, %v", path, got, err)
		}
	}
}

func TestEncodingAppends(t *testing.T) {
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

func TestEncodingRefusesWhatNoFrameCanHold(t *testing.T) {
	for name, change := range map[string]func(*message.Observation){
		"a short second slice":      func(o *message.Observation) { o.VelocityRadPerSec = o.VelocityRadPerSec[:1] },
		"no third slice":            func(o *message.Observation) { o.EffortNm = nil },
		"too many joints":           func(o *message.Observation) { o.Resize(robot.MaxJoints+1, 4) },
		"too many feet":             func(o *message.Observation) { o.Resize(12, robot.MaxFeet+1) },
		"an image without pixels":   func(o *message.Observation) { o.RGB1.Pixels = nil },
		"pixels without an image":   func(o *message.Observation) { o.RGB2.Height, o.RGB2.Width = 0, 0 },
		"an image with one side":    func(o *message.Observation) { o.Depth.Width = 0 },
		"an image that is too long": func(o *message.Observation) { o.Depth.Resize(1, message.MaxImageSide+1) },
		"an image that is too big":  func(o *message.Observation) { o.Confidence.Resize(2049, 2048) },
		"a negative image":          func(o *message.Observation) { o.Depth.Height, o.Depth.Width = -2, -3 },
		"a depth of another shape":  func(o *message.Observation) { o.Depth.Height++ },
	} {
		o := full(2, 3)
		change(o)
		if got, err := AppendObservation([]byte{7}, o); err != Shape || !bytes.Equal(got, []byte{7}) {
			t.Errorf("%s: observation = % x, %v, want an untouched buffer and Shape", name, got, err)
		}
		if n, err := ObservationBytes(o); err != Shape || n != 0 {
			t.Errorf("%s: size = %d, %v, want Shape", name, n, err)
		}
	}
	for name, change := range map[string]func(*message.JointCommand){
		"a short second slice": func(c *message.JointCommand) { c.Kp = c.Kp[:1] },
		"no third slice":       func(c *message.JointCommand) { c.Kd = nil },
		"half a feed-forward":  func(c *message.JointCommand) { c.FeedForwardNm = c.FeedForwardNm[:6] },
		"too many joints":      func(c *message.JointCommand) { c.Resize(robot.MaxJoints + 1) },
	} {
		c := fullCommand(12)
		change(c)
		if got, err := AppendJointCommand([]byte{7}, c); err != Shape || !bytes.Equal(got, []byte{7}) {
			t.Errorf("%s: command = % x, %v, want an untouched buffer and Shape", name, got, err)
		}
	}
}

// Entries of the table of full: where they begin.
const (
	entryPosition     = 64
	entryVelocity     = 128
	entryEffort       = 192
	entryIMU          = 256
	entryContacts     = 320
	entryBaseVelocity = 384
	entryRGB1         = 448
	entryDepth        = 576
	entryConfidence   = 640
)

func TestMalformedFramesHaveACause(t *testing.T) {
	le := binary.LittleEndian
	set8 := func(at int, v byte) func([]byte) { return func(b []byte) { b[at] = v } }
	set32 := func(at int, v uint32) func([]byte) { return func(b []byte) { le.PutUint32(b[at:], v) } }
	all := func(changes ...func([]byte)) func([]byte) {
		return func(b []byte) {
			for _, change := range changes {
				change(b)
			}
		}
	}
	// The header and the table get new checksums after the change: what is refused is refused for its content.
	tests := []struct {
		name   string
		change func([]byte)
		want   Cause
	}{
		{"another magic", set8(0, 'X'), Magic},
		{"version 1", set8(4, 1), Version},
		{"version 3", set8(4, 3), Version},
		{"another kind", set8(6, 2), Kind},
		{"no kind", set8(6, 0), Kind},
		{"a length of 100 MB", set32(8, 100e6), Length},
		{"a length of 2^32-1", set32(8, math.MaxUint32), Length},
		{"a length of 0", set32(8, 0), Length},
		{"33 sections", set8(7, 33), Section},
		{"255 sections", set8(7, 255), Section},
		{"no sections", set8(7, 0), Section},
		{"a section fewer", set8(7, 9), Layout},
		{"something that an observation does not answer", set8(48, 1), Reserved},
		{"something in the header's reserve", set8(63, 1), Reserved},
		{"an unknown section in a known minor version", set8(entryPosition, 0), Section},
		{"a section twice", set8(entryVelocity, 1), Section},
		{"sections out of order", all(set8(entryVelocity, 3), set8(entryEffort, 2)), Section},
		{"a required section as another", set8(entryPosition, 2), Section},
		{"an image as an unknown one", set8(entryConfidence, 20), Section},
		{"positions as f32", set8(entryPosition+2, 2), Shape},
		{"elements of type 0", set8(entryPosition+2, 0), Shape},
		{"elements of type 255", set8(entryPosition+2, 255), Shape},
		{"no dimension", set8(entryPosition+3, 0), Shape},
		{"255 dimensions", set8(entryPosition+3, 255), Shape},
		{"2^32-1 joints", set32(entryPosition+16, math.MaxUint32), Shape},
		{"65 joints", set32(entryPosition+16, robot.MaxJoints+1), Shape},
		{"a joint fewer", set32(entryPosition+16, 11), Shape},
		{"a second dimension", set32(entryPosition+20, 1), Shape},
		{"an IMU of 9 values", set32(entryIMU+16, 9), Shape},
		{"33 feet", set32(entryContacts+16, robot.MaxFeet+1), Shape},
		{"an image of no rows", set32(entryRGB1+16, 0), Shape},
		{"an image of 2^32-1 rows", set32(entryRGB1+16, math.MaxUint32), Shape},
		{"an image whose size overflows 2^64", all(set32(entryDepth+16, math.MaxUint32), set32(entryDepth+20, math.MaxUint32)), Shape},
		{"an image whose size is 0 modulo 2^64", all(set32(entryRGB1+16, 1<<31), set32(entryRGB1+20, 1<<31), set32(entryRGB1+24, 4)), Shape},
		{"an image of too many pixels", all(set32(entryDepth+16, 4096), set32(entryDepth+20, 4096)), Shape},
		{"an image of 4 channels", set32(entryRGB1+24, 4), Shape},
		{"an image of another size", set32(entryRGB1+16, 3), Shape},
		{"an image with its sides swapped is another image", all(set32(entryRGB1+16, 3), set32(entryRGB1+20, 2)), ""},
		{"a section of 100 MB", set32(entryPosition+8, 100e6), Layout},
		{"a section of 2^32-1 bytes", set32(entryPosition+8, math.MaxUint32), Layout},
		{"a section a byte shorter", set32(entryConfidence+8, 23), Shape},
		{"a section that is not aligned", set32(entryPosition+4, 705), Layout},
		{"a section in the header", set32(entryPosition+4, 0), Layout},
		{"a section beyond the frame", set32(entryPosition+4, math.MaxUint32-63), Layout},
		{"a section with a hole before", set32(entryVelocity+4, 896), Layout},
		{"sections that overlap", set32(entryVelocity+4, 704), Layout},
		{"something between sections", set8(704+96, 1), Reserved},
		{"something in an entry's reserve", set8(entryPosition+28, 1), Reserved},
		{"something at an entry's end", set8(entryRGB1+63, 1), Reserved},
		{"joints with a stamp", set8(entryPosition+32, 1), Reserved},
		{"an image with a checksum", set8(entryRGB1+12, 1), Reserved},
		{"a contact of 2", set8(1216, 2), Value},
		{"a contact of 255", set8(1219, 255), Value},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			frame := encodeObservation(t, full(2, 3))
			tt.change(frame)
			reseal(frame)
			checkRefused(t, frame, tt.want)
		})
	}
	t.Run("slices that disagree", func(t *testing.T) {
		// Velocities of 11 joints lie where those of 12 would.
		frame := encodeObservation(t, full(2, 3))
		le.PutUint32(frame[entryVelocity+8:], 88)
		le.PutUint32(frame[entryVelocity+16:], 11)
		clear(frame[832+88 : 832+96])
		reseal(frame)
		checkRefused(t, frame, Shape)
	})
	for name, change := range map[string]func([]byte) []byte{
		"a trailing byte":          func(b []byte) []byte { return append(b, 0) },
		"a trailing byte declared": func(b []byte) []byte { b = append(b, 0); le.PutUint32(b[8:], uint32(len(b))); reseal(b); return b },
		"100 MB of it":             func(b []byte) []byte { return append(b, make([]byte, 100e6)...) },
		"100 MB of it declared": func(b []byte) []byte {
			b = append(b, make([]byte, 100e6)...)
			le.PutUint32(b[8:], uint32(len(b)))
			reseal(b)
			return b
		},
	} {
		t.Run(name, func(t *testing.T) { checkRefused(t, change(encodeObservation(t, full(2, 3))), Length) })
	}
	for name, tt := range map[string]struct {
		frame []byte
		want  Cause
	}{
		"nothing":               {nil, Short},
		"half a magic":          {[]byte("KR"), Short},
		"a header less a byte":  {encodeObservation(t, full(2, 3))[:63], Short},
		"something else":        {[]byte("observation"), Magic},
		"a header and no table": {encodeObservation(t, full(2, 3))[:64], Length},
	} {
		t.Run(name, func(t *testing.T) { checkRefused(t, tt.frame, tt.want) })
	}
}

// reseal is seal for a frame that need not be well formed: it gives checksums to what it can find.
func reseal(frame []byte) {
	le := binary.LittleEndian
	end := headerBytes + int(frame[7])*entryBytes
	for at := headerBytes; at < end && at+entryBytes <= len(frame); at += entryBytes {
		offset, length := uint64(le.Uint32(frame[at+4:])), uint64(le.Uint32(frame[at+8:]))
		if id := le.Uint16(frame[at:]); (id < 16 || id > 19) && offset+length <= uint64(len(frame)) {
			le.PutUint32(frame[at+12:], crc32.Checksum(frame[offset:offset+length], castagnoli))
		}
	}
	if end <= len(frame) {
		le.PutUint32(frame[12:], headerChecksum(frame[:end]))
	}
}

// checkRefused checks that a decoder refuses frame, without changing its message; want "" is a frame that passes.
func checkRefused(t *testing.T, frame []byte, want Cause) {
	t.Helper()
	got := full(1, 1)
	err := DecodeObservation(got, frame)
	if want == "" {
		if err != nil {
			t.Errorf("error = %v, want none", err)
		}
		return
	}
	if err != want {
		t.Errorf("error = %v, want %q", err, want)
	}
	if !same(got, full(1, 1)) {
		t.Error("a refused frame changed the observation")
	}
}

func TestSectionsMustAgreeInACommand(t *testing.T) {
	le := binary.LittleEndian
	frame := encodeCommand(t, fullCommand(12))
	le.PutUint32(frame[256+8:], 80) // Feed-forward: the last section.
	le.PutUint32(frame[256+16:], 10)
	le.PutUint32(frame[8:], uint32(len(frame)-16))
	frame = frame[:len(frame)-16]
	seal(frame)
	if err := DecodeJointCommand(&message.JointCommand{}, frame); err != Shape {
		t.Errorf("a short feed-forward: error = %v, want Shape", err)
	}
	frame = encodeCommand(t, command(0))
	frame = slices.Insert(frame, len(frame), frame[192:256]...)
	frame[7], frame[256] = 4, 35
	for i := range 4 {
		le.PutUint32(frame[64+64*i+4:], 320)
	}
	le.PutUint32(frame[8:], 320)
	seal(frame)
	if err := DecodeJointCommand(&message.JointCommand{}, frame); err != Shape {
		t.Errorf("a feed-forward of no joints: error = %v, want Shape", err)
	}
}

// newer is the frame of full(2, 3) as a later minor version might write it, with sections of ids that are not known.
func newer(t testing.TB, minor byte, body []byte) []byte {
	t.Helper()
	le := binary.LittleEndian
	old := encodeObservation(t, full(2, 3))
	frame := slices.Clone(old[:headerBytes])
	add := func(id uint16, from []byte) {
		entry := make([]byte, entryBytes)
		copy(entry, from)
		le.PutUint16(entry, id)
		frame = append(frame, entry...)
	}
	unknown := make([]byte, entryBytes)
	unknown[2], unknown[3] = 9, 200 // Types and shapes of the future.
	le.PutUint32(unknown[8:], uint32(len(body)))
	for i := range 10 {
		entry := old[headerBytes+i*entryBytes:][:entryBytes]
		id := le.Uint16(entry)
		add(id, entry)
		if id == 6 {
			add(7, unknown)
		}
	}
	add(math.MaxUint16, unknown)
	frame[5], frame[7] = minor, 12
	from := headerBytes + 10*entryBytes
	at := len(frame)
	for i := range 12 {
		entry := frame[headerBytes+i*entryBytes:][:entryBytes]
		length := int(le.Uint32(entry[8:]))
		content := body
		if id := le.Uint16(entry); id != 7 && id != math.MaxUint16 {
			content = old[from:][:length]
			from = int(align(uint64(from + length)))
		}
		at = int(align(uint64(at)))
		le.PutUint32(entry[4:], uint32(at))
		at += length
		frame = append(pad(frame, 0), content...)
	}
	le.PutUint32(frame[8:], uint32(len(frame)))
	le.PutUint32(frame[12:], headerChecksum(frame[:headerBytes+12*entryBytes]))
	return frame
}

func TestUnknownSectionsAreSkippedInANewerMinorVersionOnly(t *testing.T) {
	for _, body := range []string{"", "x", "something that nobody knows yet, of any length and without a checksum"} {
		var o message.Observation
		if err := DecodeObservation(&o, newer(t, 1, []byte(body))); err != nil || !same(&o, full(2, 3)) {
			t.Errorf("minor version 1: observation = %+v, %v, want %+v", o, err, full(2, 3))
		}
		if err := DecodeObservation(&o, newer(t, 0, []byte(body))); err != Section {
			t.Errorf("minor version 0: error = %v, want Section", err)
		}
	}
	frame := newer(t, 200, []byte("x"))
	for n := range frame {
		if err := DecodeObservation(&message.Observation{}, frame[:n:n]); !isCause(err) {
			t.Errorf("%d bytes of a newer frame: error = %v, want a Cause", n, err)
		}
	}
	frame[headerBytes+6*entryBytes+8] = 200 // The unknown section is longer than it is.
	binary.LittleEndian.PutUint32(frame[12:], headerChecksum(frame[:headerBytes+12*entryBytes]))
	if err := DecodeObservation(&message.Observation{}, frame); err != Layout {
		t.Errorf("an unknown section over others: error = %v, want Layout", err)
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	for _, f := range forms(t) {
		for n := range f.frame {
			if err := f.decode(f.frame[:n:n]); n < headerBytes && err != Short || n >= headerBytes && err != Length {
				t.Errorf("%s of %d bytes: error = %v", f.name, n, err)
			}
			cut := slices.Clone(f.frame[:n]) // A frame that says so itself.
			if n >= headerBytes {
				binary.LittleEndian.PutUint32(cut[8:], uint32(n))
				reseal(cut)
				if err := f.decode(cut); !isCause(err) {
					t.Errorf("%s, declared to have %d bytes: error = %v, want a Cause", f.name, n, err)
				}
			}
		}
	}
}

func TestEveryBitFlipIsRefusedExceptInPixels(t *testing.T) {
	for _, f := range forms(t) {
		// Where pixels are, in the frame of full(2, 3): two of 18 bytes, two of 24.
		pixel := func(at int) bool {
			at -= 1344
			return f.name == "observation_images" && at >= 0 && (at < 128 && at%64 < 18 || at >= 128 && at%64 < 24)
		}
		for bit := range 8 * len(f.frame) {
			at := bit / 8
			f.frame[at] ^= 1 << (bit % 8)
			err := f.decode(f.frame)
			want := Checksum
			switch {
			case pixel(at):
				again, againErr := f.again(f.frame)
				if err != nil || againErr != nil || !bytes.Equal(again, f.frame) {
					t.Errorf("%s: flip of bit %d in pixels: error = %v, %v, want none and the same frame", f.name, bit, err, againErr)
				}
				f.frame[at] ^= 1 << (bit % 8)
				continue
			case at < 4:
				want = Magic
			case at == 4:
				want = Version
			case at == 6:
				want = Kind
			case at >= 8 && at < 12:
				want = Length
			}
			f.frame[at] ^= 1 << (bit % 8)
			switch {
			case at == 7: // The number of sections: too many, too long, or left to the checksum.
				if err != Section && err != Length && err != Checksum {
					t.Errorf("%s: flip of bit %d: error = %v", f.name, bit, err)
				}
			case at >= headerBytes+entryBytes*int(f.frame[7]) && err == Reserved: // Between sections.
			case err != want:
				t.Errorf("%s: flip of bit %d: error = %v, want %v", f.name, bit, err, want)
			}
		}
	}
}

func TestDamageToALargeFrameIsRefusedOrInPixels(t *testing.T) {
	frame := encodeObservation(t, full(480, 640))
	pixels := 1344
	random := rand.New(rand.NewPCG(1, 2))
	var o message.Observation
	for range 20_000 {
		at := random.IntN(len(frame))
		if random.IntN(4) == 0 {
			at = random.IntN(pixels)
		}
		intact := frame[at]
		frame[at] ^= 1 << random.IntN(8)
		before := frame[at]
		if err := DecodeObservation(&o, frame); (err == nil) != (at >= pixels) {
			t.Fatalf("flip in byte %d: error = %v", at, err)
		}
		if frame[at] != before {
			t.Fatalf("decoding wrote into byte %d of the frame", at)
		}
		frame[at] = intact
	}
	for range 1000 {
		n := random.IntN(len(frame))
		if err := DecodeObservation(&o, frame[:n:n]); err != Length && err != Short {
			t.Fatalf("%d bytes: error = %v", n, err)
		}
	}
}

// What bit flips and the fuzzer seldom find: headers and tables that are well sealed and nearly right.
func TestForgedTablesAreRefusedOrTheOneFrameOfAMessage(t *testing.T) {
	le := binary.LittleEndian
	random := rand.New(rand.NewPCG(3, 4))
	interesting := []uint32{0, 1, 2, 3, 4, 6, 10, 11, 12, 13, 18, 24, 64, 65, 96, 128, 4096, 4097, 1 << 16, 1 << 30, 1 << 31, math.MaxUint32 - 63, math.MaxUint32}
	all := append(forms(t), forms(t)[1])
	all[len(all)-1].frame = newer(t, 1, []byte("unknown"))
	reached := map[error]int{}
	for range 100_000 {
		f := all[random.IntN(len(all))]
		frame := slices.Clone(f.frame)
		end := headerBytes + int(frame[7])*entryBytes
		for range 1 + random.IntN(3) {
			at := 4 * random.IntN(end/4)
			switch random.IntN(4) {
			case 0:
				le.PutUint32(frame[at:], interesting[random.IntN(len(interesting))])
			case 1:
				frame[at+random.IntN(4)] = byte(interesting[random.IntN(len(interesting))])
			case 2: // Another number of the table, or of this one more or less.
				le.PutUint32(frame[at:], le.Uint32(frame[4*random.IntN(end/4):])+uint32(random.IntN(3)-1))
			case 3: // Two entries in each other's place.
				a, b := headerBytes+entryBytes*random.IntN(end/entryBytes-1), headerBytes+entryBytes*random.IntN(end/entryBytes-1)
				for i := range entryBytes {
					frame[a+i], frame[b+i] = frame[b+i], frame[a+i]
				}
			}
		}
		if random.IntN(8) == 0 {
			frame = frame[:random.IntN(len(frame)+1)]
		}
		if len(frame) >= headerBytes && random.IntN(16) != 0 {
			le.PutUint32(frame[8:], uint32(len(frame)))
			reseal(frame)
		}
		got, err := f.again(frame[:len(frame):len(frame)])
		reached[err]++
		switch {
		case err != nil && !isCause(err):
			t.Fatalf("% x: error = %v, want a Cause", frame, err)
		case err == nil && frame[5] == Minor && !bytes.Equal(got, frame):
			t.Fatalf("% x encodes to % x", frame, got)
		}
	}
	for _, cause := range append([]Cause{""}, Causes()...) {
		var err error
		if cause != "" {
			err = cause
		}
		if reached[err] == 0 && cause != Value { // Not in the table.
			t.Errorf("no frame was refused for %q: %v", cause, reached)
		}
	}
}

func isCause(err error) bool {
	cause, ok := err.(Cause)
	return ok && slices.Contains(Causes(), cause)
}

func TestCausesAreKeysOfCounters(t *testing.T) {
	seen := map[Cause]bool{}
	for _, c := range Causes() {
		if seen[c] || strings.ToLower(string(c)) != string(c) || strings.ContainsAny(string(c), " -") || c.Error() != "malformed frame: "+string(c) {
			t.Errorf("cause %q, %q", c, c.Error())
		}
		seen[c] = true
	}
}

func TestDecodedImagesBorrowFromTheFrame(t *testing.T) {
	frame := encodeObservation(t, full(2, 3))
	var o message.Observation
	if err := DecodeObservation(&o, frame); err != nil {
		t.Fatal(err)
	}
	frame[1344], frame[1344+128+3] = 77, 0x42 // Red of the first pixel; the exponent of the first depth.
	if o.RGB1.Pixels[0] != 77 || math.Float32bits(o.Depth.Values[0])>>24 != 0x42 {
		t.Errorf("first pixel = %d, first depth = %v: they were copied", o.RGB1.Pixels[0], o.Depth.Values[0])
	}
	if cap(o.RGB1.Pixels) != 18 || cap(o.Confidence.Values) != 6 {
		t.Errorf("pixels reach beyond their section: %d and %d values", cap(o.RGB1.Pixels), cap(o.Confidence.Values))
	}
	// At an odd address floats cannot be read in place; the message is the same.
	odd := append(make([]byte, 1, len(frame)+1), encodeObservation(t, full(2, 3))...)
	if err := DecodeObservation(&o, odd[1:]); err != nil || !same(&o, full(2, 3)) {
		t.Errorf("at an odd address: observation = %+v, %v, want %+v", o, err, full(2, 3))
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	o, c, n := full(48, 64), fullCommand(18), navigation()
	r, answer := request(), plainReply()
	rFrame := AppendControlRequest(nil, r)
	oFrame, cFrame, nFrame := encodeObservation(t, o), encodeCommand(t, c), AppendNavigationCommand(nil, n)
	plain, unaligned := encodeObservation(t, observation(12, 4)), append([]byte{0}, oFrame...)[1:]
	huge := slices.Clone(oFrame)
	binary.LittleEndian.PutUint32(huge[entryDepth+16:], message.MaxImageSide)
	reseal(huge)
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
		"refuse another kind":         func() error { _ = DecodeJointCommand(c, oFrame); return nil },
		"refuse a large claim":        func() error { _ = DecodeObservation(&message.Observation{}, huge); return nil },
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

func TestDecodingAllocatesNoMoreThanTheFrame(t *testing.T) {
	frame := append([]byte{0}, encodeObservation(t, full(480, 640))...)[1:]
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := DecodeObservation(&message.Observation{}, frame); err != nil {
				b.Fatal(err)
			}
		}
	})
	// The two images of floats, copied because of the address, and less than 64 KiB for all else.
	if got, most := result.AllocedBytesPerOp(), int64(2*4*480*640+1<<16); got > most {
		t.Errorf("decoding %d bytes allocated %d, want at most %d", len(frame), got, most)
	}
}

// Whatever decodes must encode to the same bytes, unless a newer minor version wrote it: there is one frame for each
// message.
func fuzz(f *testing.F, want kind, again func([]byte) ([]byte, error)) {
	for _, form := range forms(f) {
		f.Add(form.frame)
		f.Add(form.frame[:headerBytes])
	}
	f.Add(newer(f, 1, []byte("unknown")))
	f.Add([]byte(nil))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, frame []byte) {
		// The header and the checksums would keep the fuzzer out: it is let in with those that its frame should have, too.
		sealed := slices.Clone(frame)
		if len(sealed) >= headerBytes {
			copy(sealed, magic)
			sealed[4], sealed[6] = Major, byte(want)
			binary.LittleEndian.PutUint32(sealed[8:], uint32(len(sealed)))
			reseal(sealed)
		}
		for _, frame := range [][]byte{frame, sealed} {
			before := slices.Clone(frame)
			got, err := again(frame)
			switch {
			case err != nil && !isCause(err):
				t.Errorf("error = %v, want a Cause", err)
			case err == nil && frame[5] == Minor && !bytes.Equal(got, frame):
				t.Errorf("encodes to % x, was % x", got, frame)
			case !bytes.Equal(frame, before):
				t.Errorf("decoding changed the frame to % x, was % x", frame, before)
			}
		}
	})
}

func FuzzDecodeObservation(f *testing.F) { fuzz(f, kindObservation, forms(f)[0].again) }

func FuzzDecodeJointCommand(f *testing.F) { fuzz(f, kindCommand, forms(f)[2].again) }

func FuzzDecodeNavigationCommand(f *testing.F) { fuzz(f, kindNavigation, forms(f)[4].again) }

func FuzzDecodeControlRequest(f *testing.F) { fuzz(f, kindRequest, forms(f)[5].again) }

func FuzzDecodeControlReply(f *testing.F) { fuzz(f, kindReply, forms(f)[6].again) }

func BenchmarkObservation(b *testing.B) {
	for _, size := range []struct{ height, width int }{{0, 0}, {240, 320}, {480, 640}} {
		o := observation(12, 4)
		if size.height > 0 {
			o = full(size.height, size.width)
		}
		frame := encodeObservation(b, o)
		name := fmt.Sprintf("%dx%d", size.height, size.width)
		b.Run("encode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			buffer := slices.Clone(frame)
			for b.Loop() {
				if _, err := AppendObservation(buffer[:0], o); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("decode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			var got message.Observation
			for b.Loop() {
				if err := DecodeObservation(&got, frame); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("decode_and_copy/"+name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			var got, own message.Observation
			for b.Loop() {
				if err := DecodeObservation(&got, frame); err != nil {
					b.Fatal(err)
				}
				own.CopyFrom(&got)
			}
		})
	}
}

func BenchmarkJointCommand(b *testing.B) {
	c := fullCommand(12)
	frame := encodeCommand(b, c)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		buffer := slices.Clone(frame)
		for b.Loop() {
			if _, err := AppendJointCommand(buffer[:0], c); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := DecodeJointCommand(c, frame); err != nil {
				b.Fatal(err)
			}
		}
	})
}
