package my_robot_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bazelbuild/rules_go/go/runfiles"
)

func find(t *testing.T, variable string) string {
	t.Helper()
	path, err := runfiles.Rlocation(os.Getenv(variable))
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return path
}

// The policy of this repository moves the robot of this repository, in the program that the image runs, and the program of this
// repository sees it stand.
func TestImage_programs(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	endpoint := fmt.Sprintf("tcp://%s", listener.Addr())
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	locomotion := exec.CommandContext(ctx, find(t, "LOCOMOTION"), "--robot="+find(t, "ROBOT"), "--policy="+find(t, "POLICY"),
		"--onnxruntime="+find(t, "ONNXRUNTIME"), "--observations="+endpoint, "--commands=tcp://127.0.0.1:0", "--command=0,0,0")
	var stderr strings.Builder
	locomotion.Stderr = &stderr
	locomotion.Cancel = func() error { return locomotion.Process.Signal(os.Interrupt) }
	locomotion.WaitDelay = 10 * time.Second
	if err := locomotion.Start(); err != nil {
		t.Fatal(err)
	}
	output, err := exec.CommandContext(ctx, find(t, "UPRIGHT"), "--robot="+find(t, "ROBOT"), "--observations="+endpoint, "--timeout=30s").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(output), "upright: ") {
		t.Errorf("upright: %s, %v, want an upright robot", output, err)
	}
	cancel()
	locomotion.Wait()
	if locomotion.ProcessState.ExitCode() != 0 {
		t.Errorf("locomotion: %v: %s", locomotion.ProcessState, stderr.String())
	}
}
