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

	"github.com/bazelbuild/rules_go/go/runfiles"

	"krabby.dev/krabby/tools/layer/deb"
)

// What every base image has at least: Ubuntu 22.04, which NVIDIA's images are made from. //third_party/zig links
// against the same glibc.
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

// beside also lets a library look for others where it is itself, as ONNX Runtime does for its providers.
func beside(machine Machine) Machine {
	machine.SearchPaths = []string{"$ORIGIN"}
	return machine
}

func TestWhatRobotsLoad(t *testing.T) {
	for variable, machine := range map[string]Machine{
		"LOCOMOTION_AMD64":  amd64(cLibraries...),
		"LOCOMOTION_ARM64":  arm64(cLibraries...),
		"ONNXRUNTIME_AMD64": beside(amd64(cxxLibraries...)),
		"ONNXRUNTIME_ARM64": beside(arm64(cxxLibraries...)),
	} {
		t.Run(variable, func(t *testing.T) {
			needs := read(t, runfile(t, variable))
			t.Logf("%+v", needs)
			for _, refusal := range machine.Refusals(needs) {
				t.Errorf("%s %s", os.Getenv(variable), refusal)
			}
			if strings.HasPrefix(variable, "LOCOMOTION") != (needs.Interpreter != "") {
				t.Errorf("the loader is %q", needs.Interpreter)
			}
		})
	}
}

// libzmq is in the program: the names of its C++ types are in the data, although symbols are stripped.
func TestLibzmqIsLinkedStatically(t *testing.T) {
	for _, variable := range []string{"LOCOMOTION_AMD64", "LOCOMOTION_ARM64"} {
		t.Run(variable, func(t *testing.T) {
			program := runfile(t, variable)
			for _, name := range []string{"N3zmq13socket_base_tE", "N3zmq14tcp_listener_tE"} {
				if !bytes.Contains(program, []byte(name)) {
					t.Errorf("%s is not in it", name)
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
					t.Errorf("%s is taken from a shared library", symbol.Name)
				}
			}
			if libraries := read(t, program).Libraries; slices.ContainsFunc(libraries, func(name string) bool { return strings.Contains(name, "zmq") }) {
				t.Errorf("it needs %q", libraries)
			}
		})
	}
}

func TestWhatRobotsMustNotLoad(t *testing.T) {
	for name, test := range map[string]struct {
		file    []byte
		machine Machine
		want    []string
	}{
		"Debian 12's C++ library, of glibc 2.36": {
			fromPackage(t, "LIBSTDCXX_ARM64", "libstdc++.so.6.0.30"), arm64(cxxLibraries...),
			[]string{"needs GLIBC_2.36, newer than 2.35"},
		},
		"a library that needs an undeclared one": {
			runfile(t, "ONNXRUNTIME_ARM64"), beside(arm64(append(slices.Clone(cLibraries), "libgcc_s.so.1")...)),
			[]string{"needs the undeclared library libstdc++.so.6"},
		},
		"a program for another machine": {
			runfile(t, "LOCOMOTION_AMD64"), arm64(append(slices.Clone(cLibraries), "ld-linux-x86-64.so.2")...),
			[]string{
				"is for EM_X86_64, not EM_AARCH64",
				"wants the loader /lib64/ld-linux-x86-64.so.2, not /lib/ld-linux-aarch64.so.1",
			},
		},
		"a library that says where to look": {
			runfile(t, "SEARCH_PATH"), amd64(cLibraries...), []string{"looks for libraries in /nowhere"},
		},
		"a library with addresses in its code": {
			runfile(t, "TEXT_RELOCATION"), amd64(cLibraries...), []string{"has relocations in its code"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.machine.Refusals(read(t, test.file)); !slices.Equal(got, test.want) {
				t.Errorf("refusals = %q, want %q", got, test.want)
			}
		})
	}
}

func TestRefusalsOfVersions(t *testing.T) {
	machine := Machine{Machine: elf.EM_AARCH64, Versions: map[string]string{"GLIBC": "2.35"}}
	for version, want := range map[string][]string{
		"GLIBC_2.35":        nil,
		"GLIBC_2.4":         nil,
		"GLIBC_2.2.5":       nil,
		"GLIBC_2.35.1":      {"needs GLIBC_2.35.1, newer than 2.35"},
		"GLIBC_2.100":       {"needs GLIBC_2.100, newer than 2.35"},
		"GLIBC_3":           {"needs GLIBC_3, newer than 2.35"},
		"GLIBC_PRIVATE":     {"needs GLIBC_PRIVATE, which is no version"},
		"GLIBC_ABI_DT_RELR": {"needs GLIBC_ABI_DT_RELR, which is no version"},
		"OPENSSL_3.0.0":     {"needs OPENSSL_3.0.0, of which nothing is promised"},
	} {
		t.Run(version, func(t *testing.T) {
			got := machine.Refusals(Needs{Machine: elf.EM_AARCH64, Versions: []string{version}})
			if !slices.Equal(got, want) {
				t.Errorf("refusals = %q, want %q", got, want)
			}
		})
	}
}

func TestReadReportsWhatIsNotELF(t *testing.T) {
	if needs, err := Read(strings.NewReader("#!/bin/sh\n")); err == nil {
		t.Errorf("Read = %+v, want an error", needs)
	}
}

func read(t *testing.T, file []byte) Needs {
	t.Helper()
	needs, err := Read(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return needs
}

func runfile(t *testing.T, variable string) []byte {
	t.Helper()
	path, err := runfiles.Rlocation(os.Getenv(variable))
	if err != nil {
		t.Fatalf("%s=%q: %v", variable, os.Getenv(variable), err)
	}
	data, err := os.ReadFile(path)
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
		t.Fatalf("%s has no %s", os.Getenv(variable), name)
	}
	return found
}
