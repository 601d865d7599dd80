// Package hal_test tests the Python package krabby_hal in a testing image, as installed by the layers of //oci/python. It runs the
// package's own tests, and tests it with the Go implementation of the hardware abstraction layer over TCP.
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

	"krabby.dev/krabby/hal/backend"
	"krabby.dev/krabby/hal/backend/backendtest"
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

// python is the Python of an unpacked image.
type python struct {
	container.Command
}

// unpack unpacks the image, and copies the programs and tests into it.
func unpack(t *testing.T) python {
	t.Helper()
	img := container.Read(t, runfile(t, os.Getenv("IMAGE")))
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	p := python{container.Command{Root: container.Unpack(t, img), Config: config, Tmpfs: []string{"/tmp"}, Timeout: 5 * time.Minute}}
	p.copyFiles(t, "testdata", ".")
	// The tests find the golden frames by this layout.
	p.copyFiles(t, "../../../hal/python/tests", "hal/python/tests")
	p.copyFiles(t, "../../../hal/wire/testdata", "hal/wire/testdata")
	return p
}

// copyFiles copies the files of a directory to a directory in the image, relative to the working directory.
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

// write writes a file in the image, relative to the working directory.
func (p python) write(t *testing.T, name string, content []byte) {
	t.Helper()
	path := filepath.Join(p.Root, p.Config.Config.WorkingDir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// report runs a program and decodes its output, which is JSON.
func (p python) report(t *testing.T, report any, args ...string) {
	t.Helper()
	p.Args = append([]string{"/usr/bin/python3"}, args...)
	stdout, stderr, code := container.Run(t, p.Command)
	if code != 0 {
		t.Fatalf("%v: exit code %d\n%s", args, code, stderr)
	}
	if err := json.Unmarshal(stdout, report); err != nil {
		t.Fatalf("%v: invalid JSON: %v\n%s", args, err, stdout)
	}
}

func TestKrabbyHAL(t *testing.T) {
	p := unpack(t)
	t.Run("pytest", func(t *testing.T) { checkPytest(t, p) })
	t.Run("frames", func(t *testing.T) { checkFrames(t, p) })
	t.Run("server", func(t *testing.T) { checkServer(t, p, bus.Security{}) })
	t.Run("server with keys", func(t *testing.T) {
		own, client := newKeys(t, p, "server"), newKeys(t, p, "client")
		checkServer(t, p, bus.Security{Keys: own, AuthorizedKeys: []string{client.Public}}, "server.pub", "client")
	})
	t.Run("clock 3 hours ahead", func(t *testing.T) {
		checkRemoteClock(t, p, 3*time.Hour, bus.Security{})
	})
	t.Run("clock 5 hours behind with keys", func(t *testing.T) {
		own, client := newKeys(t, p, "remote_server"), newKeys(t, p, "remote_client")
		checkRemoteClock(t, p, -5*time.Hour, bus.Security{Keys: own, AuthorizedKeys: []string{client.Public}}, "remote_server.pub", "remote_client")
	})
	t.Run("version 1", func(t *testing.T) { checkV1(t, p) })
}

func checkPytest(t *testing.T, p python) {
	p.Args = []string{"/opt/krabby/python/bin/pytest", "-q", "-p", "no:cacheprovider", "hal/python/tests"}
	stdout, stderr, code := container.Run(t, p.Command)
	t.Logf("%s", stdout)
	if code != 0 || !strings.Contains(string(stdout), " passed in ") || strings.Contains(string(stdout), "skipped") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}

// sample is a frame with the result of decoding it in Go.
type sample struct {
	Kind   string `json:"kind"`
	Frame  []byte `json:"frame"`
	Reason string `json:"reason"` // Empty for a valid frame.
}

// checkFrames compares the results of decoding valid, damaged and forged frames in Python and in Go.
func checkFrames(t *testing.T, p python) {
	samples := samples(t, 20_000)
	var file bytes.Buffer
	want := map[string]int{}
	for _, s := range samples {
		line, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		file.Write(append(line, '\n'))
		want[s.Reason]++
	}
	p.write(t, "samples.json", file.Bytes())
	var got struct {
		Reasons     map[string]int `json:"reasons"`
		Differences []struct {
			Case            int
			Found, Expected string
		} `json:"differences"`
		Encoded []struct {
			Case  int
			Frame string
		} `json:"encoded"`
	}
	p.report(t, &got, "compare_frames.py", "samples.json")
	t.Logf("reasons: %v", got.Reasons)
	for _, d := range got.Differences {
		t.Errorf("frame %d, %s % x: reason in Python %q, in Go %q", d.Case, samples[d.Case].Kind, samples[d.Case].Frame, d.Found, d.Expected)
	}
	for _, reason := range append(wire.RejectReasons(), "") {
		if want[string(reason)] == 0 {
			t.Errorf("no sample has the reason %q", reason)
		}
	}
	if !reflect.DeepEqual(got.Reasons, want) {
		t.Errorf("reasons in Python %v, in Go %v", got.Reasons, want)
	}
	if len(got.Encoded) != want[""] {
		t.Errorf("Python encoded %d messages, want %d", len(got.Encoded), want[""])
	}
	for _, e := range got.Encoded {
		s := samples[e.Case]
		if _, encoded := decode(t, s.Kind, s.Frame); e.Frame != base64.StdEncoding.EncodeToString(encoded) {
			t.Errorf("frame %d, %s % x: Python encoded its message as %s", e.Case, s.Kind, s.Frame, e.Frame)
		}
	}
}

// decode decodes a frame, and returns the reason for rejecting it or the encoding of its message. The encoding of a frame of a newer
// minor version differs from the frame.
func decode(t *testing.T, kind string, frame []byte) (rejected error, encoded []byte) {
	t.Helper()
	var err error
	switch kind {
	case "observation":
		var o message.Observation
		if rejected = wire.DecodeObservation(&o, frame); rejected == nil {
			encoded, err = wire.AppendObservation(nil, &o)
		}
	case "joint_command":
		var c message.JointCommand
		if rejected = wire.DecodeJointCommand(&c, frame); rejected == nil {
			encoded, err = wire.AppendJointCommand(nil, &c)
		}
	case "navigation_command":
		var c message.NavigationCommand
		if rejected = wire.DecodeNavigationCommand(&c, frame); rejected == nil {
			encoded = wire.AppendNavigationCommand(nil, &c)
		}
	case "control_request":
		var r message.ControlRequest
		if rejected = wire.DecodeControlRequest(&r, frame); rejected == nil {
			encoded = wire.AppendControlRequest(nil, &r)
		}
	case "control_reply":
		var r message.ControlReply
		if rejected = wire.DecodeControlReply(&r, frame); rejected == nil {
			encoded, err = wire.AppendControlReply(nil, &r)
		}
	}
	if err != nil {
		t.Fatalf("encoding a decoded %s: %v", kind, err)
	}
	return rejected, encoded
}

// samples returns n frames that are made from the golden ones by reproducible random changes.
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
		if random.IntN(6) != 0 { // Otherwise the checksums are wrong.
			updateChecksums(frame, random.IntN(8) != 0)
		}
		s := sample{Kind: kind, Frame: frame}
		if rejected, _ := decode(t, kind, frame); rejected != nil {
			reason, ok := errors.AsType[wire.RejectReason](rejected)
			if !ok {
				t.Fatalf("error %v, want a wire.RejectReason", rejected)
			}
			s.Reason = string(reason)
		}
		all = append(all, s)
	}
	return all
}

// updateChecksums sets the checksums of the sections that it finds, and optionally the length of the frame.
func updateChecksums(frame []byte, withLength bool) {
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

// camera adds images to the synthetic robot: a color image whose pixels are the lowest byte of its sequence, and a flat depth.
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

// outsideJoint is the synthetic robot with a first joint that can be measured outside its range.
type outsideJoint struct {
	*synthetic.Backend
	outside atomic.Bool
}

func (b *outsideJoint) Read(ctx context.Context, o *message.Observation) error {
	if err := b.Backend.Read(ctx, o); err != nil {
		return err
	}
	if b.outside.Load() {
		o.PositionRad[0] = robot.Go1().Joints[0].UpperRad + 0.3
	}
	return nil
}

func newSynthetic() *synthetic.Backend { return synthetic.New(robot.Go1(), 10*time.Millisecond) }

// newKeys generates keys, and writes their files to the working directory in the image.
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

// anyPort is an endpoint with a port that the system chooses.
const anyPort = "tcp://127.0.0.1:0"

// serve runs a server for a robot until the test ends.
func serve(t *testing.T, b backend.Backend, out server.Publisher, in server.Receiver, opts ...server.Option) *server.Server {
	t.Helper()
	s, err := server.New(robot.Go1(), backendtest.Configured(t, b), out, in, opts...)
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

// bind binds the observation and command endpoints of a server.
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

const targetRad = 0.5 // Of the first joint, which starts at 0.1 rad.

// checkServer tests that the Python client moves the robot of a Go server over TCP.
func checkServer(t *testing.T, p python, security bus.Security, keys ...string) {
	const session = 1<<63 + 7
	out, in := bind(t, newBus(t), anyPort, anyPort, bus.WithSecurity(security))
	s := serve(t, camera{newSynthetic()}, out, in, server.WithSession(session))

	var got struct {
		Arrived           bool    `json:"arrived"`
		PositionRad       float64 `json:"position_rad"`
		SessionID         uint64  `json:"session_id"`
		Ascending         bool    `json:"ascending"`
		Shape             []int   `json:"shape"`
		RateHz            float64 `json:"rate_hz"`
		Images            int     `json:"images"`
		Depth             bool    `json:"depth"`
		Observations      int     `json:"observations"`
		MinAgeS           float64 `json:"min_age_s"`
		BaseVelocityKnown bool    `json:"base_velocity_known"`
		Sent              uint64  `json:"sent"`
		ReadWithoutKeys   bool    `json:"read_without_keys"`
		Health            struct {
			Rejected map[string]int `json:"rejected"`
			Sent     uint64         `json:"sent"`
			Unsent   uint64         `json:"unsent"`
		} `json:"health"`
	}
	p.report(t, &got, append([]string{"move_joint.py", out.Endpoint(), in.Endpoint(), fmt.Sprint(targetRad)}, keys...)...)
	t.Logf("client: %+v", got)
	if !got.Arrived || !got.Depth || got.SessionID != session || !got.Ascending || !slices.Equal(got.Shape, []int{480, 640, 3}) || got.RateHz != 100 || !got.BaseVelocityKnown {
		t.Errorf("client = %+v, want arrival at %v rad in session %d, images of 480x640x3 and a depth", got, targetRad, uint64(session))
	}
	if got.Observations < 2 || got.Images != got.Observations {
		t.Errorf("%d of %d observations have the sent image, want all", got.Images, got.Observations)
	}
	if got.MinAgeS < 0 || got.MinAgeS > 1 {
		t.Errorf("minimum age of observations = %v s, want 0 to 1", got.MinAgeS)
	}
	if len(got.Health.Rejected) != 0 || got.Health.Sent != got.Sent+3 || got.Health.Unsent != 0 || got.Sent == 0 {
		t.Errorf("health of the client = %+v after %d commands, want three more commands sent and nothing rejected", got.Health, got.Sent)
	}
	if got.ReadWithoutKeys != (len(keys) == 0) {
		t.Errorf("client without keys read an observation: %v", got.ReadWithoutKeys)
	}
	stats := s.Stats()
	t.Logf("server: %+v", stats)
	if stats.Applied == 0 || stats.Rejected["joint_limit"] == 0 {
		t.Errorf("server = %+v, want applied commands, and commands rejected for joint_limit", stats)
	}
	for _, reason := range append(wire.RejectReasons(), "session", "shape", "not_finite", "gain", "future") {
		if n := stats.Rejected[string(reason)]; n != 0 {
			t.Errorf("%d commands were rejected for %q, want 0", n, reason)
		}
	}
}

// remoteClock is the clock of another machine.
type remoteClock struct {
	local  *clock.Clock
	offset time.Duration
}

func (r remoteClock) NowNs() int64 { return r.local.NowNs() + int64(r.offset) }

// remoteReply is a control reply in a report of remote_clock.py.
type remoteReply struct {
	State     string `json:"state"`
	StoppedBy string `json:"stopped_by"`
	Fault     string `json:"fault"`
	Reason    string `json:"reason"`
	SessionID uint64 `json:"session_id"`
}

// remoteReport is a report of remote_clock.py.
type remoteReport struct {
	Moved  bool           `json:"moved"`
	AgeS   float64        `json:"age_s"`
	Error  string         `json:"error"`
	State  remoteReply    `json:"state"` // At the end.
	Health map[string]any `json:"health"`
}

// remoteTest is a server with a remote clock, and a function that runs an action of remote_clock.py.
type remoteTest struct {
	server  *server.Server
	backend *outsideJoint
	offset  time.Duration
	run     func(t *testing.T, action string, args ...string) remoteReport
}

// checkRemoteClock tests that the Python client moves, stops and resets a robot with a remote clock.
func checkRemoteClock(t *testing.T, p python, offset time.Duration, security bus.Security, keys ...string) {
	b, backend := newBus(t), &outsideJoint{Backend: newSynthetic()}
	out, in := bind(t, b, anyPort, anyPort, bus.WithSecurity(security))
	control, err := b.NewResponder(anyPort, bus.WithSecurity(security))
	if err != nil {
		t.Fatal(err)
	}
	const session = 1<<63 + 9
	limits := safety.Defaults(robot.Go1())
	limits.StopObservationAge = time.Minute // A busy machine must not stop the robot before the client does.
	s := serve(t, backend, out, in, server.WithSession(session), server.WithSafety(limits),
		server.WithClock(remoteClock{clock.New(), offset}), server.WithControl(control))
	r := remoteTest{s, backend, offset, func(t *testing.T, action string, args ...string) remoteReport {
		t.Helper()
		program := append([]string{"remote_clock.py", out.Endpoint(), in.Endpoint(), control.Endpoint()}, keys...)
		var got remoteReport
		p.report(t, &got, append(append(program, action), args...)...)
		t.Logf("%s %v: %+v", action, args, got)
		if got.State.SessionID != session {
			t.Errorf("%s %v: session %d, want %d", action, args, got.State.SessionID, uint64(session))
		}
		return got
	}}
	r.checkMove(t)
	r.checkStopAndReset(t)
}

// checkMove tests that the robot moves with a synchronized clock only.
func (r *remoteTest) checkMove(t *testing.T) {
	reason := "stale"
	if r.offset < 0 {
		reason = "future"
	}
	if got := r.run(t, "unsynchronized", fmt.Sprint(targetRad)); got.Moved || got.State.State != "idle" || got.AgeS*r.offset.Seconds() > 0 {
		t.Errorf("unsynchronized: %+v, want no movement, and ages wrong by hours", got)
	}
	if stats := r.server.Stats(); stats.Rejected[reason] == 0 || stats.Applied != 0 {
		t.Errorf("unsynchronized: server = %+v, want commands rejected for %s, and none applied", stats, reason)
	}
	before := r.server.Stats().Rejected

	got := r.run(t, "synchronized", fmt.Sprint(targetRad))
	if !got.Moved || got.State.State == "idle" || got.AgeS < 0 || got.AgeS > 1 {
		t.Errorf("synchronized: %+v, want movement, and a minimum age of 0 to 1 s", got)
	} else if estimate, ok := got.Health["clock"].(map[string]any); !ok ||
		math.Abs(estimate["offset_ns"].(float64)-float64(r.offset)) > estimate["bound_ns"].(float64)+float64(time.Millisecond) {
		t.Errorf("estimate = %v, want an offset of %d ns", got.Health["clock"], r.offset)
	}
	if stats := r.server.Stats(); stats.Applied == 0 || stats.Rejected["future"] != before["future"] {
		t.Errorf("synchronized: server = %+v, want commands applied, and none rejected for future", stats)
	}
}

// checkStopAndReset tests that a stop lasts until a reset, which the server rejects while a joint is outside its range.
func (r *remoteTest) checkStopAndReset(t *testing.T) {
	if got := r.run(t, "e_stop"); got.Error != "" || got.State.State != "stopped" || got.State.StoppedBy != "remote" {
		t.Errorf("e_stop: %+v, want a robot stopped by remote", got)
	}
	if got := r.run(t, "synchronized", fmt.Sprint(-targetRad)); got.Moved || got.State.State != "stopped" {
		t.Errorf("after e_stop: %+v, want no movement", got)
	}
	r.backend.outside.Store(true)
	got := r.run(t, "reset")
	if got.State.State != "stopped" || got.State.Fault != "joint_outside" ||
		!strings.HasPrefix(got.State.Reason, "joint FR_hip_joint is at 1.163 rad, ") ||
		!strings.HasPrefix(got.Error, "rejected: stopped by remote, active fault joint_outside: joint FR_hip_joint is at 1.163 rad, ") {
		t.Errorf("reset with a joint outside its range: %+v, want it rejected for that", got)
	}
	r.backend.outside.Store(false)
	if got := r.run(t, "reset"); got.Error != "" || got.State.State != "damp" || got.State.StoppedBy != "" {
		t.Errorf("reset: %+v, want damp", got)
	}
	if got := r.run(t, "synchronized", fmt.Sprint(-targetRad)); !got.Moved || got.State.State == "stopped" {
		t.Errorf("after reset: %+v, want movement", got)
	}
	stats := r.server.Stats()
	if stats.Rejected["stopped"] == 0 || stats.Control.Rejected["fault"] != 1 || stats.Control.Requests["e_stop"] != 1 || stats.Control.Requests["reset"] != 2 {
		t.Errorf("server = %+v, want commands rejected for stopped, one e_stop, and two resets, one of them rejected", stats)
	}
	for reason, n := range stats.Control.Rejected {
		if reason != "fault" {
			t.Errorf("%d requests were rejected for %q, want 0", n, reason)
		}
	}
}

// v1Report is the report of v1_client.py.
type v1Report struct {
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

// checkV1 tests that a client of version 1 moves the robot of a Go server over TCP.
func checkV1(t *testing.T, p python) {
	b := newBus(t)
	out, in := bind(t, b, "inproc://observations", "inproc://commands")
	v1Out, err := b.NewMultipartPublisher(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	v1In, err := b.NewMultipartReceiver(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, camera{newSynthetic()}, out, in, server.WithV1(v1Out, v1In, 1, 1))
	var got v1Report
	p.report(t, &got, "v1_client.py", v1Out.Endpoint(), v1In.Endpoint(), fmt.Sprint(targetRad))
	t.Logf("client: %+v", got)
	checkV1Report(t, got)
	stats := s.Stats()
	t.Logf("server: %+v", stats)
	for _, reason := range v1.RejectReasons() {
		want := uint64(0)
		if slices.Contains([]v1.RejectReason{v1.RejectFrames, v1.RejectMetadata, v1.RejectShape, v1.RejectLength, v1.RejectNotFinite}, reason) {
			want = 1 // The client sends one command for each.
		}
		if n := stats.Rejected["v1_"+string(reason)]; n != want {
			t.Errorf("%d commands were rejected for %q, want %d", n, reason, want)
		}
	}
	if stats.Applied == 0 {
		t.Error("no command was applied")
	}
}

func checkV1Report(t *testing.T, got v1Report) {
	t.Helper()
	if age := got.AgeS; age < 0 || age > 10 {
		t.Errorf("age of the observation = %v s, want 0 to 10", age)
	}
	if color := got.Ranges["rgb_camera_1"]; len(color) != 2 || color[0] != color[1] {
		t.Errorf("pixels of the first camera = %v, want one color", color)
	}
	positionRad := got.PositionRad
	delete(got.Ranges, "rgb_camera_1")
	got.AgeS, got.PositionRad = 0, 0
	want := v1Report{
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
		t.Errorf("report = %+v with the first joint at %v rad, want %+v", got, positionRad, want)
	}
}

// runfile returns the path of a runfile.
func runfile(t *testing.T, path string) string {
	t.Helper()
	file, err := runfiles.Rlocation(path)
	if err != nil {
		t.Fatalf("runfile %q: %v", path, err)
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("runfile %q not found", file)
	}
	return file
}
