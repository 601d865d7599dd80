package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/cmd/internal/endpoint/endpointtest"
	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/internal/cli"
)

// run runs hal-send and returns its output and exit code.
func run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, diagnostics bytes.Buffer
	code = program().Run(t.Context(), args, &out, &diagnostics)
	return out.String(), diagnostics.String(), code
}

// newKeys writes a pair of keys to a directory.
func newKeys(t *testing.T, dir, name string) bus.Keys {
	t.Helper()
	return endpointtest.NewKeys(t, filepath.Join(dir, name))
}

func TestRequest_stopAndReset(t *testing.T) {
	dir := t.TempDir()
	secured := bus.Security{Keys: newKeys(t, dir, "robot"), AuthorizedKeys: []string{newKeys(t, dir, "tool").Public}}
	keys := []string{"--key=" + filepath.Join(dir, "tool"), "--server-key=" + filepath.Join(dir, "robot.pub")}
	for _, tt := range []struct {
		name     string
		security bus.Security
		keys     []string
	}{{"without keys", bus.Security{}, nil}, {"with keys", secured, keys}} {
		t.Run(tt.name, func(t *testing.T) {
			r := endpointtest.Start(t, tt.security)
			control := append([]string{"--control=" + r.Control}, tt.keys...)
			stdout, stderr, code := run(t, append(control, "--e-stop")...)
			if code != cli.ExitOK || stderr != "" || !strings.HasPrefix(stdout, r.Control+": session ") || !strings.HasSuffix(stdout, " is stopped by remote\n") {
				t.Fatalf("e-stop: exit code %d, stdout %q, stderr %q", code, stdout, stderr)
			}
			if got := r.Server.Stats().Safety; got.State != "stopped" || got.Trips["remote"] != 1 {
				t.Errorf("safety = %+v, want it stopped", got)
			}
			stdout, stderr, code = run(t, append(control, "--reset")...)
			if code != cli.ExitUsage || !strings.HasSuffix(stdout, " is stopped by remote\n") || r.Server.Stats().Safety.State != "stopped" {
				t.Errorf("reset without --yes: exit code %d, stdout %q, state %s", code, stdout, r.Server.Stats().Safety.State)
			}
			endpointtest.CheckLine(t, stderr, "hal-send", "nothing was sent", "--yes")
			stdout, stderr, code = run(t, append(control, "--reset", "--yes")...)
			if code != cli.ExitOK || stderr != "" || !strings.HasSuffix(stdout, " is damp\n") || r.Server.Stats().Safety.State != "damp" {
				t.Errorf("reset: exit code %d, stdout %q, stderr %q, state %s", code, stdout, stderr, r.Server.Stats().Safety.State)
			}
		})
	}
	t.Run("with unknown keys", func(t *testing.T) {
		newKeys(t, dir, "unknown")
		r := endpointtest.Start(t, secured)
		for _, keys := range [][]string{nil, {"--key=" + filepath.Join(dir, "unknown"), "--server-key=" + filepath.Join(dir, "robot.pub")}} {
			_, stderr, code := run(t, append([]string{"--control=" + r.Control, "--e-stop", "--timeout=300ms"}, keys...)...)
			if code != cli.ExitFailed || r.Server.Stats().Safety.State != "idle" {
				t.Errorf("exit code %d, state %s, want a failure and no stop", code, r.Server.Stats().Safety.State)
			}
			endpointtest.CheckLine(t, stderr, "hal-send", "no answer from "+r.Control+" within 300ms", "--control", "--key and --server-key")
		}
	})
}

func TestRequest_resetRejected(t *testing.T) {
	r := endpointtest.Start(t, bus.Security{})
	if _, stderr, code := run(t, "--control="+r.Control, "--e-stop"); code != cli.ExitOK {
		t.Fatal(stderr)
	}
	r.FailReads.Store(true)
	time.Sleep(300 * time.Millisecond) // 200 ms without a reading are a fault.
	stdout, stderr, code := run(t, "--control="+r.Control, "--reset", "--yes")
	if code != cli.ExitFailed || stdout != "" || r.Server.Stats().Safety.State != "stopped" {
		t.Errorf("exit code %d, stdout %q, state %s, want a failure and the stop to stay", code, stdout, r.Server.Stats().Safety.State)
	}
	endpointtest.CheckLine(t, stderr, "hal-send", "reset rejected, stopped by remote, active fault unobserved: the robot was read ")
}

func TestSend_keys(t *testing.T) {
	dir := t.TempDir()
	r := endpointtest.Start(t, bus.Security{Keys: newKeys(t, dir, "robot"), AuthorizedKeys: []string{newKeys(t, dir, "tool").Public}})
	args := append(endpoints(r, false), "--pose=default", "--duration=500ms", "--yes")
	_, stderr, code := run(t, append(args, "--key="+filepath.Join(dir, "tool"), "--server-key="+filepath.Join(dir, "robot.pub"))...)
	if code != cli.ExitOK || r.Server.Stats().Applied == 0 {
		t.Errorf("exit code %d, stderr %q, server %+v; want commands applied", code, stderr, r.Server.Stats())
	}
	_, stderr, code = run(t, append(args, "--timeout=300ms")...)
	if code != cli.ExitFailed {
		t.Errorf("without keys: exit code %d, want %d", code, cli.ExitFailed)
	}
	endpointtest.CheckLine(t, stderr, "hal-send", "no observation from "+r.Observations, "--key and --server-key")
}

func TestSend_robotsClock(t *testing.T) {
	for _, offset := range []time.Duration{3 * time.Hour, -5 * time.Hour} {
		r := endpointtest.Start(t, bus.Security{}, endpointtest.WithClockOffset(offset))
		args := append(endpoints(r, false), "--pose=default", "--duration=500ms", "--yes")
		// The endpoint is on this machine, so that synchronisation must be requested.
		if _, _, code := run(t, args...); code != cli.ExitOK || r.Server.Stats().Applied != 0 {
			t.Errorf("%v apart: exit code %d, %d commands applied by another machine's time", offset, code, r.Server.Stats().Applied)
		}
		_, stderr, code := run(t, append(args, "--control="+r.Control)...)
		if code != cli.ExitOK || r.Server.Stats().Applied == 0 {
			t.Errorf("%v apart: exit code %d, stderr %q, server %+v; want commands applied", offset, code, stderr, r.Server.Stats())
		}
		_, stderr, code = run(t, append(args, "--control=tcp://127.0.0.1:1", "--timeout=300ms")...)
		if code != cli.ExitFailed {
			t.Errorf("without an answer: exit code %d, want %d", code, cli.ExitFailed)
		}
		endpointtest.CheckLine(t, stderr, "hal-send", "no answer from tcp://127.0.0.1:1 within 300ms", "the server's time is not known")
	}
}

// TestSend_restart_endsStream covers a robot whose pose may differ after the restart.
func TestSend_restart_endsStream(t *testing.T) {
	for _, synchronised := range []bool{false, true} {
		r := endpointtest.Start(t, bus.Security{})
		args := append(endpoints(r, false), "--pose=default", "--duration=1m", "--yes")
		if synchronised {
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
			code := program().Run(t.Context(), args, &stdout, &stderr)
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
			if got.code != cli.ExitFailed {
				t.Errorf("exit code %d, want %d", got.code, cli.ExitFailed)
			}
			endpointtest.CheckLine(t, got.stderr, "hal-send", " commands: found session ", "was restarted, check the robot first")
		case <-time.After(10 * time.Second):
			t.Fatal("the stream continues")
		}
		if s := r.Server.Stats(); s.Applied != 0 {
			t.Errorf("the new program applied %d commands, want none", s.Applied)
		}
	}
}
