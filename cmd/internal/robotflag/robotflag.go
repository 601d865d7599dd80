// Package robotflag opens the robots that command lines name: --robot, a built-in name or a robot file, and --limits, narrower limits for
// it.
//
// It must not import servers, backends or inference. Only commands may import it.
package robotflag

import (
	"errors"
	"fmt"

	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/internal/cli"
)

// Open returns the robot that --robot names, with the limits that --limits names, if any. It returns nil without --robot.
func Open(name, limits string) (*robot.Robot, error) {
	if name == "" {
		if limits != "" {
			return nil, errors.New("--limits: requires --robot, the robot whose limits they narrow")
		}
		return nil, nil
	}
	r, err := robot.Open(path(name))
	if err != nil {
		return nil, fmt.Errorf("--robot: %w", err)
	}
	if limits == "" {
		return r, nil
	}
	l, err := robot.OpenLimits(r, path(limits))
	if err != nil {
		return nil, fmt.Errorf("--limits: %w", err)
	}
	if r, err = r.Narrow(l); err != nil {
		return nil, fmt.Errorf("--limits: %w", err)
	}
	return r, nil
}

// path returns where the file of a flag is; a built-in name is returned as it is.
func path(value string) string {
	if robot.IsFile(value) {
		return cli.Locate(value)
	}
	return value
}
