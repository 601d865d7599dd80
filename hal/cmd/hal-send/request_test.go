package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/cmd/endpoint"
	"krabby.dev/krabby/hal/cmd/endpoint/endpointtest"
)

// try runs hal-send and returns what it wrote and its exit code.
func try(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, diagnostics bytes.Buffer
	code = run(t.Context(), args, &out, &diagnostics)
	return out.String(), diagnostics.String(), code
}

// newKeys makes keys of a name in a folder.
func newKeys(t *testing.T, dir, name string) bus.Keys {
	t.Helper()
	k, err := bus.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Write(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
	return k
}

func TestARobotIsStoppedAndReset(t *testing.T) {
	dir := t.TempDir()
	secured := bus.Security{Keys: newKeys(t, dir, "robot"), Peers: []string{newKeys(t, dir, "tool").Public}}
	keys := []string{"--key=" + filepath.Join(dir, "tool"), "--peer=" + filepath.Join(dir, "robot.pub")}
	for _, tt := range []struct {
		name     string
		security bus.Security
		keys     []string
	}{{"without keys", bus.Security{}, nil}, {"with keys", secured, keys}} {
		t.Run(tt.name, func(t *testing.T) {
			r := endpointtest.Start(t, tt.security)
			control := append([]string{"--control=" + r.Control}, tt.keys...)
			stdout, stderr, code := try(t, append(control, "--e-stop")...)
			if code != endpoint.ExitOK || stderr != "" || !strings.HasPrefix(stdout, r.Control+": session ") || !strings.HasSuffix(stdout, " is stopped by remote\n") {
				t.Fatalf("e-stop: exit code %d, stdout %q, stderr %q", code, stdout, stderr)
			}
			if got := r.Server.Stats().Safety; got.State != "stopped" || got.Trips["remote"] != 1 {
				t.Errorf("safety = %+v, want it stopped", got)
			}
			stdout, stderr, code = try(t, append(control, "--reset")...)
			if code != endpoint.ExitUsage || !strings.HasSuffix(stdout, " is stopped by remote\n") || r.Server.Stats().Safety.State != "stopped" {
				t.Errorf("reset without --yes: exit code %d, stdout %q, state %s", code, stdout, r.Server.Stats().Safety.State)
			}
			endpointtest.CheckLine(t, stderr, "hal-send", "nothing was sent", "--yes")
			stdout, stderr, code = try(t, append(control, "--reset", "--yes")...)
			if code != endpoint.ExitOK || stderr != "" || !strings.HasSuffix(stdout, " is damp\n") || r.Server.Stats().Safety.State != "damp" {
				t.Errorf("reset: exit code %d, stdout %q, stderr %q, state %s", code, stdout, stderr, r.Server.Stats().Safety.State)
			}
		})
	}
	t.Run("with the keys of a stranger", func(t *testing.T) {
		newKeys(t, dir, "stranger")
		r := endpointtest.Start(t, secured)
		for _, keys := range [][]string{nil, {"--key=" + filepath.Join(dir, "stranger"), "--peer=" + filepath.Join(dir, "robot.pub")}} {
			_, stderr, code := try(t, append([]string{"--control=" + r.Control, "--e-stop", "--timeout=300ms"}, keys...)...)
			if code != endpoint.ExitFailed || r.Server.Stats().Safety.State != "idle" {
				t.Errorf("exit code %d, state %s, want a failure and no stop", code, r.Server.Stats().Safety.State)
			}
			endpointtest.CheckLine(t, stderr, "hal-send", "no answer from "+r.Control+" within 300ms", "--control", "--key and --peer")
		}
	})
}

func TestAResetThatIsRefusedSaysWhy(t *testing.T) {
	r := endpointtest.Start(t, bus.Security{})
	if _, stderr, code := try(t, "--control="+r.Control, "--e-stop"); code != endpoint.ExitOK {
		t.Fatal(stderr)
	}
	r.Blind.Store(true)
	time.Sleep(300 * time.Millisecond) // 200 ms without a reading are a fault.
	stdout, stderr, code := try(t, "--control="+r.Control, "--reset", "--yes")
	if code != endpoint.ExitFailed || stdout != "" || r.Server.Stats().Safety.State != "stopped" {
		t.Errorf("exit code %d, stdout %q, state %s, want a failure and the stop to stay", code, stdout, r.Server.Stats().Safety.State)
	}
	endpointtest.CheckLine(t, stderr, "hal-send", "reset refused, stopped by remote, and unobserved lasts: the robot was read ")
}

func TestARobotWithKeysIsMoved(t *testing.T) {
	dir := t.TempDir()
	r := endpointtest.Start(t, bus.Security{Keys: newKeys(t, dir, "robot"), Peers: []string{newKeys(t, dir, "tool").Public}})
	args := append(endpoints(r, false), "--pose=default", "--duration=500ms", "--yes")
	_, stderr, code := try(t, append(args, "--key="+filepath.Join(dir, "tool"), "--peer="+filepath.Join(dir, "robot.pub"))...)
	if code != endpoint.ExitOK || r.Server.Stats().Applied == 0 {
		t.Errorf("exit code %d, stderr %q, server %+v; want commands applied", code, stderr, r.Server.Stats())
	}
	_, stderr, code = try(t, append(args, "--timeout=300ms")...)
	if code != endpoint.ExitFailed {
		t.Errorf("without keys: exit code %d, want %d", code, endpoint.ExitFailed)
	}
	endpointtest.CheckLine(t, stderr, "hal-send", "no observation from "+r.Observations, "--key and --peer")
}

func TestARobotOnAnotherMachineIsMovedByItsOwnTime(t *testing.T) {
	for _, offset := range []time.Duration{3 * time.Hour, -5 * time.Hour} {
		r := endpointtest.Start(t, bus.Security{}, endpointtest.Elsewhere(offset))
		args := append(endpoints(r, false), "--pose=default", "--duration=500ms", "--yes")
		// The endpoint is this machine's, so that nobody would ask for the time.
		if _, _, code := try(t, args...); code != endpoint.ExitOK || r.Server.Stats().Applied != 0 {
			t.Errorf("%v apart: exit code %d, %d commands applied by another machine's time", offset, code, r.Server.Stats().Applied)
		}
		_, stderr, code := try(t, append(args, "--control="+r.Control)...)
		if code != endpoint.ExitOK || r.Server.Stats().Applied == 0 {
			t.Errorf("%v apart: exit code %d, stderr %q, server %+v; want commands applied", offset, code, stderr, r.Server.Stats())
		}
		_, stderr, code = try(t, append(args, "--control=tcp://127.0.0.1:1", "--timeout=300ms")...)
		if code != endpoint.ExitFailed {
			t.Errorf("without an answer: exit code %d, want %d", code, endpoint.ExitFailed)
		}
		endpointtest.CheckLine(t, stderr, "hal-send", "no answer from tcp://127.0.0.1:1 within 300ms", "the server's time is not known")
	}
}

// A robot whose program was started again is not where it was: a stream does not go on.
func TestAStreamEndsWhereTheRobotsProgramIsStartedAgain(t *testing.T) {
	for _, asked := range []bool{false, true} {
		r := endpointtest.Start(t, bus.Security{})
		args := append(endpoints(r, false), "--pose=default", "--duration=1m", "--yes")
		if asked {
			args = append(args, "--control="+r.Control)
		}
		first := r.Server
		type result struct {
			stderr string
			code   int
		}
		done := make(chan result)
		go func() {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), args, &stdout, &stderr)
			done <- result{stderr.String(), code}
		}()
		for deadline := time.Now().Add(10 * time.Second); first.Stats().Applied == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("server %+v, want commands applied", first.Stats())
			}
		}
		r.Restart(t)
		select {
		case got := <-done:
			if got.code != endpoint.ExitFailed {
				t.Errorf("exit code %d, want %d", got.code, endpoint.ExitFailed)
			}
			endpointtest.CheckLine(t, got.stderr, "hal-send", " commands: found session ", "was started again, look at the robot first")
		case <-time.After(10 * time.Second):
			t.Fatal("the stream goes on")
		}
		if s := r.Server.Stats(); s.Applied != 0 {
			t.Errorf("the new program applied %d commands, want none", s.Applied)
		}
	}
}
