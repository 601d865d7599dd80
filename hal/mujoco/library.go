// Package mujoco is a backend of physics: a robot's model on a terrain in MuJoCo, which anyone can run without hardware.
// Actuators close their PD loop at the rate of the physics; sensors are what the model has at them, without noise.
//
// Time passes in Read and nowhere else, a period for each call. So the backend is the same in a server that keeps a rate
// and in one whose turns follow each other as fast as they can, and the same calls give the same states, bit for bit, on
// one architecture: it knows neither the wall clock nor chance, but for the seed it is given.
//
// It must never import transport, servers, clients or inference.
package mujoco

// #cgo LDFLAGS: -ldl
// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"os"
	"path/filepath"
	"unsafe"
)

// Library is the loaded MuJoCo library. It stays loaded until the process ends.
type Library struct{}

// Open loads the library, libmujoco.so, from the file of that path. It must have the very version whose headers this was
// built with: MuJoCo's structures are not stable.
func Open(library string) (*Library, error) {
	// The loader would look for a name without a folder in the system's, not in the working directory.
	path, err := filepath.Abs(library)
	if err != nil {
		return nil, fmt.Errorf("mujoco: finding MuJoCo at %s: %w", library, err)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("mujoco: %s: found no such file, expected the MuJoCo library", library)
	}
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	if err := said(func(text *C.char, size C.int) bool { return C.krabby_open(name, text, size) == 0 }); err != nil {
		return nil, fmt.Errorf("mujoco: loading MuJoCo from %s: %w", library, err)
	}
	if found, expected := C.krabby_version(), C.krabby_header_version(); found != expected {
		return nil, fmt.Errorf("mujoco: %s: found MuJoCo %s, expected %s", library, version(int(found)), version(int(expected)))
	}
	return &Library{}, nil
}

// Version returns the version of the library.
func (*Library) Version() string { return version(int(C.krabby_version())) }

// version writes a version as MuJoCo's authors do: the number has three digits for the minor, and three for the patch.
func version(n int) string {
	return fmt.Sprintf("%d.%d.%d", n/1_000_000, n/1000%1000, n%1000)
}

// said calls f, and returns what it wrote as an error where it does not succeed.
func said(f func(text *C.char, size C.int) bool) error {
	const size = 1024
	text := (*C.char)(C.calloc(size, 1))
	defer C.free(unsafe.Pointer(text))
	if f(text, size) {
		return nil
	}
	return fmt.Errorf("found %q, expected none", C.GoString(text))
}
