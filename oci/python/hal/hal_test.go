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
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bazelbuild/rules_go/go/runfiles"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/safety"
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
	t.Run("it moves the robot of a Go server over TCP", func(t *testing.T) { checkServer(t, p, bus.Security{}) })
	t.Run("it moves the robot of a Go server over TCP with keys", func(t *testing.T) {
		own, client := newKeys(t, p, "server"), newKeys(t, p, "client")
		checkServer(t, p, bus.Security{Keys: own, Peers: []string{client.Public}}, "server.pub", "client")
	})
	t.Run("it moves, stops and resets a robot whose clock is 3 hours ahead", func(t *testing.T) {
		checkElsewhere(t, p, 3*time.Hour, bus.Security{})
	})
	t.Run("it moves, stops and resets a robot whose clock is 5 hours behind, with keys", func(t *testing.T) {
		own, client := newKeys(t, p, "far_server"), newKeys(t, p, "far_client")
		checkElsewhere(t, p, -5*time.Hour, bus.Security{Keys: own, Peers: []string{client.Public}}, "far_server.pub", "far_client")
	})
	t.Run("a client of version 1 moves the robot of a Go server over TCP", func(t *testing.T) { checkV1(t, p) })
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
	case "control_request":
		var r message.ControlRequest
		if cause = wire.DecodeControlRequest(&r, frame); cause == nil {
			again = wire.AppendControlRequest(nil, &r)
		}
	case "control_reply":
		var r message.ControlReply
		if cause = wire.DecodeControlReply(&r, frame); cause == nil {
			again, err = wire.AppendControlReply(nil, &r)
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
	kinds := []string{"observation", "joint_command", "navigation_command", "control_request", "control_reply"}
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
				binary.LittleEndian.PutUint32(frame[min(at, len(frame)-4)&^3:], interesting[random.IntN(len(interesting))])
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

// camera gives the synthetic robot an image of which each pixel is the lowest byte of its sequence, and a flat depth.
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
	o.Depth.Resize(480, 640)
	o.Depth.ImageStamp = o.RGB1.ImageStamp
	for i := range o.Depth.Values {
		o.Depth.Values[i] = 1.5
	}
	return c.Backend.Read(ctx, o)
}

// bent is the synthetic robot, of which the first joint can be bent out of its range.
type bent struct {
	*synthetic.Backend
	out atomic.Bool
}

func (b *bent) Read(ctx context.Context, o *message.Observation) error {
	if err := b.Backend.Read(ctx, o); err != nil {
		return err
	}
	if b.out.Load() {
		o.PositionRad[0] = robot.Go1().Joints[0].UpperRad + 0.3
	}
	return nil
}

func newSynthetic() *synthetic.Backend { return synthetic.New(robot.Go1(), 10*time.Millisecond) }

// newKeys makes keys, and puts their files into the image's working directory.
func newKeys(t *testing.T, p python, name string) bus.Keys {
	t.Helper()
	keys, err := bus.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.Write(filepath.Join(p.Root, p.Config.Config.WorkingDir, name)); err != nil {
		t.Fatal(err)
	}
	return keys
}

// anyPort is an endpoint of which the system chooses the port.
const anyPort = "tcp://127.0.0.1:0"

// serve runs a server for a robot until the test ends.
func serve(t *testing.T, backend server.Backend, out server.Publisher, in server.Receiver, opts ...server.Option) *server.Server {
	t.Helper()
	s, err := server.New(robot.Go1(), backend, out, in, opts...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		s.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return s
}

func newBus(t *testing.T) *bus.Context {
	t.Helper()
	b, err := bus.NewContext()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// bind binds the endpoints of a server.
func bind(t *testing.T, b *bus.Context, observations, commands string, opts ...bus.Option) (*bus.Publisher, *bus.Receiver) {
	t.Helper()
	out, err := b.NewPublisher(observations, opts...)
	if err != nil {
		t.Fatal(err)
	}
	in, err := b.NewReceiver(commands, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return out, in
}

const targetRad = 0.5 // Of the first joint, which begins at 0.1.

func checkServer(t *testing.T, p python, security bus.Security, keys ...string) {
	const session = 1<<63 + 7
	out, in := bind(t, newBus(t), anyPort, anyPort, bus.WithSecurity(security))
	s := serve(t, camera{newSynthetic()}, out, in, server.WithSession(session))

	var got struct {
		Arrived           bool    `json:"arrived"`
		PositionRad       float64 `json:"position_rad"`
		SessionID         uint64  `json:"session_id"`
		Rising            bool    `json:"rising"`
		Shape             []int   `json:"shape"`
		RateHz            float64 `json:"rate_hz"`
		Images            int     `json:"images"`
		Depth             bool    `json:"depth"`
		Observations      int     `json:"observations"`
		YoungestS         float64 `json:"youngest_s"`
		BaseVelocityKnown bool    `json:"base_velocity_known"`
		Sent              uint64  `json:"sent"`
		PlainRead         bool    `json:"plain_read"`
		Health            struct {
			Refused map[string]int `json:"refused"`
			Sent    uint64         `json:"sent"`
			Unsent  uint64         `json:"unsent"`
		} `json:"health"`
	}
	p.report(t, &got, append([]string{"follow.py", out.Endpoint(), in.Endpoint(), fmt.Sprint(targetRad)}, keys...)...)
	t.Logf("client: %+v", got)
	if !got.Arrived || !got.Depth || got.SessionID != session || !got.Rising || !slices.Equal(got.Shape, []int{480, 640, 3}) || got.RateHz != 100 || !got.BaseVelocityKnown {
		t.Errorf("client = %+v, expected it to arrive at %v rad in session %d, with images of 480x640x3 and a depth", got, targetRad, uint64(session))
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
	if got.PlainRead != (len(keys) == 0) {
		t.Errorf("a client without keys read something: %v", got.PlainRead)
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

// elsewhere is the clock of another machine.
type elsewhere struct {
	here   *clock.Clock
	offset time.Duration
}

func (e elsewhere) NowNs() int64 { return e.here.NowNs() + int64(e.offset) }

// checkElsewhere has a robot whose clock is not this machine's moved, stopped and reset.
func checkElsewhere(t *testing.T, p python, offset time.Duration, security bus.Security, keys ...string) {
	b, backend := newBus(t), &bent{Backend: newSynthetic()}
	out, in := bind(t, b, anyPort, anyPort, bus.WithSecurity(security))
	control, err := b.NewResponder(anyPort, bus.WithSecurity(security))
	if err != nil {
		t.Fatal(err)
	}
	const session = 1<<63 + 9
	limits := safety.Defaults(robot.Go1())
	limits.StopObservationAge = time.Minute // A machine that is busy must not stop the robot before the client does.
	s := serve(t, backend, out, in, server.WithSession(session), server.WithSafety(limits),
		server.WithClock(elsewhere{clock.New(), offset}), server.WithControl(control))

	type reply struct {
		State     string `json:"state"`
		StoppedBy string `json:"stopped_by"`
		Fault     string `json:"fault"`
		Reason    string `json:"reason"`
		SessionID uint64 `json:"session_id"`
	}
	type report struct {
		Moved  bool           `json:"moved"`
		AgeS   float64        `json:"age_s"`
		Error  string         `json:"error"`
		State  reply          `json:"state"` // At the end.
		Health map[string]any `json:"health"`
	}
	run := func(action string, args ...string) report {
		t.Helper()
		var got report
		p.report(t, &got, append(append([]string{"elsewhere.py", out.Endpoint(), in.Endpoint(), control.Endpoint()}, keys...), append([]string{action}, args...)...)...)
		t.Logf("%s %v: %+v", action, args, got)
		if got.State.SessionID != session {
			t.Errorf("%s %v: session %d, expected %d", action, args, got.State.SessionID, uint64(session))
		}
		return got
	}

	// By its own machine's time the client gets nothing done.
	refused := "stale"
	if offset < 0 {
		refused = "future"
	}
	if got := run("plain", fmt.Sprint(targetRad)); got.Moved || got.State.State != "idle" || got.AgeS*offset.Seconds() > 0 {
		t.Errorf("without the server's time: %+v, expected it not to move the robot and its observations to be hours off", got)
	}
	if stats := s.Stats(); stats.Refused[refused] == 0 || stats.Applied != 0 {
		t.Errorf("without the server's time: server = %+v, expected commands to be refused as %s and none to be applied", stats, refused)
	}
	before := s.Stats().Refused

	// By the server's time it does.
	if got := run("follow", fmt.Sprint(targetRad)); !got.Moved || got.State.State == "idle" || got.AgeS < 0 || got.AgeS > 1 {
		t.Errorf("with the server's time: %+v, expected the robot to be moved and the youngest observation to be less than 1 s old", got)
	} else if estimate, ok := got.Health["clock"].(map[string]any); !ok ||
		math.Abs(estimate["offset_ns"].(float64)-float64(offset)) > estimate["bound_ns"].(float64)+float64(time.Millisecond) {
		t.Errorf("the estimate is %v, expected an offset of %d ns", got.Health["clock"], offset)
	}
	if stats := s.Stats(); stats.Applied == 0 || stats.Refused["future"] != before["future"] {
		t.Errorf("with the server's time: server = %+v, expected commands to be applied and none to be of the future", stats)
	}

	// It stops it for good, until a reset.
	if got := run("e_stop"); got.Error != "" || got.State.State != "stopped" || got.State.StoppedBy != "remote" {
		t.Errorf("e-stop: %+v, expected the robot to be stopped by remote", got)
	}
	if got := run("follow", fmt.Sprint(-targetRad)); got.Moved || got.State.State != "stopped" {
		t.Errorf("after an e-stop: %+v, expected the robot not to be moved", got)
	}
	backend.out.Store(true)
	got := run("reset")
	if got.State.State != "stopped" || got.State.Fault != "joint_outside" || !strings.HasPrefix(got.State.Reason, "joint FR_hip_joint is at 1.163 rad, ") ||
		!strings.HasPrefix(got.Error, "refused: stopped by remote, and joint_outside lasts: joint FR_hip_joint is at 1.163 rad, ") {
		t.Errorf("a reset while a joint is outside its range: %+v, expected it to be refused for that", got)
	}
	backend.out.Store(false)
	if got := run("reset"); got.Error != "" || got.State.State != "damp" || got.State.StoppedBy != "" {
		t.Errorf("reset: %+v, expected the joints to be damped and nothing more", got)
	}
	if got := run("follow", fmt.Sprint(-targetRad)); !got.Moved || got.State.State == "stopped" {
		t.Errorf("after a reset: %+v, expected the robot to be moved", got)
	}
	stats := s.Stats()
	if stats.Refused["stopped"] == 0 || stats.Control.Refused["fault"] != 1 || stats.Control.Requests["e_stop"] != 1 || stats.Control.Requests["reset"] != 2 {
		t.Errorf("server = %+v, expected commands refused as stopped, one e-stop, two resets and one of them refused", stats)
	}
	for cause, n := range stats.Control.Refused {
		if cause != "fault" {
			t.Errorf("%d requests were refused for %q, expected none", n, cause)
		}
	}
}

func checkV1(t *testing.T, p python) {
	b := newBus(t)
	out, in := bind(t, b, "inproc://observations", "inproc://commands")
	v1Out, err := b.NewPartsPublisher(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	v1In, err := b.NewPartsReceiver(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, camera{newSynthetic()}, out, in, server.WithV1(v1Out, v1In, 1, 1))
	type report struct {
		Topic       string               `json:"topic"`
		Version     string               `json:"version"`
		Frames      int                  `json:"frames"`
		Size        []int                `json:"size"`
		Shapes      map[string][]int     `json:"shapes"`
		Dtypes      map[string]string    `json:"dtypes"`
		Ranges      map[string][]float64 `json:"ranges"`
		AgeS        float64              `json:"age_s"`
		Arrived     bool                 `json:"arrived"`
		PositionRad float64              `json:"position_rad"`
	}
	var got report
	p.report(t, &got, "v1.py", v1Out.Endpoint(), v1In.Endpoint(), fmt.Sprint(targetRad))
	t.Logf("client: %+v", got)
	if age := got.AgeS; age < 0 || age > 10 {
		t.Errorf("the observation was %v s old, expected wall clocks that agree", age)
	}
	if color := got.Ranges["rgb_camera_1"]; len(color) != 2 || color[0] != color[1] {
		t.Errorf("the first camera's pixels are from %v, expected one color", color)
	}
	positionRad := got.PositionRad
	delete(got.Ranges, "rgb_camera_1")
	got.AgeS, got.PositionRad = 0, 0
	want := report{
		Topic: "observation", Version: "1.0", Frames: 8, Size: []int{480, 640}, Arrived: true,
		Shapes: map[string][]int{
			"joint_positions": {12}, "rgb_camera_1": {480, 640, 3}, "rgb_camera_2": {480, 640, 3}, "depth_map": {480, 640}, "confidence_map": {480, 640},
		},
		Dtypes: map[string]string{
			"joint_positions": "float32", "rgb_camera_1": "uint8", "rgb_camera_2": "uint8", "depth_map": "float32", "confidence_map": "float32",
		},
		Ranges: map[string][]float64{"rgb_camera_2": {0, 0}, "depth_map": {1.5, 1.5}, "confidence_map": {0, 0}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the client found %+v, its first joint at %v rad, expected %+v", got, positionRad, want)
	}
	stats := s.Stats()
	t.Logf("server: %+v", stats)
	for _, cause := range v1.Causes() {
		expected := uint64(0)
		if slices.Contains([]v1.Cause{v1.Frames, v1.Metadata, v1.Shape, v1.Length, v1.NotFinite}, cause) {
			expected = 1 // The client sends one of each.
		}
		if n := stats.Refused["v1_"+string(cause)]; n != expected {
			t.Errorf("%d commands were refused for %q, expected %d", n, cause, expected)
		}
	}
	if stats.Applied == 0 {
		t.Error("no command was applied")
	}
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
