// Command locomotion runs a robot: the server of its hardware abstraction layer, the client and a policy's inference, in one process.
// It runs until --duration is over or it receives SIGINT or SIGTERM, and then writes a report as one JSON object to standard output.
// Logs go to standard error.
//
// Exit codes: 0 after a run; 2 if the command line, the policy or a library is invalid, or the machine does not permit a setting; 1 if
// the run failed.
package main

import (
	"krabby.dev/krabby/cmd/internal/robotrun"
	"krabby.dev/krabby/internal/cli"
)

func main() { program().Main() }

func program() cli.Program {
	return robotrun.Program("locomotion", "Runs a legged robot with a trained policy.", nil)
}
