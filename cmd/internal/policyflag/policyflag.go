// Package policyflag loads policies for tools that read them: a directory, and the robot that --robot and --limits name.
//
// Only commands may import it.
package policyflag

import (
	"krabby.dev/krabby/cmd/internal/robotflag"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/internal/cli"
)

// Load loads the policy in dir for the robot that --robot and --limits name, or for the built-in robot that the policy names. Errors of
// the flags, also of a robot that is not the policy's, are usage errors.
func Load(dir, name, limits string) (*policy.Policy, error) {
	r, err := robotflag.Open(name, limits)
	if err != nil {
		return nil, cli.Usage(err)
	}
	p, err := policy.Load(cli.Locate(dir), r)
	if err != nil {
		return nil, err
	}
	if r != nil && p.Robot.Name != r.Name {
		return nil, cli.Usagef("--robot: found %q, expected %q, the robot of the policy in %s", r.Name, p.Robot.Name, dir)
	}
	return p, nil
}
