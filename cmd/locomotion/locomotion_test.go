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

	"krabby.dev/krabby/cmd/internal/robotflag/robotflagtest"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/compute/runner"
	"krabby.dev/krabby/hal/safety"
	"krabby.dev/krabby/hal/server"
	"krabby.dev/krabby/internal/bringup"
	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/internal/testfile"
)

// asCommand makes the test binary run the command, so that tests can start and signal a real process.
const asCommand = "KRABBY_TEST_AS_LOCOMOTION"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main() // Does not return.
	}
	os.Exit(m.Run())
}

// realFlags returns the flags for the real policy and library.
func realFlags(t *testing.T) []string {
	t.Helper()
	return []string{"--policy=" + policytest.Policy(t), "--onnxruntime=" + policytest.Library(t)}
}

func TestHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := program().Run(t.Context(), []string{"--help"}, &stdout, &stderr); code != cli.ExitOK || stderr.Len() != 0 {
		t.Errorf("exit code %d and %q on stderr, want 0 and nothing", code, &stderr)
	}
	for _, flag := range []string{
		"--help", "--duration", "--rate", "--hal-rate", "--policy", "--robot", "--backend", "--command", "--onnxruntime", "--metrics", "--log-level",
		"--realtime-priority", "--cpu-affinity", "--lock-memory", "--authorized-key", "--mujoco", "--model", "keygen",
	} {
		if !strings.Contains(stdout.String(), flag) {
			t.Errorf("help does not name %s:\n%s", flag, &stdout)
		}
	}
}

// checkUsageError runs the command and expects exit code 2 and one line on stderr with every part.
func checkUsageError(t *testing.T, args []string, parts ...string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := program().Run(t.Context(), args, &stdout, &stderr); code != cli.ExitUsage {
		t.Errorf("exit code %d, want %d", code, cli.ExitUsage)
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

func TestFlags_invalid(t *testing.T) {
	real := realFlags(t)
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
		{append([]string{"--command=9,0,0"}, real...), []string{"--command", "vx_mps: found 9, expected -1.5 to 1.5"}},
		{[]string{"--observations=tcp://127.0.0.1:0"}, []string{"--observations, --commands: found one of them, expected both or neither"}},
		{[]string{"--v1-commands=tcp://127.0.0.1:0"}, []string{"--v1-observations, --v1-commands: found one of them"}},
		{[]string{"--observations=tcp://0.0.0.0:0", "--commands=tcp://127.0.0.1:0"}, []string{"--observations: tcp://0.0.0.0:0: other machines can reach it", "--insecure"}},
		{[]string{"--control=tcp://0.0.0.0:0"}, []string{"--control: tcp://0.0.0.0:0: other machines can reach it", "--insecure"}},
		{[]string{"--v1-observations=tcp://127.0.0.1:0", "--v1-commands=tcp://*:0"}, []string{"--v1-commands: tcp://*:0: other machines can reach it", "--insecure"}},
		{[]string{"--observations=udp://x", "--commands=tcp://127.0.0.1:0"}, []string{`"udp://x", expected inproc://NAME or tcp://HOST:PORT`}},
		{[]string{"--key=nowhere"}, []string{"--key", "nowhere: no such file"}},
		{[]string{"--authorized-key=nowhere.pub"}, []string{"--authorized-key", "nowhere.pub: no such file"}},
		{[]string{"--metrics=9464"}, []string{`--metrics: found "9464", expected HOST:PORT or :PORT`}},
		{[]string{"--log-level=loud"}, []string{"--log-level", "loud"}},
		{[]string{"--realtime-priority=-1"}, []string{"--realtime-priority: found -1, expected 0 to 98"}},
		{[]string{"--realtime-priority=99"}, []string{"--realtime-priority: found 99, expected 0 to 98"}},
		{[]string{"--cpu-affinity=0,-1"}, []string{"--cpu-affinity: found -1, expected 0 or more"}},
		{[]string{"--cpu-affinity=first"}, []string{"--cpu-affinity", "first"}},
		{append([]string{"--backend=mujoco", "--mujoco="}, real...), []string{"--mujoco: missing: the mujoco backend requires the MuJoCo library"}},
		{append([]string{"--backend=mujoco", "--mujoco=lib.so", "--model="}, real...), []string{"--model: missing"}},
		{append([]string{"--backend=mujoco", "--mujoco=/nope/lib.so", "--model=go1.xml"}, real...), []string{"mujoco: MuJoCo library: stat /nope/lib.so: no such file or directory"}},
	}
	t.Setenv("KRABBY_GO1_MODEL", "")
	for _, tt := range tests {
		t.Run(tt.args[0], func(t *testing.T) { checkUsageError(t, tt.args, tt.want...) })
	}
}

func TestKeygen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "robot")
	var stdout, stderr bytes.Buffer
	if code := program().Run(t.Context(), []string{"keygen", path}, &stdout, &stderr); code != cli.ExitOK || stdout.Len()+stderr.Len() != 0 {
		t.Fatalf("exit code %d, stdout %q, stderr %q", code, &stdout, &stderr)
	}
	endpoints := []string{"--observations=tcp://0.0.0.0:0", "--commands=tcp://0.0.0.0:0", "--control=tcp://0.0.0.0:0", "--key=" + path}
	checkUsageError(t, endpoints, "--observations", "found no authorized keys, expected at least one")
	stdout.Reset()
	stderr.Reset()
	args := append(append(realFlags(t), "--duration=100ms", "--authorized-key="+path+".pub"), endpoints...)
	if code := program().Run(t.Context(), args, &stdout, &stderr); code != cli.ExitOK {
		t.Errorf("exit code %d with keys, stderr:\n%s", code, &stderr)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	checkUsageError(t, append(endpoints, "--authorized-key="+path+".pub"), "--key", "found mode 0644, expected 0600")
	stderr.Reset()
	if code := program().Run(t.Context(), []string{"keygen", path}, &stdout, &stderr); code != cli.ExitFailed || !strings.Contains(stderr.String(), "exists") {
		t.Errorf("new keys over old ones: exit code %d, stderr %q, want 1", code, &stderr)
	}
}

func TestDeprecatedFlags(t *testing.T) {
	path := filepath.Join(t.TempDir(), "robot")
	for _, tt := range []struct {
		args    []string
		code    int
		current string
	}{
		{[]string{"--new-keys=" + path}, cli.ExitOK, "use the command keygen"},
		{append(realFlags(t), "--duration=50ms", "--key="+path, "--peer="+path+".pub", "--control=tcp://127.0.0.1:0"), cli.ExitOK, "use --authorized-key"},
		{append(realFlags(t), "--duration=50ms", "--cpu=0"), cli.ExitOK, "use --cpu-affinity"},
		{[]string{"--cpu=-1"}, cli.ExitUsage, "use --cpu-affinity"},
	} {
		var stdout, stderr bytes.Buffer
		code := program().Run(t.Context(), tt.args, &stdout, &stderr)
		first, _, _ := strings.Cut(stderr.String(), "\n")
		if code != tt.code || !strings.HasPrefix(first, "locomotion: warning: ") || !strings.HasSuffix(first, tt.current) {
			t.Errorf("%q: exit code %d, stderr %q; want %d and a warning: %s", tt.args, code, &stderr, tt.code, tt.current)
		}
	}
}

func TestBackendMuJoCo(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := append(realFlags(t), "--backend=mujoco", "--mujoco="+testfile.Find(t, "KRABBY_MUJOCO"), "--model="+testfile.Find(t, "KRABBY_GO1_MODEL"),
		"--command=0,0,0", "--duration=2s", "--rate=10", "--hal-rate=20")
	if code := program().Run(t.Context(), args, &stdout, &stderr); code != cli.ExitOK {
		t.Fatalf("exit code %d, stderr:\n%s", code, &stderr)
	}
	var got bringup.Report
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Backend != "mujoco" || got.Actions == 0 || got.Server.Applied == 0 || got.Server.Backend.State != "inactive" || got.Server.Backend.Condition != "ok" {
		t.Errorf("report = %+v, want actions applied to a healthy robot, inactive at the end", got)
	}
}

func TestLocomotion_missingPolicy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nowhere")
	checkUsageError(t, []string{"--policy=" + dir}, filepath.Join(dir, policy.ManifestFile), "no such file or directory")
}

func TestLocomotion_corruptPolicy(t *testing.T) {
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
	checkUsageError(t, []string{"--policy=" + dir}, filepath.Join(dir, policy.ModelFile), "sha256: found ", "expected "+want)
}

func TestLocomotion_missingLibrary(t *testing.T) {
	library := filepath.Join(t.TempDir(), "libonnxruntime.so")
	checkUsageError(t, []string{"--policy=" + policytest.Policy(t), "--onnxruntime=" + library}, library)
}

func TestLocomotion_report(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := append(realFlags(t), "--duration=2s")
	if code := program().Run(t.Context(), args, &stdout, &stderr); code != cli.ExitOK {
		t.Fatalf("exit code %d, stderr:\n%s", code, &stderr)
	}
	got := decode(t, &stdout)
	if got.Policy != "go1_joystick" || got.Robot != "go1" || got.Backend != "synthetic" || got.RateRequestedHz != 50 {
		t.Errorf("report = %+v", got)
	}
	if got.DurationS < 2 {
		t.Errorf("duration = %v s, want at least 2", got.DurationS)
	}
	// The number of steps depends on the machine; their results do not.
	if got.Actions == 0 || got.Actions+got.Skipped[runner.Stale] != got.ObservationsRead {
		t.Errorf("%d actions for %d observations of which %d were stale, want one for each of the others",
			got.Actions, got.ObservationsRead, got.Skipped[runner.Stale])
	}
	sum := got.Actions
	for _, n := range got.Skipped {
		sum += n
	}
	if sum != got.Steps {
		t.Errorf("%d actions and no action %v make %d ticks, want %d", got.Actions, got.Skipped, sum, got.Steps)
	}
	if a := got.Action; !a.Finite || a.Min >= a.Max || len(a.First) != 12 || len(a.Last) != 12 || slices.Equal(a.First, a.Last) ||
		slices.Equal(a.First, make([]float32, 12)) || a.Distinct != got.Actions {
		t.Errorf("action summary = %+v, want finite, not zero, and a new action for each of %d observations", a, got.Actions)
	}
	if s := got.Server; s.Published == 0 || s.Applied == 0 || s.Applied > got.Actions || s.WriteErrors != 0 || len(s.Safety.Trips) != 0 {
		t.Errorf("server = %+v, want some published and applied, and no stop", s)
	}
	for reason, n := range got.Server.Rejected {
		switch safety.RejectReason(reason) {
		case safety.RejectStale, safety.RejectExpired, safety.RejectSuperseded, safety.RejectObservationOld, server.Unwritten: // These depend on the machine.
		default:
			t.Errorf("%d commands rejected: %s", n, reason)
		}
	}
	if got.StepLatency.P50 <= 0 || got.StepLatency.Max < got.StepLatency.P50 || got.ObservationAge.P50 <= 0 {
		t.Errorf("step latency %+v, observation age %+v", got.StepLatency, got.ObservationAge)
	}
	if !strings.Contains(stderr.String(), "level=INFO msg=running") {
		t.Errorf("stderr = %q, want the log", &stderr)
	}
}

func TestLocomotion_metrics(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	logs, stderr := io.Pipe()
	var stdout bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- program().Run(ctx, append(realFlags(t), "--metrics=:0"), &stdout, stderr)
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
	if c := <-code; c != cli.ExitOK {
		t.Errorf("exit code %d", c)
	}
	if _, err := http.Get(url); err == nil {
		t.Error("metrics are still served after the run")
	}
}

func TestLocomotion_missingCPU(t *testing.T) {
	checkUsageError(t, append(realFlags(t), "--cpu-affinity=1000"), "CPUs [1000]: found no CPU 1000 for this process, expected some of [")
}

func TestLocomotion_realTimeSettings(t *testing.T) {
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
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != cli.ExitUsage {
			t.Errorf("%v and %q, want exit code %d", err, first, cli.ExitUsage)
		}
		t.Skip(first)
	}
	// One thread per loop: the policy's and the robot's.
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

func decode(t *testing.T, r io.Reader) bringup.Report {
	t.Helper()
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	var got bringup.Report
	if err := d.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Errorf("more than one JSON object on stdout: %v", err)
	}
	return got
}

func TestLocomotion_signal(t *testing.T) {
	const limit = 200 * time.Millisecond
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(sig.String(), func(t *testing.T) {
			executable, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(executable, realFlags(t)...)
			// Under the race detector a process sleeps for a second before it exits by default.
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
			if _, err := stderr.Read(make([]byte, 1)); err != nil { // The log shows that it runs.
				t.Fatal(err)
			}
			time.Sleep(300 * time.Millisecond) // Time for some actions.
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
				t.Errorf("exit after %v, want at most %v", took, limit)
			}
			if got := decode(t, &stdout); got.Actions == 0 {
				t.Errorf("report = %+v, want actions", got)
			}
		})
	}
}

func TestLocomotion_robot(t *testing.T) {
	args := append(realFlags(t), "--policy="+robotflagtest.Policy(t), "--duration=200ms", "--backend=mujoco",
		"--mujoco="+testfile.Find(t, "KRABBY_MUJOCO"), "--model="+testfile.Find(t, "KRABBY_GO1_MODEL"))
	robotflagtest.Check(t, program, true, args...)
}
