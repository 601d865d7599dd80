package realtime

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// childTask is the environment variable that makes the test binary a child process. The child runs a task instead of tests: it may
// lack permissions, and lock all its memory.
const childTask = "KRABBY_TEST_REALTIME"

func TestMain(m *testing.M) {
	if task := os.Getenv(childTask); task != "" {
		os.Exit(child(task))
	}
	os.Exit(m.Run())
}

// child runs a task and prints its error and the locked memory.
func child(task string) int {
	for _, resource := range []int{unix.RLIMIT_RTPRIO, unix.RLIMIT_MEMLOCK} {
		if strings.HasPrefix(task, "limited ") {
			limit := uint64(5)
			if resource == unix.RLIMIT_MEMLOCK {
				limit = 65536
			}
			var now unix.Rlimit
			if err := unix.Getrlimit(resource, &now); err != nil {
				fmt.Println(err)
				return 1
			}
			limit = min(limit, now.Max)
			if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
				fmt.Println(err)
				return 1
			}
		}
	}
	var err error
	switch strings.TrimPrefix(task, "limited ") {
	case "priority":
		err = Settings{Priority: 6}.Check()
	case "memory":
		err = LockMemory()
	}
	status, readErr := os.ReadFile("/proc/self/status")
	if readErr != nil {
		fmt.Println(readErr)
		return 1
	}
	_, locked, _ := strings.Cut(string(status), "VmLck:")
	locked, _, _ = strings.Cut(locked, "\n")
	fmt.Printf("error: %v\nlocked: %s\n", err, strings.TrimSpace(locked))
	return 0
}

// run runs a task in a child process, without capabilities if the task is limited. It returns the error or "", and the locked
// memory.
func run(t *testing.T, task string) (message string, lockedKB int) {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(executable)
	cmd.Env = append(os.Environ(), childTask+"="+task)
	type result struct {
		output []byte
		err    error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // Without unlocking: the thread drops capabilities that a child of root would inherit.
		if strings.HasPrefix(task, "limited ") {
			for _, capability := range []uintptr{unix.CAP_SYS_NICE, unix.CAP_IPC_LOCK} {
				// Fails without the capability, which is then missing anyway.
				_ = unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
			}
		}
		output, err := cmd.CombinedOutput()
		done <- result{output, err}
	}()
	r := <-done
	if r.err != nil {
		t.Fatalf("%v\n%s", r.err, r.output)
	}
	lines := strings.Split(strings.TrimSpace(string(r.output)), "\n")
	if len(lines) != 2 {
		t.Fatalf("output of the child: %s", r.output)
	}
	if message = strings.TrimPrefix(lines[0], "error: "); message == "<nil>" {
		message = ""
	}
	if lockedKB, err = strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(lines[1], "locked: "), " kB")); err != nil {
		t.Fatal(err)
	}
	return message, lockedKB
}

func TestSettings_notPermitted(t *testing.T) {
	for task, want := range map[string][]string{
		"limited priority": {"priority 6: not permitted", "RLIMIT_RTPRIO of at least 6", "--ulimit rtprio=6", "ulimit -r", "CAP_SYS_NICE", "--cap-add=SYS_NICE"},
		"limited memory":   {"locking memory: not permitted", "found RLIMIT_MEMLOCK ", " bytes", "--ulimit memlock=-1", "ulimit -l", "CAP_IPC_LOCK"},
	} {
		message, lockedKB := run(t, task)
		for _, part := range want {
			if !strings.Contains(message, part) {
				t.Errorf("%s: error = %q, want %q in it", task, message, part)
			}
		}
		if strings.Contains(message, "\n") || lockedKB != 0 {
			t.Errorf("%s: error = %q, %d kB locked; want one line, and 0 kB", task, message, lockedKB)
		}
	}
}

// skipNotPermitted skips a test if the machine does not permit the setting, and fails it for other errors.
func skipNotPermitted(t *testing.T, message string) {
	t.Helper()
	if strings.Contains(message, "not permitted") {
		t.Skip(message)
	}
	if message != "" {
		t.Fatal(message)
	}
}

func TestLockMemory(t *testing.T) {
	message, lockedKB := run(t, "memory")
	skipNotPermitted(t, message)
	if lockedKB < 10_000 { // A Go program maps hundreds of MB.
		t.Errorf("%d kB locked, want all mapped memory", lockedKB)
	}
	if _, lockedKB := run(t, "nothing"); lockedKB != 0 {
		t.Errorf("%d kB locked without LockMemory, want 0", lockedKB)
	}
}

// apply applies s to a new goroutine, and calls check on it.
func apply(s Settings, check func()) error {
	done := make(chan error)
	go func() {
		err := s.Apply()
		if err == nil {
			check()
		}
		done <- err
	}()
	return <-done
}

func TestSettings_priority(t *testing.T) {
	err := apply(Settings{Priority: 7}, func() {
		attr, err := unix.SchedGetAttr(0, 0)
		if err != nil || attr.Policy != unix.SCHED_FIFO || attr.Priority != 7 {
			t.Errorf("scheduling of the thread: %+v, %v; want SCHED_FIFO, 7", attr, err)
		}
		busy := make(chan bool) // Blocking calls make Go start threads, from this one among others.
		for range 8 {
			go func() {
				unix.Nanosleep(&unix.Timespec{Nsec: 20_000_000}, nil)
				busy <- true
			}()
		}
		for range 8 {
			<-busy
		}
		tasks, err := filepath.Glob("/proc/self/task/*")
		if err != nil || len(tasks) < 2 {
			t.Fatalf("threads %v, %v", tasks, err)
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(filepath.Base(task))
			if err != nil {
				t.Fatal(err)
			}
			if attr, err := unix.SchedGetAttr(tid, 0); err == nil && attr.Policy == unix.SCHED_FIFO && tid != unix.Gettid() {
				t.Errorf("priority of thread %d = %d, want ordinary scheduling", tid, attr.Priority)
			}
		}
	})
	if err != nil {
		skipNotPermitted(t, err.Error())
	}
}

func TestSettings_cpus(t *testing.T) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		t.Fatal(err)
	}
	cpus := list(&allowed)
	last := cpus[len(cpus)-1:]
	if err := apply(Settings{CPUs: last}, func() {
		var got unix.CPUSet
		if err := unix.SchedGetaffinity(0, &got); err != nil || !slices.Equal(list(&got), last) {
			t.Errorf("CPUs of the thread: %v, %v; want %v", list(&got), err, last)
		}
	}); err != nil {
		t.Fatal(err)
	}
	// Other threads keep all CPUs.
	if err := apply(Settings{}, func() {
		var got unix.CPUSet
		if err := unix.SchedGetaffinity(0, &got); err != nil || !slices.Equal(list(&got), cpus) {
			t.Errorf("CPUs of another thread: %v, %v; want %v", list(&got), err, cpus)
		}
	}); err != nil {
		t.Fatal(err)
	}
	for _, missing := range []int{1023, 100_000} {
		for _, wanted := range [][]int{{missing}, {last[0], missing}} {
			want := fmt.Sprintf("CPUs %v: found no CPU %d for this process, expected some of %v", wanted, missing, cpus)
			if err := (Settings{CPUs: wanted}).Check(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error = %v, want %q in it", err, want)
			}
		}
	}
}

func TestSettings_invalidPriority(t *testing.T) {
	for _, priority := range []int{-1, 100} {
		want := fmt.Sprintf("priority: found %d, expected 0 to 99", priority)
		if err := (Settings{Priority: priority}).Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want %q in it", err, want)
		}
	}
}

func TestSettings_zero(t *testing.T) {
	if err := (Settings{}).Check(); err != nil {
		t.Error(err)
	}
}
