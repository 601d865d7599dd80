package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/cmd/internal/endpoint/endpointtest"
	"krabby.dev/krabby/cmd/internal/robotflag/robotflagtest"
	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/internal/cli"
)

// show runs the command and expects exit code 0 and no output on stderr.
func show(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := program().Run(t.Context(), args, &stdout, &stderr); code != cli.ExitOK || stderr.Len() != 0 {
		t.Fatalf("%q: exit code %d, stderr %q", args, code, &stderr)
	}
	return stdout.String()
}

func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func TestHelp(t *testing.T) {
	help := show(t, "--help")
	for _, flag := range []string{"--observations", "--robot", "--v1", "--key", "--server-key", "--insecure", "--timeout", "--stream", "--statistics", "--duration", "--json"} {
		if !strings.Contains(help, flag) {
			t.Errorf("help does not name %s:\n%s", flag, help)
		}
	}
}

func TestFlags_invalid(t *testing.T) {
	endpointtest.CheckUsageErrors(t, program, map[string]string{
		"--speed=3":                          "unknown flag --speed",
		"--timeout=0s":                       "--timeout: found 0s, expected more than 0s",
		"--robot=spot":                       `--robot: unknown robot "spot": expected one of g1, go1, go2, hex, t1`,
		"--robot=nowhere.json":               "nowhere.json: no such file",
		"--observations=inproc://x":          `--observations: found endpoint "inproc://x", expected tcp://HOST:PORT`,
		"--observations=tcp://10.0.0.1:6001": "--observations: tcp://10.0.0.1:6001: other machines can reach it",
		"--v1 --key=k":                       "--v1: not available with --key or --server-key",
		"--key=nowhere":                      "--key",
		"--duration=1s":                      "--duration: requires --stream or --statistics",
		"--stream --duration=-1s":            "--duration: found -1s, expected 0s or more",
		"--stream --statistics":              "--stream and --statistics can't be used together",
	})
}

func TestDump_version2(t *testing.T) {
	r := endpointtest.Start(t, bus.Security{})
	s := decode[summary](t, show(t, "--json", "--observations="+r.Observations))
	if s.Sequence == 0 || s.Session == 0 || s.AgeClock != monotonic || s.AgeUs <= 0 || s.AgeUs > 1e6 || time.Since(s.Made).Abs() > time.Minute {
		t.Errorf("summary = %+v", s)
	}
	if len(s.Joints) != 12 || s.Joints[0].Name != robot.Go1().Joints[0].Name || s.Joints[0].VelocityRadPerSec == nil || s.Joints[0].EffortNm == nil {
		t.Errorf("joints = %+v", s.Joints)
	}
	if len(s.Contacts) != 4 || s.IMU == nil || s.IMU.Orientation[0] < 0.9 {
		t.Errorf("contacts %+v, imu %+v", s.Contacts, s.IMU)
	}
	if len(s.Images) != 1 {
		t.Fatalf("images = %+v, want the depth alone", s.Images)
	}
	i := s.Images[0]
	if i.Name != "depth" || i.Height != 2 || i.Width != 4 || *i.Min != 0.5 || *i.Mean != 2 || *i.Max != 3.5 || i.NotFinite != 1 ||
		i.Frame == 0 || i.RateHz != 10 || i.AgeUs == nil {
		t.Errorf("depth = %+v", i)
	}
}

func TestDump_synchronisedClock(t *testing.T) {
	r := endpointtest.Start(t, bus.Security{}, endpointtest.WithClockOffset(3*time.Hour))
	args := []string{"--observations=" + r.Observations, "--control=" + r.Control}
	s := decode[summary](t, show(t, append(args, "--json")...))
	if s.AgeClock != synchronised || s.AgeUs <= 0 || s.AgeUs > 1e6 || s.AgeBoundUs <= 0 || s.AgeBoundUs > 25e3 {
		t.Errorf("summary = %+v", s)
	}
	if text := show(t, args...); !strings.Contains(text, " ms by the synchronised clock, +-") {
		t.Errorf("text = %s", text)
	}
	if s := decode[statistics](t, show(t, append(args, "--statistics", "--duration=300ms", "--json")...)); s.AgeClock != synchronised || s.AgeUs.Max > 1e6 {
		t.Errorf("statistics = %+v", s)
	}
	// Without --control only the wall clocks are available.
	if s := decode[summary](t, show(t, "--json", "--observations="+r.Observations)); s.AgeClock != wall {
		t.Errorf("summary = %+v", s)
	}
	var stdout, stderr bytes.Buffer
	if code := program().Run(t.Context(), []string{"--observations=" + r.Observations, "--control=tcp://127.0.0.1:1", "--timeout=300ms"}, &stdout, &stderr); code != cli.ExitFailed {
		t.Errorf("without an answer: exit code %d, want %d", code, cli.ExitFailed)
	}
	endpointtest.CheckLine(t, stderr.String(), "hal-dump", "no answer from tcp://127.0.0.1:1 within 300ms")
}

func TestDump_version1(t *testing.T) {
	r := endpointtest.Start(t, bus.Security{})
	args := []string{"--v1", "--observations=" + r.V1Observations}
	s := decode[summary](t, show(t, append(args, "--json")...))
	if s.Sequence != 0 || s.IMU != nil || s.Contacts != nil || s.AgeClock != wall || s.AgeUs <= 0 || s.AgeUs > 1e6 {
		t.Errorf("summary = %+v", s)
	}
	if len(s.Joints) != 12 || s.Joints[0].VelocityRadPerSec != nil {
		t.Errorf("joints = %+v", s.Joints)
	}
	if len(s.Images) != 4 || s.Images[2].Name != "depth" || *s.Images[2].Mean != 2 || s.Images[2].AgeUs != nil || *s.Images[0].Max != 0 {
		t.Errorf("images = %+v", s.Images)
	}
	text := show(t, args...)
	for _, part := range []string{"observation  version 1\n", "by the wall clock", "depth        2 rows x 4 columns, 0.5 to 3.5 m, mean 2 m, 1 not finite\n"} {
		if !strings.Contains(text, part) {
			t.Errorf("text has no %q:\n%s", part, text)
		}
	}
}

func TestDump_keys(t *testing.T) {
	dir := t.TempDir()
	keys := func(name string) bus.Keys { return endpointtest.NewKeys(t, filepath.Join(dir, name)) }
	r := endpointtest.Start(t, bus.Security{Keys: keys("robot"), AuthorizedKeys: []string{keys("tool").Public}})
	text := show(t, "--observations="+r.Observations, "--key="+filepath.Join(dir, "tool"), "--server-key="+filepath.Join(dir, "robot.pub"))
	if !strings.Contains(text, "FL_hip") {
		t.Errorf("text = %s", text)
	}
	var stdout, stderr bytes.Buffer
	if code := program().Run(t.Context(), []string{"--observations=" + r.Observations, "--timeout=300ms"}, &stdout, &stderr); code != cli.ExitFailed {
		t.Errorf("without keys: exit code %d, want %d", code, cli.ExitFailed)
	}
	endpointtest.CheckLine(t, stderr.String(), "hal-dump", "no observation from "+r.Observations+" within 300ms", "--key and --server-key")
}

func TestDump_otherRobot(t *testing.T) {
	r := endpointtest.Start(t, bus.Security{})
	for _, args := range [][]string{{"--observations=" + r.Observations}, {"--v1", "--observations=" + r.V1Observations}} {
		var stdout, stderr bytes.Buffer
		if code := program().Run(t.Context(), append(args, "--robot=hex", "--timeout=300ms"), &stdout, &stderr); code != cli.ExitFailed || stdout.Len() != 0 {
			t.Errorf("exit code %d, stdout %q, want %d and nothing", code, &stdout, cli.ExitFailed)
		}
		endpointtest.CheckLine(t, stderr.String(), "hal-dump", "no valid observation", "rejected invalid ", "found 12 values, expected 18")
	}
}

func TestDump_stream(t *testing.T) {
	r := endpointtest.Start(t, bus.Security{})
	lines := strings.Split(strings.TrimSuffix(show(t, "--stream", "--json", "--duration=300ms", "--observations="+r.Observations), "\n"), "\n")
	if len(lines) < 3 {
		t.Fatalf("%d lines in 300 ms at %d Hz", len(lines), endpointtest.RateHz)
	}
	last := uint64(0)
	for _, line := range lines {
		s := decode[summary](t, line)
		if s.Sequence <= last {
			t.Errorf("sequence %d after %d", s.Sequence, last)
		}
		last = s.Sequence
	}
	if text := show(t, "--stream", "--duration=100ms", "--observations="+r.Observations); !strings.Contains(text, " ms  rad ") || !strings.Contains(text, "  depth 2x4\n") {
		t.Errorf("text = %s", text)
	}
}

func TestDump_statistics(t *testing.T) {
	r := endpointtest.Start(t, bus.Security{})
	args := []string{"--statistics", "--duration=1s", "--json"}
	s := decode[statistics](t, show(t, append(args, "--observations="+r.Observations)...))
	if s.Observations < 10 || s.DurationS < 0.9 || s.RateHz < 10 || s.RateHz > 1.5*endpointtest.RateHz || s.AgeClock != monotonic ||
		!(s.AgeUs.P50 > 0 && s.AgeUs.P50 <= s.AgeUs.P99 && s.AgeUs.P99 <= s.AgeUs.Max) || *s.Restarts != 0 {
		t.Errorf("statistics = %+v", s)
	}
	s = decode[statistics](t, show(t, append(args, "--v1", "--observations="+r.V1Observations)...))
	if s.Observations < 10 || s.AgeClock != wall || s.Gaps != nil {
		t.Errorf("statistics of version 1 = %+v", s)
	}
}

func TestMeter_gapsAndRestarts(t *testing.T) {
	m := newMeter(true)
	start := time.Unix(100, 0)
	for i, at := range []struct{ session, sequence uint64 }{{1, 5}, {1, 6}, {1, 9}, {1, 10}, {1, 12}, {2, 40}, {2, 41}} {
		o := &message.Observation{SessionID: at.session, Sequence: at.sequence}
		m.add(o, start.Add(time.Duration(i)*20*time.Millisecond), time.Duration(i+1)*time.Millisecond, monotonic)
	}
	s := m.result(time.Second, map[string]uint64{"old": 2, "invalid": 1})
	if s.Observations != 7 || *s.Gaps != 2 || *s.Missed != 3 || *s.Restarts != 1 || math.Abs(s.RateHz-50) > 1e-9 {
		t.Errorf("statistics = %+v, gaps %d of %d, restarts %d", s, *s.Gaps, *s.Missed, *s.Restarts)
	}
	if math.Abs(s.AgeUs.P50-4000) > 8 || math.Abs(s.AgeUs.Max-7000) > 8 {
		t.Errorf("ages = %+v, want 4000 and 7000", s.AgeUs)
	}
	var text bytes.Buffer
	if err := s.text(&text); err != nil || !strings.Contains(text.String(), "gaps          2, of 3 observations\n") || !strings.Contains(text.String(), "rejected      invalid 1, old 2\n") {
		t.Errorf("text = %s, %v", &text, err)
	}
}

func TestAgeOf(t *testing.T) {
	tests := []struct {
		name      string
		o         message.Observation
		want      time.Duration
		wantClock string

		synchronised bool
	}{
		{"one machine", message.Observation{Sequence: 1, MonotonicNs: 90e6, WallNs: 5e18 - 11e6}, 10 * time.Millisecond, monotonic, false},
		{"another machine", message.Observation{Sequence: 1, MonotonicNs: 77e9, WallNs: 5e18 - 11e6}, 11 * time.Millisecond, wall, false},
		{"another machine, synchronised", message.Observation{Sequence: 1, MonotonicNs: 90e6, WallNs: 4e18}, 10 * time.Millisecond, synchronised, true},
		{"version 1", message.Observation{MonotonicNs: 0, WallNs: 5e18 - 12e6}, 12 * time.Millisecond, wall, false},
	}
	for _, tt := range tests {
		if age, clock := ageOf(&tt.o, moment{monotonicNs: 100e6, wallNs: 5e18, synchronised: tt.synchronised}); age != tt.want || clock != tt.wantClock {
			t.Errorf("%s: age %v by %s, want %v by %s", tt.name, age, clock, tt.want, tt.wantClock)
		}
	}
}

func TestDump_interrupted(t *testing.T) {
	r := endpointtest.Start(t, bus.Security{})
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	var stdout, stderr bytes.Buffer
	if code := program().Run(ctx, []string{"--statistics", "--observations=" + r.Observations}, &stdout, &stderr); code != cli.ExitOK || !strings.Contains(stdout.String(), "rate") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, &stdout, &stderr)
	}
	stdout.Reset()
	if code := program().Run(ctx, []string{"--observations=" + r.Observations}, &stdout, &stderr); code != cli.ExitFailed || stdout.Len() != 0 {
		t.Errorf("exit code %d, stdout %q", code, &stdout)
	}
	endpointtest.CheckLine(t, stderr.String(), "hal-dump", "interrupted before an observation arrived")
}

func TestDump_robot(t *testing.T) {
	r := endpointtest.Start(t, bus.Security{})
	robotflagtest.Check(t, program, false, "--observations="+r.Observations)
}
