// Package mujoco is a simulated robot: its model on a terrain in the physics engine MuJoCo. Actuators close their PD loop at the rate
// of the physics; sensors have no noise. The MuJoCo library is opened at run time, so that a program links without it.
//
// Simulated time advances in Read only, by one period per call. The backend therefore behaves the same in real time and in lock
// step, and equal calls give equal states, bit for bit on one architecture: it uses neither the wall clock nor random numbers, except
// for its seed.
//
// It must not import transport, servers, clients or inference.
package mujoco

// #cgo LDFLAGS: -ldl
// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"
)

// Library is the loaded MuJoCo library. It stays loaded until the process ends.
type Library struct{}

// Open loads libmujoco.so from a path. The library must have the version of the headers of this build: MuJoCo's structures change
// between versions.
func Open(library string) (*Library, error) {
	// dlopen searches the system for a name without a directory.
	path, err := filepath.Abs(library)
	if err != nil {
		return nil, fmt.Errorf("mujoco: finding MuJoCo at %s: %w", library, err)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("mujoco: MuJoCo library: %w", err)
	}
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	if err := call(func(text *C.char, size C.int) bool { return C.krabby_open(name, text, size) == 0 }); err != nil {
		return nil, fmt.Errorf("mujoco: loading MuJoCo from %s: %w", library, err)
	}
	if found, expected := C.krabby_version(), C.krabby_header_version(); found != expected {
		return nil, fmt.Errorf("mujoco: %s: found MuJoCo %s, expected %s", library, version(int(found)), version(int(expected)))
	}
	return &Library{}, nil
}

// Version returns the version of the library.
func (*Library) Version() string { return version(int(C.krabby_version())) }

// version formats MuJoCo's version number, which has three digits for the minor and three for the patch version.
func version(n int) string {
	return fmt.Sprintf("%d.%d.%d", n/1_000_000, n/1000%1000, n%1000)
}

// call calls f and returns the text that f wrote as an error unless f succeeds.
func call(f func(text *C.char, size C.int) bool) error {
	const size = 1024
	text := (*C.char)(C.calloc(size, 1))
	defer C.free(unsafe.Pointer(text))
	if f(text, size) {
		return nil
	}
	return errors.New(C.GoString(text))
}
