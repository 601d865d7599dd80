package abi

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/internal/testfile"
	"krabby.dev/krabby/tools/layer/deb"
)

// versions are those of the oldest base image: Ubuntu 22.04, on which NVIDIA's images are based. //third_party/zig links against
// the same glibc.
var versions = map[string]string{
	"CXXABI":  "1.3.13",
	"GCC":     "12.0.0",
	"GLIBC":   "2.35",
	"GLIBCXX": "3.4.30",
}

// Libraries of the C and C++ runtime.
var (
	cLibraries   = []string{"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"}
	cxxLibraries = append([]string{"libgcc_s.so.1", "libstdc++.so.6"}, cLibraries...)
)

func amd64(libraries ...string) Machine {
	return Machine{
		Machine:   elf.EM_X86_64,
		Loader:    "/lib64/ld-linux-x86-64.so.2",
		Libraries: append(libraries, "ld-linux-x86-64.so.2"),
		Versions:  versions,
	}
}

func arm64(libraries ...string) Machine {
	return Machine{
		Machine:   elf.EM_AARCH64,
		Loader:    "/lib/ld-linux-aarch64.so.1",
		Libraries: append(libraries, "ld-linux-aarch64.so.1"),
		Versions:  versions,
	}
}

// withOrigin allows a library to load others from its own directory, as ONNX Runtime loads its providers.
func withOrigin(machine Machine) Machine {
	machine.SearchPaths = []string{"$ORIGIN"}
	return machine
}

func TestIncompatibilities_robot(t *testing.T) {
	for variable, machine := range map[string]Machine{
		"LOCOMOTION_AMD64":  amd64(cLibraries...),
		"LOCOMOTION_ARM64":  arm64(cLibraries...),
		"ONNXRUNTIME_AMD64": withOrigin(amd64(cxxLibraries...)),
		"ONNXRUNTIME_ARM64": withOrigin(arm64(cxxLibraries...)),
	} {
		t.Run(variable, func(t *testing.T) {
			required := read(t, runfile(t, variable))
			t.Logf("%+v", required)
			for _, incompatibility := range machine.Incompatibilities(required) {
				t.Errorf("%s: %s", os.Getenv(variable), incompatibility)
			}
			if strings.HasPrefix(variable, "LOCOMOTION") != (required.Interpreter != "") {
				t.Errorf("loader %q", required.Interpreter)
			}
		})
	}
}

// TestLibzmq_static searches the program for names of libzmq's C++ types, which it has although its symbols are stripped.
func TestLibzmq_static(t *testing.T) {
	for _, variable := range []string{"LOCOMOTION_AMD64", "LOCOMOTION_ARM64"} {
		t.Run(variable, func(t *testing.T) {
			program := runfile(t, variable)
			for _, name := range []string{"N3zmq13socket_base_tE", "N3zmq14tcp_listener_tE"} {
				if !bytes.Contains(program, []byte(name)) {
					t.Errorf("%s not found in the program", name)
				}
			}
			file, err := elf.NewFile(bytes.NewReader(program))
			if err != nil {
				t.Fatal(err)
			}
			imported, err := file.ImportedSymbols()
			if err != nil {
				t.Fatal(err)
			}
			for _, symbol := range imported {
				if strings.HasPrefix(symbol.Name, "zmq_") {
					t.Errorf("the program imports %s from a shared library", symbol.Name)
				}
			}
			if libraries := read(t, program).Libraries; slices.ContainsFunc(libraries, func(name string) bool { return strings.Contains(name, "zmq") }) {
				t.Errorf("the program requires %q", libraries)
			}
		})
	}
}

func TestIncompatibilities(t *testing.T) {
	for name, test := range map[string]struct {
		file    []byte
		machine Machine
		want    []string
	}{
		"Debian 12's C++ library for glibc 2.36": {
			fromPackage(t, "LIBSTDCXX_ARM64", "libstdc++.so.6.0.30"), arm64(cxxLibraries...),
			[]string{"requires GLIBC_2.36, newer than 2.35"},
		},
		"library with an undeclared dependency": {
			runfile(t, "ONNXRUNTIME_ARM64"), withOrigin(arm64(append(slices.Clone(cLibraries), "libgcc_s.so.1")...)),
			[]string{"requires the undeclared library libstdc++.so.6"},
		},
		"program for another architecture": {
			runfile(t, "LOCOMOTION_AMD64"), arm64(append(slices.Clone(cLibraries), "ld-linux-x86-64.so.2")...),
			[]string{
				"architecture: found EM_X86_64, expected EM_AARCH64",
				"loader: found /lib64/ld-linux-x86-64.so.2, expected /lib/ld-linux-aarch64.so.1",
			},
		},
		"library with a search path": {
			runfile(t, "SEARCH_PATH"), amd64(cLibraries...), []string{"searches for libraries in /nowhere"},
		},
		"library with relocations in its code": {
			runfile(t, "TEXT_RELOCATION"), amd64(cLibraries...), []string{"has relocations in its code"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.machine.Incompatibilities(read(t, test.file)); !slices.Equal(got, test.want) {
				t.Errorf("incompatibilities %q, want %q", got, test.want)
			}
		})
	}
}

func TestIncompatibilities_versions(t *testing.T) {
	machine := Machine{Machine: elf.EM_AARCH64, Versions: map[string]string{"GLIBC": "2.35"}}
	for version, want := range map[string][]string{
		"GLIBC_2.35":        nil,
		"GLIBC_2.4":         nil,
		"GLIBC_2.2.5":       nil,
		"GLIBC_2.35.1":      {"requires GLIBC_2.35.1, newer than 2.35"},
		"GLIBC_2.100":       {"requires GLIBC_2.100, newer than 2.35"},
		"GLIBC_3":           {"requires GLIBC_3, newer than 2.35"},
		"GLIBC_PRIVATE":     {"requires GLIBC_PRIVATE, which has no version number"},
		"GLIBC_ABI_DT_RELR": {"requires GLIBC_ABI_DT_RELR, which has no version number"},
		"OPENSSL_3.0.0":     {"requires OPENSSL_3.0.0, an unknown symbol version"},
	} {
		t.Run(version, func(t *testing.T) {
			got := machine.Incompatibilities(Requirements{Machine: elf.EM_AARCH64, Versions: []string{version}})
			if !slices.Equal(got, want) {
				t.Errorf("incompatibilities %q, want %q", got, want)
			}
		})
	}
}

func TestRead_invalidFile(t *testing.T) {
	if required, err := Read(strings.NewReader("#!/bin/sh\n")); err == nil {
		t.Errorf("Read = %+v, want an error", required)
	}
}

func read(t *testing.T, file []byte) Requirements {
	t.Helper()
	required, err := Read(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return required
}

func runfile(t *testing.T, variable string) []byte {
	t.Helper()
	data, err := os.ReadFile(testfile.Find(t, variable))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// fromPackage returns one file of a Debian package, by its base name.
func fromPackage(t *testing.T, variable, name string) []byte {
	t.Helper()
	var found []byte
	err := deb.Read(bytes.NewReader(runfile(t, variable)), func(deb.Package) error { return nil }, func(header *tar.Header, body io.Reader) (err error) {
		if header.Typeflag == tar.TypeReg && path.Base(header.Name) == name {
			found, err = io.ReadAll(body)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("%s not found in %s", name, os.Getenv(variable))
	}
	return found
}
