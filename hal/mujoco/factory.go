package mujoco

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"krabby.dev/krabby/hal/backend"
)

// Factory makes simulated robots; its fields are command line flags.
type Factory struct {
	Library string  `name:"mujoco" env:"KRABBY_MUJOCO" placeholder:"FILE" help:"MuJoCo library, libmujoco.so."`
	Model   string  `name:"model" env:"KRABBY_MUJOCO_MODEL" placeholder:"FILE" help:"MuJoCo model of the robot, MJCF; without it, that which $$KRABBY_<ROBOT>_MODEL names, for example $$KRABBY_GO2_MODEL."`
	Terrain Terrain `default:"flat" help:"Ground of the simulation: flat, steps:RISE with a rise in m, or slope:ANGLE with an angle in degrees. It begins 1 m ahead."`
	Seed    uint64  `default:"0" help:"Moves each joint by up to 0.05 rad at the start; 0 moves none. The same seed gives the same simulation."`
}

// Name returns "mujoco".
func (*Factory) Name() string { return "mujoco" }

// New returns an unconfigured *Backend.
func (f *Factory) New(c backend.Config) (backend.Backend, error) { return f.NewBackend(c) }

// NewBackend returns an unconfigured backend.
func (f *Factory) NewBackend(c backend.Config) (*Backend, error) {
	if f.Library == "" {
		return nil, errors.New("--mujoco: missing: the mujoco backend requires the MuJoCo library")
	}
	model, variable := f.Model, "KRABBY_"+strings.ToUpper(c.Robot.Name)+"_MODEL"
	if model == "" {
		model = os.Getenv(variable)
	}
	if model == "" {
		return nil, fmt.Errorf("--model: missing: the mujoco backend requires a model of the robot; $%s is not set either", variable)
	}
	return New(c.Robot, c.Path(f.Library), c.Path(model), c.Period, WithClock(c.Clock), WithTerrain(f.Terrain), WithSeed(f.Seed))
}
