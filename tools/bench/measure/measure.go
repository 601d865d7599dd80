// Package measure says what running something cost: time, and bytes read, written and sent.
//
// It must never judge: comparing and printing costs is for package table.
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

// Bytes are what a process and the children it waited for moved by system calls, files and sockets alike, whether a
// disk or the page cache served them. Memory-mapped files do not count.
type Bytes struct{ Read, Written int64 }

// Sub returns b without what was counted earlier.
func (b Bytes) Sub(earlier Bytes) Bytes {
	return Bytes{Read: b.Read - earlier.Read, Written: b.Written - earlier.Written}
}

// Add returns the sum.
func (b Bytes) Add(other Bytes) Bytes {
	return Bytes{Read: b.Read + other.Read, Written: b.Written + other.Written}
}

// Process returns what a process has moved so far.
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

// Cost is what one run took.
type Cost struct {
	Time time.Duration
	Bytes
}

// Command runs a command to its end. Its output is part of the error when it fails, and is returned when it does not.
func Command(ctx context.Context, cmd *exec.Cmd) (Cost, string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return Cost{}, "", err
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Signal(os.Interrupt) })
	defer stop()
	// The counters live until the process has been waited for, so it is left where it ended.
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
		return Cost{}, "", fmt.Errorf("%w: %s", err, lastWords(stderr.String()+stdout.String()))
	}
	return Cost{Time: took, Bytes: moved}, stdout.String(), countErr
}

// lastWords are the end of a program's output, where it says why it failed.
func lastWords(output string) string {
	const enough = 2000
	output = strings.TrimSpace(output)
	if len(output) > enough {
		output = "..." + output[len(output)-enough:]
	}
	return output
}
