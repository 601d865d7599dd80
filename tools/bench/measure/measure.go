// Package measure measures the cost of commands: time, and bytes read and written. It also has a registry that counts traffic.
//
// It does not compare or print costs; package table does.
package measure

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Bytes counts the bytes that a process, and the children that it waited for, read and wrote by system calls, for files and
// sockets. Reads from the page cache count; memory-mapped files do not.
type Bytes struct{ Read, Written int64 }

// Sub returns b minus earlier.
func (b Bytes) Sub(earlier Bytes) Bytes {
	return Bytes{Read: b.Read - earlier.Read, Written: b.Written - earlier.Written}
}

// Add returns the sum.
func (b Bytes) Add(other Bytes) Bytes {
	return Bytes{Read: b.Read + other.Read, Written: b.Written + other.Written}
}

// Process returns the bytes of a running process since its start.
func Process(pid int) (Bytes, error) {
	path := fmt.Sprintf("/proc/%d/io", pid)
	data, err := os.ReadFile(path)
	if err != nil {
		return Bytes{}, fmt.Errorf("counting bytes: %w", err)
	}
	b, err := parse(data)
	if err != nil {
		return Bytes{}, fmt.Errorf("counting bytes: %s: %w", path, err)
	}
	return b, nil
}

func parse(data []byte) (Bytes, error) {
	var b Bytes
	missing := map[string]*int64{"rchar": &b.Read, "wchar": &b.Written}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		field, wanted := missing[name]
		if !wanted {
			continue
		}
		var err error
		if *field, err = strconv.ParseInt(value, 10, 64); err != nil {
			return Bytes{}, fmt.Errorf("%s: found %q, expected a number", name, value)
		}
		delete(missing, name)
	}
	if len(missing) > 0 {
		return Bytes{}, fmt.Errorf("found %q, expected rchar and wchar", data)
	}
	return b, nil
}

// Cost is the cost of one run.
type Cost struct {
	Time time.Duration
	Bytes
}

// Command runs a command and returns its cost and standard output. The error of a failed command includes the end of its output.
func Command(ctx context.Context, cmd *exec.Cmd) (Cost, string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return Cost{}, "", err
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Signal(os.Interrupt) })
	defer stop()
	// WNOWAIT keeps the ended process, and so its counters in /proc, until cmd.Wait.
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			break
		} else if !errors.Is(err, unix.EINTR) {
			cmd.Wait()
			return Cost{}, "", fmt.Errorf("waiting for %s: %w", cmd.Path, err)
		}
	}
	took := time.Since(began)
	moved, countErr := Process(cmd.Process.Pid)
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return Cost{}, "", ctx.Err()
		}
		return Cost{}, "", fmt.Errorf("%w: %s", err, outputTail(stderr.String()+stdout.String()))
	}
	return Cost{Time: took, Bytes: moved}, stdout.String(), countErr
}

// outputTail returns the end of a program's output, which usually has the error.
func outputTail(output string) string {
	const limit = 2000
	output = strings.TrimSpace(output)
	if len(output) > limit {
		output = "..." + output[len(output)-limit:]
	}
	return output
}
