package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"krabby.dev/krabby/compute/inprocess"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/compute/runner"
	"krabby.dev/krabby/hal/safety"
	"krabby.dev/krabby/hal/server"
)

// asCommand makes the test binary be the command, so that tests can start and signal a real process.
const asCommand = "KRABBY_TEST_AS_LOCOMOTION"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main() // Does not return.
	}
	os.Exit(m.Run())
}

// realFlags names the real policy and library.
func realFlags(t *testing.T) []string {
	t.Helper()
	return []string{"--policy=" + policytest.Policy(t), "--onnxruntime=" + policytest.Library(t)}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"--help"}, &stdout, &stderr); code != inprocess.ExitOK || stderr.Len() != 0 {
		t.Errorf("exit code %d and %q on stderr, want 0 and nothing", code, &stderr)
	}
	for _, flag := range []string{
		"--help", "--duration", "--rate", "--hal-rate", "--policy", "--robot", "--backend", "--command", "--onnxruntime", "--metrics", "--log-level",
		"--realtime-priority", "--cpu", "--lock-memory",
	} {
		if !strings.Contains(stdout.String(), flag) {
			t.Errorf("help does not name %s:\n%s", flag, &stdout)
		}
	}
}

// checkRefusal runs the command and wants exit code 2, one line on stderr that has every part, and nothing else.
func checkRefusal(t *testing.T, args []string, parts ...string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), args, &stdout, &stderr); code != inprocess.ExitUsage {
		t.Errorf("exit code %d, want %d", code, inprocess.ExitUsage)
	}
	line := stderr.String()
	if strings.Count(line, "\n") != 1 || !strings.HasPrefix(line, "locomotion: ") || !strings.HasSuffix(line, "\n") || stdout.Len() != 0 {
		t.Errorf("stderr %q, stdout %q; want one line that begins with locomotion: and nothing", line, &stdout)
	}
	for _, part := range parts {
		if !strings.Contains(line, part) {
			t.Errorf("stderr = %q, want %q in it", line, part)
		}
	}
}

func TestWrongFlagsAreRefused(t *testing.T) {
	tests := []struct {
		args []string
		want []string
	}{
		{[]string{"--speed=3"}, []string{"unknown flag --speed"}},
		{[]string{"walk"}, []string{"unexpected argument walk"}},
		{[]string{"--duration=soon"}, []string{"--duration", "soon"}},
		{[]string{"--duration=-1s"}, []string{"--duration: found -1s, expected 0s or more"}},
		{[]string{"--rate=fast"}, []string{"--rate", "fast"}},
		{[]string{"--rate=-50"}, []string{"--rate: found -50, expected 0 to 1000 Hz"}},
		{[]string{"--rate=NaN"}, []string{"--rate: found NaN, expected 0 to 1000 Hz"}},
		{[]string{"--hal-rate=0"}, []string{"--hal-rate: found 0, expected 10 to 10000 Hz"}},
		{[]string{"--hal-rate=9.9"}, []string{"--hal-rate: found 9.9, expected 10 to 10000 Hz: a command may be at most 100ms old"}},
		{[]string{"--hal-rate=NaN"}, []string{"--hal-rate: found NaN, expected 10 to 10000 Hz"}},
		{[]string{"--robot=spot"}, []string{"--robot", `"spot"`, "go1"}},
		{[]string{"--backend=lunar"}, []string{"--backend", `"lunar"`, `"synthetic"`}},
		{[]string{"--command=1,2"}, []string{"--command", `"1,2"`, "VX,VY,YAW"}},
		{[]string{"--command=1,x,0"}, []string{"--command", `"1,x,0"`}},
		{[]string{"--command=9,0,0"}, []string{"--command", "vx_mps: found 9, expected -1.5 to 1.5"}},
		{[]string{"--observations=tcp://127.0.0.1:0"}, []string{"--observations, --commands: found one of them, expected both or neither"}},
		{[]string{"--v1-commands=tcp://127.0.0.1:0"}, []string{"--v1-observations, --v1-commands: found one of them"}},
		{[]string{"--observations=tcp://0.0.0.0:0", "--commands=tcp://127.0.0.1:0"}, []string{"--observations: tcp://0.0.0.0:0: other machines can reach it", "--insecure"}},
		{[]string{"--control=tcp://0.0.0.0:0"}, []string{"--control: tcp://0.0.0.0:0: other machines can reach it", "--insecure"}},
		{[]string{"--v1-observations=tcp://127.0.0.1:0", "--v1-commands=tcp://*:0"}, []string{"--v1-commands: tcp://*:0: other machines can reach it", "--insecure"}},
		{[]string{"--observations=udp://x", "--commands=tcp://127.0.0.1:0"}, []string{`"udp://x", expected inproc://NAME or tcp://HOST:PORT`}},
		{[]string{"--key=nowhere"}, []string{"--key", "nowhere: no such file"}},
		{[]string{"--peer=nowhere.pub"}, []string{"--peer", "nowhere.pub: no such file"}},
		{[]string{"--metrics=9464"}, []string{`--metrics: found "9464", expected HOST:PORT or :PORT`}},
		{[]string{"--log-level=loud"}, []string{"--log-level", "loud"}},
		{[]string{"--realtime-priority=-1"}, []string{"--realtime-priority: found -1, expected 0 to 98"}},
		{[]string{"--realtime-priority=99"}, []string{"--realtime-priority: found 99, expected 0 to 98"}},
		{[]string{"--cpu=0,-1"}, []string{"--cpu: found -1, expected 0 or more"}},
		{[]string{"--cpu=first"}, []string{"--cpu", "first"}},
	}
	for _, tt := range tests {
		t.Run(tt.args[0], func(t *testing.T) { checkRefusal(t, tt.args, tt.want...) })
	}
}

func TestNewKeysAreForTheEndpoints(t *testing.T) {
	path := filepath.Join(t.TempDir(), "robot")
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"--new-keys=" + path}, &stdout, &stderr); code != inprocess.ExitOK || stdout.Len()+stderr.Len() != 0 {
		t.Fatalf("exit code %d, stdout %q, stderr %q", code, &stdout, &stderr)
	}
	endpoints := []string{"--observations=tcp://0.0.0.0:0", "--commands=tcp://0.0.0.0:0", "--control=tcp://0.0.0.0:0", "--key=" + path}
	checkRefusal(t, endpoints, "--observations", "found 0 public keys of peers, expected at least one")
	stdout.Reset()
	stderr.Reset()
	args := append(append(realFlags(t), "--duration=100ms", "--peer="+path+".pub"), endpoints...)
	if code := run(t.Context(), args, &stdout, &stderr); code != inprocess.ExitOK {
		t.Errorf("exit code %d with keys, stderr:\n%s", code, &stderr)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	checkRefusal(t, append(endpoints, "--peer="+path+".pub"), "--key", "found mode 0644, expected 0600")
	stderr.Reset()
	if code := run(t.Context(), []string{"--new-keys=" + path}, &stdout, &stderr); code != inprocess.ExitFailed || !strings.Contains(stderr.String(), "exists") {
		t.Errorf("new keys over old ones: exit code %d, stderr %q, want 1", code, &stderr)
	}
}

func TestAMissingPolicyIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nowhere")
	checkRefusal(t, []string{"--policy=" + dir}, filepath.Join(dir, policy.ManifestFile), "found no such file")
}

func TestACorruptPolicyIsRefused(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{policy.ManifestFile, policy.ModelFile} {
		content, err := os.ReadFile(filepath.Join(policytest.Policy(t), name))
		if err != nil {
			t.Fatal(err)
		}
		if name == policy.ModelFile {
			content[len(content)/2] ^= 1
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const want = "386cde6a1eac679e2f2a313ade2b395d9f26905b151ee3b019c2c4163d49b6f2"
	checkRefusal(t, []string{"--policy=" + dir}, filepath.Join(dir, policy.ModelFile), "sha256: found ", "expected "+want)
}

func TestAMissingLibraryIsRefused(t *testing.T) {
	library := filepath.Join(t.TempDir(), "libonnxruntime.so")
	checkRefusal(t, []string{"--policy=" + policytest.Policy(t), "--onnxruntime=" + library}, library)
}

func TestARunDrivesTheRobotWithThePolicy(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := append(realFlags(t), "--duration=2s")
	if code := run(t.Context(), args, &stdout, &stderr); code != inprocess.ExitOK {
		t.Fatalf("exit code %d, stderr:\n%s", code, &stderr)
	}
	got := decode(t, &stdout)
	if got.Policy != "go1_joystick" || got.Robot != "go1" || got.Backend != "synthetic" || got.RateRequestedHz != 50 {
		t.Errorf("report = %+v", got)
	}
	if got.DurationS < 2 {
		t.Errorf("duration = %v s, want at least 2", got.DurationS)
	}
	// How many ticks there are depends on the machine; what each leads to does not.
	if got.Actions == 0 || got.Actions+got.NoAction[runner.Stale] != got.ObservationsRead {
		t.Errorf("%d actions for %d observations of which %d were stale, want one for each of the others",
			got.Actions, got.ObservationsRead, got.NoAction[runner.Stale])
	}
	sum := got.Actions
	for _, n := range got.NoAction {
		sum += n
	}
	if sum != got.Ticks {
		t.Errorf("%d actions and no action %v make %d ticks, want %d", got.Actions, got.NoAction, sum, got.Ticks)
	}
	if a := got.Action; !a.Finite || a.Min >= a.Max || len(a.First) != 12 || len(a.Last) != 12 || slices.Equal(a.First, a.Last) ||
		slices.Equal(a.First, make([]float32, 12)) || a.Distinct != got.Actions {
		t.Errorf("action summary = %+v, want finite, not zero, and a new action for each of %d observations", a, got.Actions)
	}
	if s := got.Server; s.Published == 0 || s.Applied == 0 || s.Applied > got.Actions || s.WriteErrors != 0 || len(s.Safety.Trips) != 0 {
		t.Errorf("server = %+v, want some published and applied, and no stop", s)
	}
	for cause, n := range got.Server.Refused {
		switch safety.Cause(cause) {
		case safety.Stale, safety.Expired, safety.Superseded, safety.ObservationOld, server.Unwritten: // Those depend on the machine too.
		default:
			t.Errorf("%d commands refused: %s", n, cause)
		}
	}
	if got.StepLatency.P50 <= 0 || got.StepLatency.Max < got.StepLatency.P50 || got.ObservationAge.P50 <= 0 {
		t.Errorf("step latency %+v, observation age %+v", got.StepLatency, got.ObservationAge)
	}
	if !strings.Contains(stderr.String(), "level=INFO msg=running") {
		t.Errorf("stderr = %q, want the log", &stderr)
	}
}

func TestMetricsAreServedWhileItRuns(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	logs, stderr := io.Pipe()
	var stdout bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, append(realFlags(t), "--metrics=:0"), &stdout, stderr)
		stderr.Close()
	}()
	lines := bufio.NewScanner(logs)
	url := ""
	for url == "" && lines.Scan() {
		_, url, _ = strings.Cut(lines.Text(), "url=")
	}
	go io.Copy(io.Discard, logs)
	if !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Fatalf("url = %q, want one of this machine", url)
	}
	const active = "krabby_hal_safety_state{state=\"active\"} 1\n"
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		response, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err == nil && strings.Contains(string(body), active) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %q in %v:\n%s", active, err, body)
		}
	}
	cancel()
	if c := <-code; c != inprocess.ExitOK {
		t.Errorf("exit code %d", c)
	}
	if _, err := http.Get(url); err == nil {
		t.Error("metrics are still served after the run")
	}
}

func TestProcessorsThatAreNotThereAreRefused(t *testing.T) {
	checkRefusal(t, append(realFlags(t), "--cpu=1000"), "CPUs [1000]: found no CPU 1000 for this process, expected some of [")
}

func TestTheLoopsGetWhatTheFlagsAskFor(t *testing.T) {
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(executable, append(realFlags(t), "--realtime-priority=20", "--lock-memory")...)
	cmd.Env = append(os.Environ(), asCommand+"=1", "GORACE=atexit_sleep_ms=0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	first := ""
	for !strings.Contains(first, "msg=running") && lines.Scan() {
		first = lines.Text()
	}
	if strings.Contains(first, "not permitted") {
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != inprocess.ExitUsage {
			t.Errorf("%v and %q, want exit code %d", err, first, inprocess.ExitUsage)
		}
		t.Skip(first)
	}
	// One thread for each loop, the robot's first, and no other.
	var got []uint32
	for deadline := time.Now().Add(10 * time.Second); len(got) < 2 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		got = got[:0]
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(filepath.Base(task))
			if err != nil {
				t.Fatal(err)
			}
			if attr, err := unix.SchedGetAttr(tid, 0); err == nil && attr.Policy == unix.SCHED_FIFO {
				got = append(got, attr.Priority)
			}
		}
	}
	slices.Sort(got)
	if want := []uint32{20, 21}; !slices.Equal(got, want) {
		t.Errorf("real-time priorities of the threads: %v, want %v; stderr %q", got, want, first)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil || !strings.Contains(string(status), "VmLck:") || strings.Contains(string(status), "VmLck:\t       0 kB") {
		t.Errorf("status %v\n%s, want locked memory", err, status)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func decode(t *testing.T, r io.Reader) inprocess.Report {
	t.Helper()
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	var got inprocess.Report
	if err := d.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Errorf("more than one JSON object on stdout: %v", err)
	}
	return got
}

func TestASignalEndsTheRunWithin200ms(t *testing.T) {
	const limit = 200 * time.Millisecond
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(sig.String(), func(t *testing.T) {
			executable, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(executable, realFlags(t)...)
			// Under the race detector a process sleeps a second before it exits, unless told not to.
			cmd.Env = append(os.Environ(), asCommand+"=1", "GORACE=atexit_sleep_ms=0")
			var stdout bytes.Buffer
			cmd.Stdout = &stdout
			stderr, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := stderr.Read(make([]byte, 1)); err != nil { // The log says that it runs.
				t.Fatal(err)
			}
			time.Sleep(300 * time.Millisecond) // Let it act some times.
			start := time.Now()
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			rest, _ := io.ReadAll(stderr)
			err = cmd.Wait()
			took := time.Since(start)
			if err != nil {
				t.Fatalf("exit: %v, stderr:\n%s", err, rest)
			}
			if took > limit {
				t.Errorf("it took %v to end, want at most %v", took, limit)
			}
			if got := decode(t, &stdout); got.Actions == 0 {
				t.Errorf("report = %+v, want actions", got)
			}
		})
	}
}
