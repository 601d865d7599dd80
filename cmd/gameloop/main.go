// Command gameloop runs a policy against a simulated robot and checks the result. Flags, report and exit codes are those of locomotion;
// a failed check is one line on standard error and exit code 1.
package main

import (
	"krabby.dev/krabby/cmd/internal/robotrun"
	"krabby.dev/krabby/gameloop"
	"krabby.dev/krabby/internal/cli"
)

func main() { program().Main() }

func program() cli.Program {
	return robotrun.Program("gameloop", "Runs a policy against a simulated robot and checks the result.", gameloop.Check)
}
