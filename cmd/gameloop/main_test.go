package main

import (
	"bytes"
	"strings"
	"testing"

	"krabby.dev/krabby/cmd/internal/robotflag/robotflagtest"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/internal/cli"
)

func realFlags(t *testing.T) []string {
	t.Helper()
	return []string{"--policy=" + policytest.Policy(t), "--onnxruntime=" + policytest.Library(t)}
}

func TestGameloop_realPolicy_passes(t *testing.T) {
	var stdout, stderr bytes.Buffer
	// A slow HAL and policy, so that a busy machine keeps the rate.
	args := append(realFlags(t), "--duration=2s", "--rate=10", "--hal-rate=20")
	if code := program().Run(t.Context(), args, &stdout, &stderr); code != cli.ExitOK {
		t.Errorf("exit code %d, stderr:\n%s\nreport: %s", code, &stderr, &stdout)
	}
}

func TestGameloop_noAction_fails(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := append(realFlags(t), "--duration=1ms", "--log-level=error")
	if code := program().Run(t.Context(), args, &stdout, &stderr); code != cli.ExitFailed {
		t.Errorf("exit code %d, want %d; report: %s", code, cli.ExitFailed, &stdout)
	}
	if line := stderr.String(); strings.Count(line, "\n") != 1 || !strings.HasPrefix(line, "gameloop: ") {
		t.Errorf("stderr = %q, want one line that begins with gameloop:", line)
	}
	if stdout.Len() == 0 {
		t.Error("no report")
	}
}

func TestGameloop_robot(t *testing.T) {
	robotflagtest.Check(t, program, true, append(realFlags(t), "--policy="+robotflagtest.Policy(t), "--duration=1s", "--rate=10", "--hal-rate=20")...)
}
