package latency

import (
	"fmt"
	"time"

	"github.com/alecthomas/kong"
)

// Flags are the flags of a program that compares latencies. The program sets the default and the help of --duration with Vars.
type Flags struct {
	Runs     int           `help:"Number of runs of each measure; tools alternate." default:"3"`
	Duration time.Duration `help:"${duration_help}" default:"${duration}"`
	JSON     bool          `help:"Print JSON instead of a table."`
}

// Vars returns the variables of Flags for cli.Program.Vars.
func Vars(duration time.Duration, help string) kong.Vars {
	return kong.Vars{"duration": duration.String(), "duration_help": help}
}

// Validate checks the values of flags.
func (f *Flags) Validate() error {
	if f.Runs < 1 {
		return fmt.Errorf("--runs: found %d, expected 1 or more", f.Runs)
	}
	if f.Duration < time.Second {
		return fmt.Errorf("--duration: found %v, expected 1s or more", f.Duration)
	}
	return nil
}
