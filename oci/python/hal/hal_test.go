// Package hal_test runs the Python package krabby_hal in a testing image, as the layers of //oci/python installed it: its
// own tests, and against the Go side of the hardware abstraction layer over TCP.
package hal_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bazelbuild/rules_go/go/runfiles"
	"github.com/pebbe/zmq4"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/server"
	"krabby.dev/krabby/hal/synthetic"
	"krabby.dev/krabby/hal/wire"
	v1 "krabby.dev/krabby/hal/wire/v1"
	"krabby.dev/krabby/oci/container"
)

func TestMain(m *testing.M) {
	container.Main()
	os.Exit(m.Run())
}

// python runs Python in the image.
type python struct {
	container.Command
}

// unpack unpacks the image once for all tests.
func unpack(t *testing.T) python {
	t.Helper()
	img := container.Read(t, runfile(t, os.Getenv("IMAGE")))
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	p := python{container.Command{Root: container.Unpack(t, img), Config: config, Tmpfs: []string{"/tmp"}, Timeout: 5 * time.Minute}}
	p.copyFiles(t, "testdata", ".")
	// Where the tests look for each other and for the golden frames.
	p.copyFiles(t, "../../../hal/python/tests", "hal/python/tests")
	p.copyFiles(t, "../../../hal/wire/testdata", "hal/wire/testdata")
	return p
}

// copyFiles copies the files of a folder into one of the working directory in the image.
func (p python) copyFiles(t *testing.T, from, to string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(from, "*.*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d files in %s, error %v", len(files), from, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p.write(t, filepath.Join(to, filepath.Base(file)), content)
	}
}

func (p python) write(t *testing.T, name string, content []byte) {
	t.Helper()
	path := filepath.Join(p.Root, p.Config.Config.WorkingDir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// report runs a program and decodes the JSON that it prints.
func (p python) report(t *testing.T, report any, args ...string) {
	t.Helper()
	p.Args = append([]string{"/usr/bin/python3"}, args...)
	stdout, stderr, code := container.Run(t, p.Command)
	if code != 0 {
		t.Fatalf("%v: exit code %d\n%s", args, code, stderr)
	}
	if err := json.Unmarshal(stdout, report); err != nil {
		t.Fatalf("%v: the report is not JSON: %v\n%s", args, err, stdout)
	}
}

func TestKrabbyHAL(t *testing.T) {
	p := unpack(t)
	t.Run("its own tests pass", func(t *testing.T) { checkPytest(t, p) })
	t.Run("every frame means to it what it means to Go", func(t *testing.T) { checkAgreement(t, p) })
	t.Run("it moves the robot of a Go server over TCP", func(t *testing.T) { checkServer(t, p) })
	t.Run("a client of version 1 talks to the Go side over TCP", func(t *testing.T) { checkV1(t, p) })
}

func checkPytest(t *testing.T, p python) {
	p.Args = []string{"/opt/krabby/python/bin/pytest", "-q", "-p", "no:cacheprovider", "hal/python/tests"}
	stdout, stderr, code := container.Run(t, p.Command)
	t.Logf("%s", stdout)
	if code != 0 || !strings.Contains(string(stdout), " passed in ") || strings.Contains(string(stdout), "skipped") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}

// sample is a frame and what the Go side says of it.
type sample struct {
	Kind  string `json:"kind"`
	Frame []byte `json:"frame"`
	Cause string `json:"cause"`
}

// checkAgreement has frames that are good, damaged and forged decoded by both sides.
func checkAgreement(t *testing.T, p python) {
	samples := samples(t, 20_000)
	var file bytes.Buffer
	want := map[string]int{}
	for _, s := range samples {
		line, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		file.Write(append(line, '\n'))
		want[s.Cause]++
	}
	p.write(t, "samples.json", file.Bytes())
	var got struct {
		Causes        map[string]int `json:"causes"`
		Disagreements []struct {
			Case            int
			Found, Expected string
		} `json:"disagreements"`
		Again []struct {
			Case  int
			Frame string
		} `json:"again"`
	}
	p.report(t, &got, "agree.py", "samples.json")
	t.Logf("causes: %v", got.Causes)
	for _, d := range got.Disagreements {
		t.Errorf("frame %d, a %s of % x: Python says %q, Go %q", d.Case, samples[d.Case].Kind, samples[d.Case].Frame, d.Found, d.Expected)
	}
	for _, cause := range append(wire.Causes(), "") {
		if want[string(cause)] == 0 {
			t.Errorf("no sample has the cause %q", cause)
		}
	}
	if !reflect.DeepEqual(got.Causes, want) {
		t.Errorf("Python counts %v, Go %v", got.Causes, want)
	}
	if len(got.Again) != want[""] {
		t.Errorf("%d frames were encoded again, expected %d", len(got.Again), want[""])
	}
	for _, a := range got.Again {
		s := samples[a.Case]
		if _, encoded := decode(t, s.Kind, s.Frame); a.Frame != base64.StdEncoding.EncodeToString(encoded) {
			t.Errorf("frame %d, a %s of % x: Python encodes its message to %s", a.Case, s.Kind, s.Frame, a.Frame)
		}
	}
}

// decode returns why a frame is refused or, if it is not, its message's own frame: that of a newer minor version has
// another.
func decode(t *testing.T, kind string, frame []byte) (cause error, again []byte) {
	t.Helper()
	var err error
	switch kind {
	case "observation":
		var o message.Observation
		if cause = wire.DecodeObservation(&o, frame); cause == nil {
			again, err = wire.AppendObservation(nil, &o)
		}
	case "joint_command":
		var c message.JointCommand
		if cause = wire.DecodeJointCommand(&c, frame); cause == nil {
			again, err = wire.AppendJointCommand(nil, &c)
		}
	case "navigation_command":
		var c message.NavigationCommand
		if cause = wire.DecodeNavigationCommand(&c, frame); cause == nil {
			again = wire.AppendNavigationCommand(nil, &c)
		}
	}
	if err != nil {
		t.Fatalf("encoding a decoded %s: %v", kind, err)
	}
	return cause, again
}

// samples are so many frames made from the golden ones by chance, always the same.
func samples(t *testing.T, n int) []sample {
	t.Helper()
	paths, err := filepath.Glob("../../../hal/wire/testdata/*.bin")
	if err != nil || len(paths) == 0 {
		t.Fatalf("found %d golden frames, error %v", len(paths), err)
	}
	kinds := []string{"observation", "joint_command", "navigation_command"}
	interesting := []uint32{0, 1, 2, 3, 4, 6, 10, 11, 12, 13, 18, 24, 64, 65, 96, 128, 4096, 4097, 1 << 16, 1 << 30, 1 << 31, math.MaxUint32 - 63, math.MaxUint32}
	random := rand.New(rand.NewPCG(5, 6))
	var all []sample
	for i := range n {
		path := paths[i%len(paths)]
		frame, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		kind := kinds[slices.IndexFunc(kinds, func(k string) bool { return strings.HasPrefix(filepath.Base(path), k) })]
		end := 64 + 64*int(frame[7])
		for range random.IntN(4) {
			at := random.IntN(len(frame))
			if random.IntN(3) != 0 {
				at = random.IntN(end)
			}
			switch random.IntN(3) {
			case 0:
				frame[at] ^= 1 << random.IntN(8)
			case 1:
				frame[at] = byte(interesting[random.IntN(len(interesting))])
			case 2:
				binary.LittleEndian.PutUint32(frame[at&^3:], interesting[random.IntN(len(interesting))])
			}
		}
		switch random.IntN(12) {
		case 0:
			frame = frame[:random.IntN(len(frame))]
		case 1:
			frame = append(frame, make([]byte, random.IntN(100))...)
		case 2:
			kind = kinds[random.IntN(len(kinds))]
		}
		if random.IntN(6) != 0 { // Else it is what the checksum finds.
			seal(frame, random.IntN(8) != 0)
		}
		s := sample{Kind: kind, Frame: frame}
		if cause, _ := decode(t, kind, frame); cause != nil {
			reason, ok := errors.AsType[wire.Cause](cause)
			if !ok {
				t.Fatalf("refused for %v, which is no wire.Cause", cause)
			}
			s.Cause = string(reason)
		}
		all = append(all, s)
	}
	return all
}

// seal gives checksums to what of a frame can be found, and its length.
func seal(frame []byte, withLength bool) {
	if len(frame) < 64 {
		return
	}
	le, castagnoli := binary.LittleEndian, crc32.MakeTable(crc32.Castagnoli)
	if withLength {
		le.PutUint32(frame[8:], uint32(len(frame)))
	}
	end := 64 + 64*int(frame[7])
	for at := 64; at < end && at+64 <= len(frame); at += 64 {
		offset, length := uint64(le.Uint32(frame[at+4:])), uint64(le.Uint32(frame[at+8:]))
		if id := le.Uint16(frame[at:]); (id < 16 || id > 19) && offset+length <= uint64(len(frame)) {
			le.PutUint32(frame[at+12:], crc32.Checksum(frame[offset:offset+length], castagnoli))
		}
	}
	if end <= len(frame) {
		le.PutUint32(frame[12:], crc32.Update(crc32.Checksum(frame[:12], castagnoli), castagnoli, frame[16:end]))
	}
}

// camera gives the synthetic robot an image, of which each pixel is the lowest byte of its sequence.
type camera struct {
	*synthetic.Backend
}

func (c camera) Read(ctx context.Context, o *message.Observation) error {
	o.RGB1.Resize(480, 640)
	o.RGB1.Sequence++
	o.RGB1.MonotonicNs, o.RGB1.RateHz = 1, 100
	for i := range o.RGB1.Pixels {
		o.RGB1.Pixels[i] = byte(o.RGB1.Sequence)
	}
	return c.Backend.Read(ctx, o)
}

func checkServer(t *testing.T, p python) {
	b, err := bus.NewContext()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	observations, commands := loopback(t), loopback(t)
	out, err := b.NewPublisher(observations)
	if err != nil {
		t.Fatal(err)
	}
	in, err := b.NewReceiver(commands)
	if err != nil {
		t.Fatal(err)
	}
	const session, targetRad = 1<<63 + 7, 0.5
	r := robot.Go1()
	s, err := server.New(r, camera{synthetic.New(r, 10*time.Millisecond)}, out, in, server.WithSession(session))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		s.Run(ctx)
		close(done)
	}()
	defer func() {
		cancel()
		<-done
	}()

	var got struct {
		Arrived           bool    `json:"arrived"`
		PositionRad       float64 `json:"position_rad"`
		SessionID         uint64  `json:"session_id"`
		Rising            bool    `json:"rising"`
		Shape             []int   `json:"shape"`
		RateHz            float64 `json:"rate_hz"`
		Images            int     `json:"images"`
		Observations      int     `json:"observations"`
		YoungestS         float64 `json:"youngest_s"`
		BaseVelocityKnown bool    `json:"base_velocity_known"`
		Sent              uint64  `json:"sent"`
		Health            struct {
			Refused map[string]int `json:"refused"`
			Sent    uint64         `json:"sent"`
			Unsent  uint64         `json:"unsent"`
		} `json:"health"`
	}
	p.report(t, &got, "follow.py", observations, commands, fmt.Sprint(targetRad))
	t.Logf("client: %+v", got)
	if !got.Arrived || got.SessionID != session || !got.Rising || !slices.Equal(got.Shape, []int{480, 640, 3}) || got.RateHz != 100 || !got.BaseVelocityKnown {
		t.Errorf("client = %+v, expected it to arrive at %v rad in session %d, with images of 480x640x3", got, targetRad, uint64(session))
	}
	if got.Observations < 2 || got.Images != got.Observations {
		t.Errorf("%d of %d observations have the image that was sent, expected all", got.Images, got.Observations)
	}
	if got.YoungestS < 0 || got.YoungestS > 1 {
		t.Errorf("the youngest observation was %v s old, expected clocks that agree", got.YoungestS)
	}
	if len(got.Health.Refused) != 0 || got.Health.Sent != got.Sent+3 || got.Health.Unsent != 0 || got.Sent == 0 {
		t.Errorf("client's health = %+v after %d commands, expected three more to be sent and nothing refused", got.Health, got.Sent)
	}
	stats := s.Stats()
	t.Logf("server: %+v", stats)
	if stats.Applied == 0 || stats.Refused["joint_limit"] == 0 {
		t.Errorf("server = %+v, expected commands applied and those out of range refused", stats)
	}
	for _, cause := range append(wire.Causes(), "session", "shape", "not_finite", "gain", "future") {
		if n := stats.Refused[string(cause)]; n != 0 {
			t.Errorf("%d commands were refused for %q, expected none", n, cause)
		}
	}
}

func checkV1(t *testing.T, p python) {
	observations, commands := loopback(t), loopback(t)
	out, in := bind(t, zmq4.PUB, observations), bind(t, zmq4.PULL, commands)
	r := robot.Go1()
	m := message.NewObservation(r)
	m.WallNs = time.Now().UnixNano()
	m.RGB1.Resize(48, 64)
	for i := range m.RGB1.Pixels {
		m.RGB1.Pixels[i] = 3
	}
	var o v1.Observation
	o.From(m, 0, 0)
	o.Depth.Values[0] = 1.5
	var encoder v1.Encoder
	frames, err := encoder.Observation(&o)
	if err != nil {
		t.Fatal(err)
	}

	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			case <-time.After(20 * time.Millisecond):
			}
			if _, err := out.SendMessageDontwait(frames); err != nil {
				done <- fmt.Errorf("publishing: %w", err)
				return
			}
		}
	}()
	type observation struct {
		Topic          string             `json:"topic"`
		Version        string             `json:"version"`
		Frames         int                `json:"frames"`
		TimestampNs    int64              `json:"timestamp_ns"`
		Size           []int              `json:"size"`
		Shapes         map[string][]int   `json:"shapes"`
		Dtypes         map[string]string  `json:"dtypes"`
		Sums           map[string]float64 `json:"sums"`
		JointPositions []float64          `json:"joint_positions"`
	}
	var got observation
	p.report(t, &got, "v1.py", observations, commands)
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for i, v := range got.JointPositions {
		if math.Abs(v-r.DefaultPoseRad[i]) > 1e-6 {
			t.Errorf("joint %d is at %v, expected %v", i, v, r.DefaultPoseRad[i])
		}
	}
	delete(got.Sums, "joint_positions")
	positions := len(got.JointPositions)
	got.JointPositions = nil
	want := observation{
		Topic: "observation", Version: "1.0", Frames: 8, TimestampNs: m.WallNs, Size: []int{48, 64},
		Shapes: map[string][]int{
			"joint_positions": {12}, "rgb_camera_1": {48, 64, 3}, "rgb_camera_2": {48, 64, 3}, "depth_map": {48, 64}, "confidence_map": {48, 64},
		},
		Dtypes: map[string]string{
			"joint_positions": "float32", "rgb_camera_1": "uint8", "rgb_camera_2": "uint8", "depth_map": "float32", "confidence_map": "float32",
		},
		Sums: map[string]float64{"rgb_camera_1": 3 * 48 * 64 * 3, "rgb_camera_2": 0, "depth_map": 1.5, "confidence_map": 0},
	}
	if !reflect.DeepEqual(got, want) || positions != 12 {
		t.Errorf("the client found %+v with %d positions, expected %+v", got, positions, want)
	}

	// What it sent: one message for each cause, and then a good one.
	refused := map[v1.Cause]int{}
	var c v1.JointCommand
	for {
		parts, err := in.RecvMessageBytes(0)
		if err != nil {
			t.Fatalf("no good command came; refused were %v: %v", refused, err)
		}
		if err = v1.DecodeJointCommand(&c, parts); err == nil {
			break
		}
		cause, _ := errors.AsType[v1.Cause](err)
		refused[cause]++
	}
	if expected := map[v1.Cause]int{v1.Frames: 1, v1.Metadata: 1, v1.Shape: 1, v1.Length: 1, v1.NotFinite: 1}; !reflect.DeepEqual(refused, expected) {
		t.Errorf("refused were %v, expected %v", refused, expected)
	}
	if c.ObservationTimestampNs != m.WallNs || c.TimestampNs < m.WallNs {
		t.Errorf("the command is of %d and answers %d, expected an answer to %d", c.TimestampNs, c.ObservationTimestampNs, m.WallNs)
	}
	var command message.JointCommand
	c.To(&command, r, -c.TimestampNs+1000)
	if err := command.Validate(r); err != nil || command.MonotonicNs != 1000 || !slices.Equal(command.Kp, r.Kp) {
		t.Errorf("the command became %+v, %v, expected one with the robot's gains", command, err)
	}
	for i, v := range command.TargetRad {
		if expected := -0.5 + float64(i)/11; math.Abs(v-expected) > 1e-6 {
			t.Errorf("target %d = %v, expected %v", i, v, expected)
		}
	}
}

// bind returns a socket of the predecessor's kind.
func bind(t *testing.T, kind zmq4.Type, endpoint string) *zmq4.Socket {
	t.Helper()
	s, err := zmq4.NewSocket(kind)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(s.SetLinger(0), s.SetRcvtimeo(10*time.Second), s.Bind(endpoint)); err != nil {
		t.Fatal(err)
	}
	return s
}

// loopback returns an endpoint that nobody uses.
func loopback(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "tcp://" + l.Addr().String()
}

func runfile(t *testing.T, path string) string {
	t.Helper()
	file, err := runfiles.Rlocation(path)
	if err != nil {
		t.Fatalf("runfile %q: %v", path, err)
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("runfile %q is not there", file)
	}
	return file
}
