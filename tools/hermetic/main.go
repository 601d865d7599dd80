// Command hermetic runs in a build action and writes a report of the parts of the machine that are visible from its sandbox.
//
//	hermetic OUTPUT INPUT [UNDECLARED...]
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"krabby.dev/krabby/tools/hermetic/probe"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "hermetic:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) < 2 {
		return errors.New("usage: hermetic OUTPUT INPUT [UNDECLARED...]")
	}
	report, err := probe.Run(arguments[1], arguments[2:])
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(arguments[0], append(data, '\n'), 0o644)
}
