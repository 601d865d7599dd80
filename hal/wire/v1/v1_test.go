package v1

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// golden returns the messages of testdata/golden.py.
func golden(t testing.TB) (observation, command [][]byte) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string][]string
	if err := json.Unmarshal(content, &all); err != nil {
		t.Fatal(err)
	}
	decode := func(name string) (frames [][]byte) {
		for _, s := range all[name] {
			frame, err := hex.DecodeString(s)
			if err != nil {
				t.Fatal(err)
			}
			frames = append(frames, frame)
		}
		return frames
	}
	return decode("observation"), decode("joint_command")
}

// observation and command return the golden messages.
func observation() *Observation {
	o := &Observation{TimestampNs: 1700000000123456789, PositionRad: joints()}
	o.RGB1.Resize(2, 3)
	o.RGB2.Resize(2, 3)
	o.Depth.Resize(2, 3)
	o.Confidence.Resize(2, 3)
	for i := range o.RGB1.Pixels {
		o.RGB1.Pixels[i], o.RGB2.Pixels[i] = byte(i), 255-byte(i)
	}
	for i := range o.Depth.Values {
		o.Depth.Values[i], o.Confidence.Values[i] = 0.5+0.5*float32(i), 1
	}
	o.Depth.Values[5] = float32(math.NaN())
	return o
}

func command() *JointCommand {
	return &JointCommand{TimestampNs: 1700000000123456790, ObservationTimestampNs: 1700000000123456789, TargetRad: joints()}
}

func joints() []float64 {
	values := make([]float64, 18)
	for i := range values {
		values[i] = float64(i)/8 - 1
	}
	return values
}

// same compares observations. It compares images bit by bit, so that NaN equals NaN.
func same(a, b *Observation) bool {
	pixels := func(o *Observation) []byte {
		return slices.Concat(o.RGB1.Pixels, o.RGB2.Pixels, o.Depth.AppendTo(nil), o.Confidence.AppendTo(nil))
	}
	sizes := func(o *Observation) [8]int {
		return [8]int{o.RGB1.Height, o.RGB1.Width, o.RGB2.Height, o.RGB2.Width, o.Depth.Height, o.Depth.Width, o.Confidence.Height, o.Confidence.Width}
	}
	return a.TimestampNs == b.TimestampNs && slices.Equal(a.PositionRad, b.PositionRad) && sizes(a) == sizes(b) && bytes.Equal(pixels(a), pixels(b))
}

func TestDecode_golden(t *testing.T) {
	frames, commandFrames := golden(t)
	var o Observation
	if err := DecodeObservation(&o, frames); err != nil || !same(&o, observation()) {
		t.Errorf("observation = %+v, %v, want %+v", o, err, observation())
	}
	var c JointCommand
	if err := DecodeJointCommand(&c, commandFrames); err != nil || !reflect.DeepEqual(&c, command()) {
		t.Errorf("command = %+v, %v, want %+v", c, err, command())
	}
}

func TestEncode_golden(t *testing.T) {
	wantO, wantC := golden(t)
	var e Encoder
	for range 2 { // The second time in the same memory.
		if got, err := e.EncodeObservation(observation()); err != nil || !equal(got, wantO) {
			t.Errorf("observation = %q, %v, want %q", got, err, wantO)
		}
		if got, err := e.EncodeJointCommand(command()); err != nil || !equal(got, wantC) {
			t.Errorf("command = %q, %v, want %q", got, err, wantC)
		}
	}
}

func equal(a, b [][]byte) bool {
	return slices.EqualFunc(a, b, func(a, b []byte) bool { return bytes.Equal(a, b) })
}

func TestEncode_invalid(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Observation)
		want   RejectReason
	}{
		"no joints":                  {func(o *Observation) { o.PositionRad = nil }, RejectShape},
		"too many joints":            {func(o *Observation) { o.PositionRad = make([]float64, robot.MaxJoints+1) }, RejectShape},
		"NaN position":               {func(o *Observation) { o.PositionRad[17] = math.NaN() }, RejectNotFinite},
		"position overflows float32": {func(o *Observation) { o.PositionRad[0] = 1e300 }, RejectNotFinite},
		"no image":                   {func(o *Observation) { o.RGB2.Clear() }, RejectShape},
		"depth size mismatch":        {func(o *Observation) { o.Depth.Resize(3, 2) }, RejectShape},
		"camera size mismatch":       {func(o *Observation) { o.RGB2.Resize(3, 2) }, RejectShape},
		"pixel missing":              {func(o *Observation) { o.RGB1.Pixels = o.RGB1.Pixels[1:] }, RejectShape},
		"confidence values missing":  {func(o *Observation) { o.Confidence.Values = nil }, RejectShape},
		"images too large":           {func(o *Observation) { o.FromMessage(&message.Observation{PositionRad: joints()}, 2049, 2048) }, RejectShape},
	} {
		o := observation()
		tt.change(o)
		var e Encoder
		if got, err := e.EncodeObservation(o); got != nil || err != tt.want {
			t.Errorf("%s: encoded %d frames, %v, want %v", name, len(got), err, tt.want)
		}
	}
	var e Encoder
	if got, err := e.EncodeJointCommand(&JointCommand{TargetRad: []float64{math.Inf(1)}}); got != nil || err != RejectNotFinite {
		t.Errorf("infinite target: encoded %q, %v, want RejectNotFinite", got, err)
	}
	if got, err := e.EncodeJointCommand(&JointCommand{}); got != nil || err != RejectShape {
		t.Errorf("no target: encoded %q, %v, want RejectShape", got, err)
	}
}

func TestDecode_frameCount(t *testing.T) {
	observation, command := golden(t)
	frames := append(slices.Clone(observation), []byte("extra"))
	for n := range 10 {
		if err := DecodeObservation(&Observation{}, frames[:n]); n != 8 && err != RejectFrames || n == 8 && err != nil {
			t.Errorf("observation of %d frames: error = %v", n, err)
		}
		commandFrames := slices.Clone(command)
		for len(commandFrames) < n {
			commandFrames = append(commandFrames, []byte("extra"))
		}
		if err := DecodeJointCommand(&JointCommand{}, commandFrames[:n]); n != 2 && err != RejectFrames || n == 2 && err != nil {
			t.Errorf("command of %d frames: error = %v", n, err)
		}
	}
}

var nan = []byte{0, 0, 0xc0, 0x7f} // As float32.

// Changes of the frames of the golden observation. setFrame replaces a frame, cut and grow change its length, and edit replaces a
// part of the metadata.
func setFrame(frame int, content []byte) func([][]byte) {
	return func(f [][]byte) { f[frame] = content }
}

func cut(frame int) func([][]byte) {
	return func(f [][]byte) { f[frame] = f[frame][:len(f[frame])-1] }
}

func grow(frame int) func([][]byte) {
	return func(f [][]byte) { f[frame] = append(slices.Clone(f[frame]), 0) }
}

func edit(old, new string) func([][]byte) {
	return func(f [][]byte) {
		if !bytes.Contains(f[2], []byte(old)) {
			panic(old + " not found in the metadata")
		}
		f[2] = bytes.Replace(f[2], []byte(old), []byte(new), 1)
	}
}

var malformedObservations = []struct {
	name   string
	change func([][]byte)
	want   RejectReason
}{
	{"topic empty", setFrame(0, nil), RejectTopic},
	{"other topic", setFrame(0, []byte("commands")), RejectTopic},
	{"prefix of topic", setFrame(0, []byte("observ")), RejectTopic},
	{"longer topic", setFrame(0, []byte("observation2")), RejectTopic},
	{"version empty", setFrame(1, nil), RejectVersion},
	{"version 2.0", setFrame(1, []byte("2.0")), RejectVersion},
	{"version 1", setFrame(1, []byte("1")), RejectVersion},
	{"metadata empty", setFrame(2, nil), RejectMetadata},
	{"metadata array", setFrame(2, []byte("[]")), RejectMetadata},
	{"metadata number", setFrame(2, []byte("18446744073709551616")), RejectMetadata},
	{"empty metadata object", setFrame(2, []byte("{}")), RejectMetadata},
	{"metadata too long", setFrame(2, bytes.Repeat([]byte(" "), MaxMetadataBytes+1)), RejectMetadata},
	{"100 MB of metadata", setFrame(2, make([]byte, 100e6)), RejectMetadata},
	{"timestamp missing", edit(`, "timestamp_ns": 1700000000123456789`, ""), RejectMetadata},
	{"duplicate timestamp", edit(`"timestamp_ns": 1`, `"timestamp_ns": 1, "timestamp_ns": 1`), RejectMetadata},
	{"timestamp in other case", edit(`"timestamp_ns"`, `"Timestamp_ns"`), RejectMetadata},
	{"timestamp as decimal", edit("1700000000123456789", "1700000000123456789.0"), RejectMetadata},
	{"timestamp as string", edit("1700000000123456789", `"1700000000123456789"`), RejectMetadata},
	{"timestamp null", edit("1700000000123456789", "null"), RejectMetadata},
	{"timestamp of 2^63", edit("1700000000123456789", "9223372036854775808"), RejectMetadata},
	{"timestamp above 2^64", edit("1700000000123456789", "18446744073709551617"), RejectMetadata},
	{"timestamp of 400 digits", edit("1700000000123456789", strings.Repeat("9", 400)), RejectMetadata},
	{"number instead of array", edit(`{"shape": [18], "dtype": "float32"}`, "18"), RejectMetadata},
	{"shape missing", edit(`"shape": [18], `, ""), RejectMetadata},
	{"dtype missing", edit(`, "dtype": "float32"`, ""), RejectMetadata},
	{"duplicate shape", edit(`"shape": [18], `, `"shape": [18], "shape": [18], `), RejectMetadata},
	{"shape as number", edit("[18]", "18"), RejectMetadata},
	{"dimension as decimal", edit("[18]", "[18.0]"), RejectMetadata},
	{"data after object", edit("789}", "789} x"), RejectMetadata},
	{"extra comma", edit("789}", "789,}"), RejectMetadata},
	{"no joints", edit("[18]", "[0]"), RejectShape},
	{"negative joints", edit("[18]", "[-18]"), RejectShape},
	{"65 joints", edit("[18]", "[65]"), RejectShape},
	{"2^32-1 joints", edit("[18]", "[4294967295]"), RejectShape},
	{"joints of 2 dimensions", edit("[18]", "[3, 6]"), RejectShape},
	{"joints of 0 dimensions", edit("[18]", "[]"), RejectShape},
	{"joints as float64", edit(`"float32"`, `"float64"`), RejectShape},
	{"joints as big-endian float32", edit(`"float32"`, `">f4"`), RejectShape},
	{"joints as uint8", edit(`"float32"`, `"uint8"`), RejectShape},
	{"color image as float32", edit(`"uint8"`, `"float32"`), RejectShape},
	{"image of 4 dimensions", edit("[2, 3, 3]", "[1, 2, 3, 3]"), RejectShape},
	{"image of 1000 dimensions", edit("[2, 3, 3]", "["+strings.Repeat("1,", 999)+"1]"), RejectShape},
	{"image of 4 channels", edit("[2, 3, 3]", "[2, 3, 4]"), RejectShape},
	{"image size differs from camera", edit(`"camera_height": 2`, `"camera_height": 3`), RejectShape},
	{"depth size mismatch", edit("[2, 3], ", "[3, 2], "), RejectShape},
	{"camera of 0 rows", edit(`"camera_height": 2`, `"camera_height": 0`), RejectShape},
	{"camera of 2^32-1 rows", edit(`"camera_height": 2`, `"camera_height": 4294967295`), RejectShape},
	{"camera of 2^63-1 columns", edit(`"camera_width": 3`, `"camera_width": 9223372036854775807`), RejectShape},
	{"too many pixels", func(f [][]byte) {
		edit(`"camera_height": 2`, `"camera_height": 4096`)(f)
		edit(`"camera_width": 3`, `"camera_width": 4096`)(f)
	}, RejectShape},
	{"one joint fewer than declared", edit("[18]", "[17]"), RejectLength},
	{"positions without last byte", cut(3), RejectLength},
	{"positions with extra byte", grow(3), RejectLength},
	{"positions empty", setFrame(3, nil), RejectLength},
	{"image without last byte", cut(4), RejectLength},
	{"second image with extra byte", grow(5), RejectLength},
	{"depth without last byte", cut(6), RejectLength},
	{"confidence of 100 MB", setFrame(7, make([]byte, 100e6)), RejectLength},
	{"NaN position", func(f [][]byte) { f[3] = append(slices.Clone(f[3][:17*4]), nan...) }, RejectNotFinite},
	{"infinite position", func(f [][]byte) { f[3] = append([]byte{0, 0, 0x80, 0xff}, f[3][4:]...) }, RejectNotFinite},
}

func TestDecodeObservation_malformed(t *testing.T) {
	for _, tt := range malformedObservations {
		t.Run(tt.name, func(t *testing.T) {
			frames, _ := golden(t)
			tt.change(frames)
			got := observation()
			got.TimestampNs = 5
			got.RGB1.Resize(1, 1)
			want := observation()
			want.TimestampNs = 5
			want.RGB1.Resize(1, 1)
			if err := DecodeObservation(got, frames); err != tt.want {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
			if !same(got, want) {
				t.Error("a rejected message changed the observation")
			}
		})
	}
}

func TestDecodeJointCommand_malformed(t *testing.T) {
	for name, tt := range map[string]struct {
		metadata, positions string
		want                RejectReason
	}{
		"no metadata":                   {"", "\x00\x00\x00\x00", RejectMetadata},
		"observation timestamp missing": {`{"joint_positions": {"shape": [1], "dtype": "float32"}, "timestamp_ns": 1}`, "\x00\x00\x00\x00", RejectMetadata},
		"positions missing":             {`{"timestamp_ns": 1, "observation_timestamp_ns": 2}`, "\x00\x00\x00\x00", RejectMetadata},
		"positions too short":           {`{"joint_positions": {"shape": [1], "dtype": "float32"}, "timestamp_ns": 1, "observation_timestamp_ns": 2}`, "\x00\x00\x00", RejectLength},
		"NaN position":                  {`{"joint_positions": {"shape": [1], "dtype": "float32"}, "timestamp_ns": 1, "observation_timestamp_ns": 2}`, string(nan), RejectNotFinite},
		"positions as uint8":            {`{"joint_positions": {"shape": [1], "dtype": "uint8"}, "timestamp_ns": 1, "observation_timestamp_ns": 2}`, "\x00", RejectShape},
	} {
		got := command()
		if err := DecodeJointCommand(got, [][]byte{[]byte(tt.metadata), []byte(tt.positions)}); err != tt.want || !reflect.DeepEqual(got, command()) {
			t.Errorf("command with %s: error = %v, want %v and no change", name, err, tt.want)
		}
	}
}

func TestDecode_metadataVariants(t *testing.T) {
	for name, metadata := range map[string]string{
		"no spaces":    `{"joint_positions":{"shape":[1],"dtype":"float32"},"timestamp_ns":-9223372036854775808,"observation_timestamp_ns":9223372036854775807}`,
		"extra spaces": "\n{ \"joint_positions\" : { \"shape\" : [ 1 ] , \"dtype\" : \"float32\" } ,\t\"timestamp_ns\" : -9223372036854775808 , \"observation_timestamp_ns\" : 9223372036854775807 }\r\n ",
		"other order":  `{"observation_timestamp_ns": 9223372036854775807, "timestamp_ns": -9223372036854775808, "joint_positions": {"dtype": "float32", "shape": [1]}}`,
		"unknown fields": `{"x": {"a": [1, -2.5e+3, "\"é\u00e9\\", null, true, false, {}, []]}, "joint_positions": {"dtype": "float32", "order": "C", "shape": [1]},
			"timestamp_ns": -9223372036854775808, "observation_timestamp_ns": 9223372036854775807, "depth_map": 7}`,
	} {
		var c JointCommand
		err := DecodeJointCommand(&c, [][]byte{[]byte(metadata), {0, 0, 0, 0x3f}})
		if want := (JointCommand{TimestampNs: math.MinInt64, ObservationTimestampNs: math.MaxInt64, TargetRad: []float64{0.5}}); err != nil || !reflect.DeepEqual(c, want) {
			t.Errorf("%s: command = %+v, %v, want %+v", name, c, err, want)
		}
	}
}

func isRejectReason(err error) bool {
	cause, ok := err.(RejectReason)
	return ok && slices.Contains(RejectReasons(), cause)
}

func TestDecode_truncated(t *testing.T) {
	frames, commandFrames := golden(t)
	for i, whole := range frames {
		for n := range whole {
			frames[i] = whole[:n:n]
			if err := DecodeObservation(&Observation{}, frames); !isRejectReason(err) {
				t.Errorf("%d bytes of frame %d: error = %v, want a RejectReason", n, i, err)
			}
		}
		frames[i] = whole
	}
	for i, whole := range commandFrames {
		for n := range whole {
			commandFrames[i] = whole[:n:n]
			if err := DecodeJointCommand(&JointCommand{}, commandFrames); !isRejectReason(err) {
				t.Errorf("%d bytes of frame %d of a command: error = %v, want a RejectReason", n, i, err)
			}
		}
		commandFrames[i] = whole
	}
}

// Version 1 has no checksums. A message with a flipped bit must be rejected, or encode to its own frames.
func TestDecode_bitFlips(t *testing.T) {
	frames, commandFrames := golden(t)
	var e Encoder
	for i, frame := range frames {
		accepted := 0
		for bit := range 8 * len(frame) {
			frame[bit/8] ^= 1 << (bit % 8)
			var o Observation
			err := DecodeObservation(&o, frames)
			switch {
			case err != nil && !isRejectReason(err):
				t.Errorf("flip of bit %d of frame %d: error = %v, want a RejectReason", bit, i, err)
			case err == nil:
				accepted++
				reencoded, err := e.EncodeObservation(&o)
				if err != nil || i != 2 && !equal(reencoded, frames) || i == 2 && !sameJSON(reencoded[2], frame) {
					t.Errorf("flip of bit %d of frame %d: encodes to %q, %v, was %q", bit, i, reencoded, err, frames)
				}
			}
			frame[bit/8] ^= 1 << (bit % 8)
		}
		if i < 2 && accepted != 0 || i > 3 && accepted != 8*len(frame) {
			t.Errorf("%d of %d flips of frame %d were accepted", accepted, 8*len(frame), i)
		}
	}
	for i, frame := range commandFrames {
		for bit := range 8 * len(frame) {
			frame[bit/8] ^= 1 << (bit % 8)
			var c JointCommand
			err := DecodeJointCommand(&c, commandFrames)
			switch {
			case err != nil && !isRejectReason(err):
				t.Errorf("flip of bit %d of frame %d of a command: error = %v, want a RejectReason", bit, i, err)
			case err == nil:
				reencoded, err := e.EncodeJointCommand(&c)
				if err != nil || i == 1 && !equal(reencoded, commandFrames) || i == 0 && !sameJSON(reencoded[0], frame) {
					t.Errorf("flip of bit %d of frame %d of a command: encodes to %q, %v, was %q", bit, i, reencoded, err, commandFrames)
				}
			}
			frame[bit/8] ^= 1 << (bit % 8)
		}
	}
}

// sameJSON reports whether encoding/json decodes a and b to the same value, with exact numbers.
func sameJSON(a, b []byte) bool {
	decode := func(b []byte) (v any) {
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			return err
		}
		if d.More() {
			return "more"
		}
		return v
	}
	return reflect.DeepEqual(decode(a), decode(b))
}

func TestDecodeObservation_damagedLargeMessage(t *testing.T) {
	var o Observation
	o.FromMessage(&message.Observation{PositionRad: joints()}, 480, 640)
	var e Encoder
	encoded, err := e.EncodeObservation(&o)
	if err != nil {
		t.Fatal(err)
	}
	var frames [][]byte
	for _, frame := range encoded {
		frames = append(frames, slices.Clone(frame))
	}
	random := rand.New(rand.NewPCG(1, 2))
	var got Observation
	for range 5000 {
		i := random.IntN(len(frames))
		at := random.IntN(len(frames[i]))
		intact := frames[i][at]
		frames[i][at] ^= 1 << random.IntN(8)
		if err := DecodeObservation(&got, frames); err != nil && !isRejectReason(err) || err != nil && i > 3 {
			t.Fatalf("flip in byte %d of frame %d: error = %v", at, i, err)
		}
		frames[i][at] = intact
	}
}

func TestFromMessage(t *testing.T) {
	m := message.NewObservation(robot.Hex())
	m.WallNs, m.MonotonicNs = 7, 8
	var o Observation
	o.FromMessage(m, 3, 5)
	if o.TimestampNs != 7 || len(o.PositionRad) != 18 || o.RGB1.Height != 3 || o.RGB2.Width != 5 || len(o.Depth.Values) != 15 || len(o.Confidence.Values) != 15 {
		t.Errorf("FromMessage without images = %+v, want 3x5 images and 18 joints at 7 ns", o)
	}
	m.Depth.Resize(2, 2)
	copy(m.Depth.Values, []float32{1, 2, 3, 4})
	o.FromMessage(m, 3, 5)
	if o.RGB1.Height != 2 || o.RGB1.Width != 2 || len(o.RGB2.Pixels) != 12 || !slices.Equal(o.Depth.Values, m.Depth.Values) || slices.Max(o.Confidence.Values) != 0 {
		t.Errorf("FromMessage with a depth = %+v, want all images in its size", o)
	}
	m.Depth.Clear()
	o.FromMessage(m, 1, 4)
	if !slices.Equal(o.Depth.Values, []float32{0, 0, 0, 0}) {
		t.Errorf("depth after it was cleared = %v, want 0", o.Depth.Values)
	}
}

func TestToMessage(t *testing.T) {
	r := robot.Hex()
	c := &JointCommand{TimestampNs: 7, ObservationTimestampNs: 8, TargetRad: joints()}
	m := &message.JointCommand{Sequence: 9, SessionID: 9, ObservationSequence: 9, MonotonicNs: 9, FeedForwardNm: []float64{1}}
	c.ToMessage(m, r)
	want := &message.JointCommand{ExpiresNs: math.MaxInt64, TargetRad: joints(), Kp: r.Kp, Kd: r.Kd, FeedForwardNm: []float64{}}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("command = %+v, want %+v", m, want)
	}
}

func TestAllocations(t *testing.T) {
	frames, commandFrames := golden(t)
	o, c := observation(), command()
	wrong := slices.Clone(frames)
	wrong[2] = bytes.Replace(frames[2], []byte("[18]"), []byte("[4294967295]"), 1)
	more := [][]byte{[]byte(`{"x": [{"y": [1, 2]}], ` + string(commandFrames[0][1:])), commandFrames[1]}
	var e Encoder
	tests := []struct {
		name       string
		limitBytes uint64
		step       func() error
	}{
		{"encode observation", 0, func() error { _, err := e.EncodeObservation(o); return err }},
		{"encode joint command", 0, func() error { _, err := e.EncodeJointCommand(c); return err }},
		// Decoding allocates memory for the metadata, of 445 bytes here.
		{"decode observation", 4096, func() error { return DecodeObservation(o, frames) }},
		{"decode joint command", 4096, func() error { return DecodeJointCommand(c, commandFrames) }},
		{"decode unknown fields", 4096, func() error { return DecodeJointCommand(c, more) }},
		{"reject large shape", 4096, func() error { _ = DecodeObservation(o, wrong); return nil }},
	}
	for _, test := range tests {
		const runs = 100
		var before, after runtime.MemStats
		step := func() {
			if err := test.step(); err != nil {
				t.Fatal(err)
			}
		}
		step() // Allocates the memory that is reused.
		runtime.ReadMemStats(&before)
		for range runs {
			step()
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > test.limitBytes {
			t.Errorf("%s: %d bytes allocated a run, want at most %d", test.name, got, test.limitBytes)
		}
	}
}

func TestRejectReasons(t *testing.T) {
	seen := map[RejectReason]bool{}
	for _, c := range RejectReasons() {
		if seen[c] || strings.Trim(string(c), "abcdefghijklmnopqrstuvwxyz_") != "" || c.Error() != "malformed version 1 message: "+string(c) {
			t.Errorf("reason %q, error %q", c, c.Error())
		}
		seen[c] = true
	}
}

// split splits fuzzed bytes into frames, each with its length as u16 before it. join is the inverse.
func split(b []byte) (frames [][]byte) {
	for len(b) >= 2 && len(frames) < 10 {
		n := min(int(binary.LittleEndian.Uint16(b)), len(b)-2)
		frames = append(frames, b[2:2+n:2+n])
		b = b[2+n:]
	}
	return frames
}

func join(frames [][]byte) (b []byte) {
	for _, frame := range frames {
		b = append(binary.LittleEndian.AppendUint16(b, uint16(len(frame))), frame...)
	}
	return b
}

func FuzzDecodeObservation(f *testing.F) {
	observation, command := golden(f)
	f.Add(join(observation))
	f.Add(join(observation[:7]))
	f.Add(join(command))
	f.Fuzz(func(t *testing.T, b []byte) {
		frames := split(b)
		var o Observation
		err := DecodeObservation(&o, frames)
		if err != nil {
			if !isRejectReason(err) {
				t.Errorf("error = %v, want a RejectReason", err)
			}
			return
		}
		var e Encoder
		reencoded, err := e.EncodeObservation(&o)
		if err != nil || !equal(reencoded[3:], frames[3:]) {
			t.Errorf("encodes to %q, %v, was %q", reencoded, err, frames)
		}
		checkMetadata(t, frames[2], reencoded[2])
	})
}

func FuzzDecodeJointCommand(f *testing.F) {
	observation, command := golden(f)
	f.Add(command[0], command[1])
	f.Add(observation[2], command[1])
	f.Add([]byte(`{"x": {"a": [1, -2.5e+3, "\"\u00e9\\", null, true, {}, []]}, `+string(command[0][1:])), command[1])
	f.Fuzz(func(t *testing.T, metadata, positions []byte) {
		var c JointCommand
		err := DecodeJointCommand(&c, [][]byte{metadata, positions})
		if err != nil {
			if !isRejectReason(err) {
				t.Errorf("error = %v, want a RejectReason", err)
			}
			return
		}
		var e Encoder
		reencoded, err := e.EncodeJointCommand(&c)
		if err != nil || !bytes.Equal(reencoded[1], positions) {
			t.Errorf("encodes to %q, %v, was %q", reencoded, err, positions)
		}
		checkMetadata(t, metadata, reencoded[0])
	})
}

// checkMetadata checks that encoding/json decodes accepted metadata to the same values as its encoding by this package.
func checkMetadata(t *testing.T, metadata, encoded []byte) {
	t.Helper()
	decode := func(b []byte) (v map[string]any) {
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if err := d.Decode(&v); err != nil || d.More() {
			t.Errorf("encoding/json decodes accepted metadata %q with error %v", b, err)
		}
		return v
	}
	got := decode(metadata)
	for name, want := range decode(encoded) {
		if array, ok := want.(map[string]any); ok {
			gotArray, _ := got[name].(map[string]any)
			for key := range array {
				if fmt.Sprint(gotArray[key]) != fmt.Sprint(array[key]) {
					t.Errorf("%s.%s = %v in %q, decoded as %v", name, key, gotArray[key], metadata, array[key])
				}
			}
		} else if fmt.Sprint(got[name]) != fmt.Sprint(want) && fmt.Sprint(got[name]) != "-"+fmt.Sprint(want) { // -0 equals 0.
			t.Errorf("%s = %v in %q, decoded as %v", name, got[name], metadata, want)
		}
	}
}

func BenchmarkObservation(b *testing.B) {
	var o, got Observation
	o.FromMessage(&message.Observation{PositionRad: joints()}, 480, 640)
	var e Encoder
	frames, err := e.EncodeObservation(&o)
	if err != nil {
		b.Fatal(err)
	}
	frames = slices.Clone(frames)
	b.Run("decode/480x640", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := DecodeObservation(&got, frames); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encode/480x640", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := e.EncodeObservation(&o); err != nil {
				b.Fatal(err)
			}
		}
	})
}
