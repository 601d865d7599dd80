// Package backends is the registry of the backends that programs can select with --backend. A new backend is a package with a
// Factory, and one line here.
package backends

import (
	"fmt"
	"strings"

	"krabby.dev/krabby/hal/backend"
	"krabby.dev/krabby/hal/mujoco"
	"krabby.dev/krabby/hal/synthetic"
)

// Default is the name of the backend that programs use unless told otherwise.
const Default = "synthetic"

// All returns a new factory of each kind, in the order of the help text.
func All() []backend.Factory {
	return []backend.Factory{
		&synthetic.Factory{},
		&mujoco.Factory{},
	}
}

// Names returns the names of factories.
func Names(factories []backend.Factory) []string {
	names := make([]string, len(factories))
	for i, f := range factories {
		names[i] = f.Name()
	}
	return names
}

// ByName returns the factory of that name.
func ByName(factories []backend.Factory, name string) (backend.Factory, error) {
	for _, f := range factories {
		if f.Name() == name {
			return f, nil
		}
	}
	return nil, fmt.Errorf("backend %q not found, available: %s", name, strings.Join(Names(factories), ", "))
}
