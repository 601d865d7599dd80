package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/cmd/internal/endpoint/endpointtest"
	"krabby.dev/krabby/cmd/internal/robotflag/robotflagtest"
	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/internal/cli"
)

func TestHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := program().Run(t.Context(), []string{"--help"}, &stdout, &stderr); code != cli.ExitOK || stderr.Len() != 0 {
		t.Errorf("exit code %d, stderr %q", code, &stderr)
	}
	for _, flag := range []string{"--observations", "--commands", "--target", "--pose", "--kp", "--kd", "--duration", "--rate", "--yes", "--v1", "--key", "--control", "--e-stop", "--reset"} {
		if !strings.Contains(stdout.String(), flag) {
			t.Errorf("help does not name %s:\n%s", flag, &stdout)
		}
	}
}

func TestFlags_invalid(t *testing.T) {
	endpointtest.CheckUsageErrors(t, program, map[string]string{
		"":                                     "--target or --pose is required",
		"--pose=sit":                           "--pose",
		"--target=nose=1":                      `--target: joint "nose" not found, expected one of FR_hip_joint, `,
		"--target=FL_hip=9":                    "--target: FL_hip_joint: found 9 rad, expected -0.863 to 0.863",
		"--target=FL_hip=NaN":                  "--target: FL_hip_joint: found NaN rad",
		"--target=FL_hip=0.1,FL_hip_joint=0.2": "--target: FL_hip_joint is given twice",
		"--target=FL_hip":                      "--target",
		"--pose=default --rate=0":              "--rate: found 0, expected 1 to 1000 Hz",
		"--pose=default --duration=-1s":        "--duration: found -1s",
		"--pose=default --kp=-1":               "--kp: found -1, expected 0 or more",
		"--pose=default --v1 --kd=1":           "--kd: not available with --v1",
		"--pose=default --v1 --control=tcp://127.0.0.1:6003": "--v1: not available with --control",
		"--pose=default --control=tcp://10.0.0.1:6003":       "--control: tcp://10.0.0.1:6003: other machines can reach it",
		"--pose=default --control=inproc://x":                "--control: found endpoint \"inproc://x\", expected tcp://HOST:PORT",
		"--e-stop --reset":                                   "--e-stop and --reset can't be used together",
		"--e-stop --pose=default":                            "--e-stop and --reset exclude --target and --pose",
		"--reset --target=FL_hip=0.1":                        "--e-stop and --reset exclude --target and --pose",
		"--e-stop --control=tcp://127.0.0.1:99999":           `--control: tcp://127.0.0.1:99999: found port "99999", expected 1 to 65535`,
		"--pose=default --commands=tcp://127.0.0.1:0":        `--commands: tcp://127.0.0.1:0: found port "0"`,
		"--pose=default --observations=tcp://127.0.0.1:six":  `--observations: tcp://127.0.0.1:six: found port "six"`,
		"--e-stop --v1":                                      "--v1: not available with requests to the robot",
		"--pose=default --commands=tcp://10.0.0.1:6002":      "--commands: tcp://10.0.0.1:6002: other machines can reach it",
	})
}

// endpoints returns the flags for a version of the wire format.
func endpoints(r *endpointtest.Robot, v1 bool) []string {
	if v1 {
		return []string{"--v1", "--observations=" + r.V1Observations, "--commands=" + r.V1Commands}
	}
	return []string{"--observations=" + r.Observations, "--commands=" + r.Commands}
}

func TestSend_withoutYes(t *testing.T) {
	r := endpointtest.Start(t, bus.Security{})
	for _, v1 := range []bool{false, true} {
		var stdout, stderr bytes.Buffer
		code := program().Run(t.Context(), append(endpoints(r, v1), "--target=FL_hip=0.25", "--pose=default"), &stdout, &stderr)
		if code != cli.ExitUsage {
			t.Errorf("exit code %d, want %d", code, cli.ExitUsage)
		}
		endpointtest.CheckLine(t, stderr.String(), "hal-send", "nothing was sent", "--yes")
		observation := "in answer to observation "
		if v1 {
			observation = "in answer to the observation of "
		}
		for _, part := range []string{"would send one command to ", observation, "0.2500"} {
			if !strings.Contains(stdout.String(), part) {
				t.Errorf("no %q in:\n%s", part, &stdout)
			}
		}
	}
	time.Sleep(settle)
	if s := r.Server.Stats(); s.Applied != 0 || len(s.Rejected) != 0 {
		t.Errorf("applied %d, rejected %v, want no command at the server", s.Applied, s.Rejected)
	}
}

func TestSend_stream(t *testing.T) {
	for _, v1 := range []bool{false, true} {
		t.Run(fmt.Sprint("v1=", v1), func(t *testing.T) {
			r := endpointtest.Start(t, bus.Security{})
			const targetRad = 0.3
			var stdout, stderr bytes.Buffer
			code := program().Run(t.Context(), append(endpoints(r, v1), "--target=FL_hip=0.3", "--duration=1s", "--yes"), &stdout, &stderr)
			if code != cli.ExitOK || stderr.Len() != 0 {
				t.Fatalf("exit code %d, stderr %q, server %+v", code, &stderr, r.Server.Stats())
			}
			if s := r.Server.Stats(); s.Applied < 10 {
				t.Errorf("server = %+v, want commands applied", s)
			}
			lines := strings.Split(stdout.String(), "\n")
			if !strings.HasPrefix(lines[0], "sent ") {
				t.Errorf("stdout = %s", &stdout)
			}
			model := robot.Go1()
			for i, j := range model.Joints {
				var name string
				var before, target, now float64
				if _, err := fmt.Sscan(lines[i+2], &name, &before, &target, &now); err != nil || name != j.Name {
					t.Fatalf("line %q, want %s: %v", lines[i+2], j.Name, err)
				}
				const swayRad = 0.05
				want := before
				if name == "FL_hip_joint" {
					want = targetRad
				}
				if math.Abs(now-want) > swayRad {
					t.Errorf("%s is at %v, want %v", name, now, want)
				}
			}
		})
	}
}

func TestSend_oneCommand(t *testing.T) {
	for _, v1 := range []bool{false, true} {
		r := endpointtest.Start(t, bus.Security{})
		const attempts = 5 // On a busy machine a command can be too old when it arrives.
		for attempt := uint64(1); ; attempt++ {
			var stdout, stderr bytes.Buffer
			code := program().Run(t.Context(), append(endpoints(r, v1), "--pose=default", "--yes"), &stdout, &stderr)
			if code != cli.ExitOK || !strings.HasPrefix(stdout.String(), "sent 1 to ") {
				t.Fatalf("v1 %v: exit code %d, stdout %s, stderr %q", v1, code, &stdout, &stderr)
			}
			s := r.Server.Stats()
			if s.Applied == 1 {
				break
			}
			if s.Applied > 1 || attempt == attempts {
				t.Fatalf("v1 %v: applied %d of %d, rejected %v", v1, s.Applied, attempt, s.Rejected)
			}
		}
	}
}

func TestSend_noPeer(t *testing.T) {
	r := endpointtest.Start(t, bus.Security{})
	var stdout, stderr bytes.Buffer
	args := []string{"--observations=" + r.Observations, "--commands=tcp://127.0.0.1:1", "--pose=default", "--yes", "--timeout=300ms"}
	if code := program().Run(t.Context(), args, &stdout, &stderr); code != cli.ExitFailed {
		t.Errorf("exit code %d, want %d", code, cli.ExitFailed)
	}
	endpointtest.CheckLine(t, stderr.String(), "hal-send", "no connection to tcp://127.0.0.1:1 within 300ms")
}

func TestSend_interrupted(t *testing.T) {
	r := endpointtest.Start(t, bus.Security{})
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	var stdout, stderr bytes.Buffer
	start := time.Now()
	code := program().Run(ctx, append(endpoints(r, false), "--pose=default", "--yes", "--duration=1m"), &stdout, &stderr)
	if code != cli.ExitFailed || time.Since(start) > 5*time.Second {
		t.Errorf("exit code %d after %v", code, time.Since(start))
	}
	endpointtest.CheckLine(t, stderr.String(), "hal-send", "commands: interrupted")
}

func TestSend_robot(t *testing.T) {
	r := endpointtest.Start(t, bus.Security{})
	robotflagtest.Check(t, program, true, append(endpoints(r, false), "--pose=default", "--yes")...)
}

func TestSend_limits(t *testing.T) {
	endpointtest.CheckUsageErrors(t, program, map[string]string{
		"--limits=sdk --target=FL_thigh=3":             "--target: FL_thigh_joint: found 3 rad, expected -0.663 to 2.966",
		"--limits=sdk --robot=go2 --pose=default":      `--limits: unknown limits "sdk" of robot go2`,
		"--limits=./nowhere.json --target=FL_thigh=-2": "--limits: robot: open ./nowhere.json: no such file or directory",
	})
}
