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

// golden returns messages that Python made; see testdata/golden.py.
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

// observation and command are what the golden messages say.
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

// same compares images by their bits: NaN is the same as NaN.
func same(a, b *Observation) bool {
	pixels := func(o *Observation) []byte {
		return slices.Concat(o.RGB1.Pixels, o.RGB2.Pixels, o.Depth.AppendTo(nil), o.Confidence.AppendTo(nil))
	}
	sizes := func(o *Observation) [8]int {
		return [8]int{o.RGB1.Height, o.RGB1.Width, o.RGB2.Height, o.RGB2.Width, o.Depth.Height, o.Depth.Width, o.Confidence.Height, o.Confidence.Width}
	}
	return a.TimestampNs == b.TimestampNs && slices.Equal(a.PositionRad, b.PositionRad) && sizes(a) == sizes(b) && bytes.Equal(pixels(a), pixels(b))
}

func TestWhatPythonEncodesIsDecoded(t *testing.T) {
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

func TestWhatIsEncodedIsWhatPythonEncodes(t *testing.T) {
	wantO, wantC := golden(t)
	var e Encoder
	for range 2 { // The second time in the memory of the first.
		if got, err := e.Observation(observation()); err != nil || !equal(got, wantO) {
			t.Errorf("observation = %q, %v, want %q", got, err, wantO)
		}
		if got, err := e.JointCommand(command()); err != nil || !equal(got, wantC) {
			t.Errorf("command = %q, %v, want %q", got, err, wantC)
		}
	}
}

func equal(a, b [][]byte) bool {
	return slices.EqualFunc(a, b, func(a, b []byte) bool { return bytes.Equal(a, b) })
}

func TestEncodingRefusesWhatVersion1CannotSay(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Observation)
		want   Cause
	}{
		"no joints":                      {func(o *Observation) { o.PositionRad = nil }, Shape},
		"too many joints":                {func(o *Observation) { o.PositionRad = make([]float64, robot.MaxJoints+1) }, Shape},
		"a NaN position":                 {func(o *Observation) { o.PositionRad[17] = math.NaN() }, NotFinite},
		"a position beyond float32":      {func(o *Observation) { o.PositionRad[0] = 1e300 }, NotFinite},
		"no image":                       {func(o *Observation) { o.RGB2.Clear() }, Shape},
		"images of different sizes":      {func(o *Observation) { o.Depth.Resize(3, 2) }, Shape},
		"cameras of different sizes":     {func(o *Observation) { o.RGB2.Resize(3, 2) }, Shape},
		"an image without all pixels":    {func(o *Observation) { o.RGB1.Pixels = o.RGB1.Pixels[1:] }, Shape},
		"a confidence without all":       {func(o *Observation) { o.Confidence.Values = nil }, Shape},
		"images of more than the bounds": {func(o *Observation) { o.From(&message.Observation{PositionRad: joints()}, 2049, 2048) }, Shape},
	} {
		o := observation()
		tt.change(o)
		var e Encoder
		if got, err := e.Observation(o); got != nil || err != tt.want {
			t.Errorf("%s: encoded %d frames, %v, want %v", name, len(got), err, tt.want)
		}
	}
	var e Encoder
	if got, err := e.JointCommand(&JointCommand{TargetRad: []float64{math.Inf(1)}}); got != nil || err != NotFinite {
		t.Errorf("an infinite target: encoded %q, %v, want NotFinite", got, err)
	}
	if got, err := e.JointCommand(&JointCommand{}); got != nil || err != Shape {
		t.Errorf("no target: encoded %q, %v, want Shape", got, err)
	}
}

func TestMessagesOfAnyOtherNumberOfFramesAreRefused(t *testing.T) {
	observation, command := golden(t)
	all := append(slices.Clone(observation), []byte("more"))
	for n := range 10 {
		if err := DecodeObservation(&Observation{}, all[:n]); n != 8 && err != Frames || n == 8 && err != nil {
			t.Errorf("observation of %d frames: error = %v", n, err)
		}
		frames := slices.Clone(command)
		for len(frames) < n {
			frames = append(frames, []byte("more"))
		}
		if err := DecodeJointCommand(&JointCommand{}, frames[:n]); n != 2 && err != Frames || n == 2 && err != nil {
			t.Errorf("command of %d frames: error = %v", n, err)
		}
	}
}

func TestMalformedMessagesHaveACause(t *testing.T) {
	nan := []byte{0, 0, 0xc0, 0x7f}
	frame := func(at int, content []byte) func([][]byte) { return func(f [][]byte) { f[at] = content } }
	// edit replaces a part of the metadata, which must be there.
	edit := func(old, new string) func([][]byte) {
		return func(f [][]byte) {
			if !bytes.Contains(f[2], []byte(old)) {
				panic("no " + old + " in the metadata")
			}
			f[2] = bytes.Replace(f[2], []byte(old), []byte(new), 1)
		}
	}
	cut := func(at int) func([][]byte) { return func(f [][]byte) { f[at] = f[at][:len(f[at])-1] } }
	grow := func(at int) func([][]byte) {
		return func(f [][]byte) { f[at] = append(slices.Clone(f[at]), 0) }
	}
	tests := []struct {
		name   string
		change func([][]byte)
		want   Cause
	}{
		{"no topic", frame(0, nil), BadTopic},
		{"another topic", frame(0, []byte("commands")), BadTopic},
		{"the beginning of the topic", frame(0, []byte("observ")), BadTopic},
		{"more than the topic", frame(0, []byte("observation2")), BadTopic},
		{"no version", frame(1, nil), BadVersion},
		{"version 2.0", frame(1, []byte("2.0")), BadVersion},
		{"version 1", frame(1, []byte("1")), BadVersion},
		{"no metadata", frame(2, nil), Metadata},
		{"metadata that is no object", frame(2, []byte("[]")), Metadata},
		{"metadata that is a number", frame(2, []byte("18446744073709551616")), Metadata},
		{"empty metadata", frame(2, []byte("{}")), Metadata},
		{"metadata that is too long", frame(2, bytes.Repeat([]byte(" "), MaxMetadataBytes+1)), Metadata},
		{"100 MB of metadata", frame(2, make([]byte, 100e6)), Metadata},
		{"no timestamp", edit(`, "timestamp_ns": 1700000000123456789`, ""), Metadata},
		{"a timestamp twice", edit(`"timestamp_ns": 1`, `"timestamp_ns": 1, "timestamp_ns": 1`), Metadata},
		{"a timestamp in other letters", edit(`"timestamp_ns"`, `"Timestamp_ns"`), Metadata},
		{"a timestamp with a point", edit("1700000000123456789", "1700000000123456789.0"), Metadata},
		{"a timestamp as text", edit("1700000000123456789", `"1700000000123456789"`), Metadata},
		{"a timestamp of null", edit("1700000000123456789", "null"), Metadata},
		{"a timestamp of 2^63", edit("1700000000123456789", "9223372036854775808"), Metadata},
		{"a timestamp beyond 2^64", edit("1700000000123456789", "18446744073709551617"), Metadata},
		{"a timestamp of many digits", edit("1700000000123456789", strings.Repeat("9", 400)), Metadata},
		{"an array that is none", edit(`{"shape": [18], "dtype": "float32"}`, "18"), Metadata},
		{"an array without a shape", edit(`"shape": [18], `, ""), Metadata},
		{"an array without a dtype", edit(`, "dtype": "float32"`, ""), Metadata},
		{"an array with two shapes", edit(`"shape": [18], `, `"shape": [18], "shape": [18], `), Metadata},
		{"a shape that is a number", edit("[18]", "18"), Metadata},
		{"a dimension with a point", edit("[18]", "[18.0]"), Metadata},
		{"something after the object", edit("789}", "789} x"), Metadata},
		{"a comma too many", edit("789}", "789,}"), Metadata},
		{"no joints", edit("[18]", "[0]"), Shape},
		{"a negative number of joints", edit("[18]", "[-18]"), Shape},
		{"65 joints", edit("[18]", "[65]"), Shape},
		{"2^32-1 joints", edit("[18]", "[4294967295]"), Shape},
		{"joints in a matrix", edit("[18]", "[3, 6]"), Shape},
		{"joints of no dimension", edit("[18]", "[]"), Shape},
		{"joints of float64", edit(`"float32"`, `"float64"`), Shape},
		{"joints of big-endian float32", edit(`"float32"`, `">f4"`), Shape},
		{"joints of uint8", edit(`"float32"`, `"uint8"`), Shape},
		{"an image of floats", edit(`"uint8"`, `"float32"`), Shape},
		{"an image of 4 dimensions", edit("[2, 3, 3]", "[1, 2, 3, 3]"), Shape},
		{"an image of 1000 dimensions", edit("[2, 3, 3]", "["+strings.Repeat("1,", 999)+"1]"), Shape},
		{"an image of 4 channels", edit("[2, 3, 3]", "[2, 3, 4]"), Shape},
		{"an image of another size than the camera", edit(`"camera_height": 2`, `"camera_height": 3`), Shape},
		{"a depth of another size", edit("[2, 3], ", "[3, 2], "), Shape},
		{"a camera of no rows", edit(`"camera_height": 2`, `"camera_height": 0`), Shape},
		{"a camera of 2^32-1 rows", edit(`"camera_height": 2`, `"camera_height": 4294967295`), Shape},
		{"a camera of 2^63-1 columns", edit(`"camera_width": 3`, `"camera_width": 9223372036854775807`), Shape},
		{"a camera of too many pixels", func(f [][]byte) {
			edit(`"camera_height": 2`, `"camera_height": 4096`)(f)
			edit(`"camera_width": 3`, `"camera_width": 4096`)(f)
		}, Shape},
		{"a joint fewer than declared", edit("[18]", "[17]"), Length},
		{"positions less a byte", cut(3), Length},
		{"positions and a byte", grow(3), Length},
		{"no positions", frame(3, nil), Length},
		{"an image less a byte", cut(4), Length},
		{"a second image and a byte", grow(5), Length},
		{"a depth less a byte", cut(6), Length},
		{"a confidence of 100 MB", frame(7, make([]byte, 100e6)), Length},
		{"a position of NaN", func(f [][]byte) { f[3] = append(slices.Clone(f[3][:17*4]), nan...) }, NotFinite},
		{"an infinite position", func(f [][]byte) { f[3] = append([]byte{0, 0, 0x80, 0xff}, f[3][4:]...) }, NotFinite},
	}
	for _, tt := range tests {
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
				t.Error("a refused message changed the observation")
			}
		})
	}
	for name, tt := range map[string]struct {
		metadata, positions string
		want                Cause
	}{
		"no metadata":                 {"", "\x00\x00\x00\x00", Metadata},
		"no observation's timestamp":  {`{"joint_positions": {"shape": [1], "dtype": "float32"}, "timestamp_ns": 1}`, "\x00\x00\x00\x00", Metadata},
		"no positions":                {`{"timestamp_ns": 1, "observation_timestamp_ns": 2}`, "\x00\x00\x00\x00", Metadata},
		"positions of another length": {`{"joint_positions": {"shape": [1], "dtype": "float32"}, "timestamp_ns": 1, "observation_timestamp_ns": 2}`, "\x00\x00\x00", Length},
		"a position of NaN":           {`{"joint_positions": {"shape": [1], "dtype": "float32"}, "timestamp_ns": 1, "observation_timestamp_ns": 2}`, string(nan), NotFinite},
		"positions of uint8":          {`{"joint_positions": {"shape": [1], "dtype": "uint8"}, "timestamp_ns": 1, "observation_timestamp_ns": 2}`, "\x00", Shape},
	} {
		got := command()
		if err := DecodeJointCommand(got, [][]byte{[]byte(tt.metadata), []byte(tt.positions)}); err != tt.want || !reflect.DeepEqual(got, command()) {
			t.Errorf("command with %s: error = %v, want %v and no change", name, err, tt.want)
		}
	}
}

func TestMetadataMayBeWrittenInOtherWays(t *testing.T) {
	for name, metadata := range map[string]string{
		"without spaces":   `{"joint_positions":{"shape":[1],"dtype":"float32"},"timestamp_ns":-9223372036854775808,"observation_timestamp_ns":9223372036854775807}`,
		"with many":        "\n{ \"joint_positions\" : { \"shape\" : [ 1 ] , \"dtype\" : \"float32\" } ,\t\"timestamp_ns\" : -9223372036854775808 , \"observation_timestamp_ns\" : 9223372036854775807 }\r\n ",
		"in another order": `{"observation_timestamp_ns": 9223372036854775807, "timestamp_ns": -9223372036854775808, "joint_positions": {"dtype": "float32", "shape": [1]}}`,
		"with more fields": `{"x": {"a": [1, -2.5e+3, "\"é\u00e9\\", null, true, false, {}, []]}, "joint_positions": {"dtype": "float32", "order": "C", "shape": [1]},
			"timestamp_ns": -9223372036854775808, "observation_timestamp_ns": 9223372036854775807, "depth_map": 7}`,
	} {
		var c JointCommand
		err := DecodeJointCommand(&c, [][]byte{[]byte(metadata), {0, 0, 0, 0x3f}})
		if want := (JointCommand{TimestampNs: math.MinInt64, ObservationTimestampNs: math.MaxInt64, TargetRad: []float64{0.5}}); err != nil || !reflect.DeepEqual(c, want) {
			t.Errorf("%s: command = %+v, %v, want %+v", name, c, err, want)
		}
	}
}

func isCause(err error) bool {
	cause, ok := err.(Cause)
	return ok && slices.Contains(Causes(), cause)
}

func TestEveryTruncationIsRefused(t *testing.T) {
	frames, commandFrames := golden(t)
	for i, whole := range frames {
		for n := range whole {
			frames[i] = whole[:n:n]
			if err := DecodeObservation(&Observation{}, frames); !isCause(err) {
				t.Errorf("%d bytes of frame %d: error = %v, want a Cause", n, i, err)
			}
		}
		frames[i] = whole
	}
	for i, whole := range commandFrames {
		for n := range whole {
			commandFrames[i] = whole[:n:n]
			if err := DecodeJointCommand(&JointCommand{}, commandFrames); !isCause(err) {
				t.Errorf("%d bytes of frame %d of a command: error = %v, want a Cause", n, i, err)
			}
		}
		commandFrames[i] = whole
	}
}

// Version 1 has no checksum: a flip in numbers makes another message. It must be refused or be exactly what its frames
// say.
func TestEveryBitFlipIsRefusedOrAnotherMessage(t *testing.T) {
	frames, commandFrames := golden(t)
	var e Encoder
	for i, frame := range frames {
		accepted := 0
		for bit := range 8 * len(frame) {
			frame[bit/8] ^= 1 << (bit % 8)
			var o Observation
			err := DecodeObservation(&o, frames)
			switch {
			case err != nil && !isCause(err):
				t.Errorf("flip of bit %d of frame %d: error = %v, want a Cause", bit, i, err)
			case err == nil:
				accepted++
				again, err := e.Observation(&o)
				if err != nil || i != 2 && !equal(again, frames) || i == 2 && !sameJSON(again[2], frame) {
					t.Errorf("flip of bit %d of frame %d: encodes to %q, %v, was %q", bit, i, again, err, frames)
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
			case err != nil && !isCause(err):
				t.Errorf("flip of bit %d of frame %d of a command: error = %v, want a Cause", bit, i, err)
			case err == nil:
				again, err := e.JointCommand(&c)
				if err != nil || i == 1 && !equal(again, commandFrames) || i == 0 && !sameJSON(again[0], frame) {
					t.Errorf("flip of bit %d of frame %d of a command: encodes to %q, %v, was %q", bit, i, again, err, commandFrames)
				}
			}
			frame[bit/8] ^= 1 << (bit % 8)
		}
	}
}

// sameJSON says whether two metadata mean the same to encoding/json, numbers to their last digit.
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

func TestDamageToALargeMessageIsRefusedOrAnotherMessage(t *testing.T) {
	var o Observation
	o.From(&message.Observation{PositionRad: joints()}, 480, 640)
	var e Encoder
	encoded, err := e.Observation(&o)
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
		if err := DecodeObservation(&got, frames); err != nil && !isCause(err) || err != nil && i > 3 {
			t.Fatalf("flip in byte %d of frame %d: error = %v", at, i, err)
		}
		frames[i][at] = intact
	}
}

func TestFromAnObservation(t *testing.T) {
	m := message.NewObservation(robot.Hex())
	m.WallNs, m.MonotonicNs = 7, 8
	var o Observation
	o.From(m, 3, 5)
	if o.TimestampNs != 7 || len(o.PositionRad) != 18 || o.RGB1.Height != 3 || o.RGB2.Width != 5 || len(o.Depth.Values) != 15 || len(o.Confidence.Values) != 15 {
		t.Errorf("without images = %+v, want 3x5 images and 18 joints at 7 ns", o)
	}
	m.Depth.Resize(2, 2)
	copy(m.Depth.Values, []float32{1, 2, 3, 4})
	o.From(m, 3, 5)
	if o.RGB1.Height != 2 || o.RGB1.Width != 2 || len(o.RGB2.Pixels) != 12 || !slices.Equal(o.Depth.Values, m.Depth.Values) || slices.Max(o.Confidence.Values) != 0 {
		t.Errorf("with a depth = %+v, want all images of its size", o)
	}
	m.Depth.Clear()
	o.From(m, 1, 4)
	if !slices.Equal(o.Depth.Values, []float32{0, 0, 0, 0}) {
		t.Errorf("without the depth of before = %v, want 0", o.Depth.Values)
	}
}

func TestToACommand(t *testing.T) {
	r := robot.Hex()
	c := &JointCommand{TimestampNs: 7, ObservationTimestampNs: 8, TargetRad: joints()}
	m := &message.JointCommand{Sequence: 9, SessionID: 9, ObservationSequence: 9, MonotonicNs: 9, FeedForwardNm: []float64{1}}
	c.To(m, r)
	want := &message.JointCommand{ExpiresNs: math.MaxInt64, TargetRad: joints(), Kp: r.Kp, Kd: r.Kd, FeedForwardNm: []float64{}}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("command = %+v, want %+v", m, want)
	}
}

func TestMemoryDoesNotDependOnWhatAMessageClaims(t *testing.T) {
	frames, commandFrames := golden(t)
	o, c := observation(), command()
	wrong := slices.Clone(frames)
	wrong[2] = bytes.Replace(frames[2], []byte("[18]"), []byte("[4294967295]"), 1)
	more := [][]byte{[]byte(`{"x": [{"y": [1, 2]}], ` + string(commandFrames[0][1:])), commandFrames[1]}
	var e Encoder
	tests := []struct {
		name      string
		mostBytes uint64
		step      func() error
	}{
		{"encode observation", 0, func() error { _, err := e.Observation(o); return err }},
		{"encode joint command", 0, func() error { _, err := e.JointCommand(c); return err }},
		// What is decoded keeps its memory; the metadata, of 445 bytes here, is new each time.
		{"decode observation", 4096, func() error { return DecodeObservation(o, frames) }},
		{"decode joint command", 4096, func() error { return DecodeJointCommand(c, commandFrames) }},
		{"decode with unknown parts", 4096, func() error { return DecodeJointCommand(c, more) }},
		{"refuse a large claim", 4096, func() error { _ = DecodeObservation(o, wrong); return nil }},
	}
	for _, test := range tests {
		const runs = 100
		var before, after runtime.MemStats
		step := func() {
			if err := test.step(); err != nil {
				t.Fatal(err)
			}
		}
		step() // The first makes the memory that the others use.
		runtime.ReadMemStats(&before)
		for range runs {
			step()
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > test.mostBytes {
			t.Errorf("%s: %d bytes allocated a run, want at most %d", test.name, got, test.mostBytes)
		}
	}
}

func TestCausesAreKeysOfCounters(t *testing.T) {
	seen := map[Cause]bool{}
	for _, c := range Causes() {
		if seen[c] || strings.Trim(string(c), "abcdefghijklmnopqrstuvwxyz_") != "" || c.Error() != "malformed version 1 message: "+string(c) {
			t.Errorf("cause %q, %q", c, c.Error())
		}
		seen[c] = true
	}
}

// The frames of a message in one piece of fuzzed bytes: the length of each as u16 before it.
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
			if !isCause(err) {
				t.Errorf("error = %v, want a Cause", err)
			}
			return
		}
		var e Encoder
		again, err := e.Observation(&o)
		if err != nil || !equal(again[3:], frames[3:]) {
			t.Errorf("encodes to %q, %v, was %q", again, err, frames)
		}
		checkMetadata(t, frames[2], again[2])
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
			if !isCause(err) {
				t.Errorf("error = %v, want a Cause", err)
			}
			return
		}
		var e Encoder
		again, err := e.JointCommand(&c)
		if err != nil || !bytes.Equal(again[1], positions) {
			t.Errorf("encodes to %q, %v, was %q", again, err, positions)
		}
		checkMetadata(t, metadata, again[0])
	})
}

// checkMetadata checks that encoding/json reads metadata that we have accepted, and finds in it all that is in ours.
func checkMetadata(t *testing.T, metadata, ours []byte) {
	t.Helper()
	decode := func(b []byte) (v map[string]any) {
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if err := d.Decode(&v); err != nil || d.More() {
			t.Errorf("encoding/json says %v to %q, which we accepted", err, b)
		}
		return v
	}
	got := decode(metadata)
	for name, want := range decode(ours) {
		if array, ok := want.(map[string]any); ok {
			gotArray, _ := got[name].(map[string]any)
			for key := range array {
				if fmt.Sprint(gotArray[key]) != fmt.Sprint(array[key]) {
					t.Errorf("%s.%s = %v in %q, we found %v", name, key, gotArray[key], metadata, array[key])
				}
			}
		} else if fmt.Sprint(got[name]) != fmt.Sprint(want) && fmt.Sprint(got[name]) != "-"+fmt.Sprint(want) { // -0 is 0.
			t.Errorf("%s = %v in %q, we found %v", name, got[name], metadata, want)
		}
	}
}

func BenchmarkObservation(b *testing.B) {
	var o, got Observation
	o.From(&message.Observation{PositionRad: joints()}, 480, 640)
	var e Encoder
	frames, err := e.Observation(&o)
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
			if _, err := e.Observation(&o); err != nil {
				b.Fatal(err)
			}
		}
	})
}
