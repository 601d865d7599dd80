// Package abi reads what a program or a shared library asks of the machine that loads it, and compares that with what
// the machine promises.
package abi

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Needs are what a file asks for.
type Needs struct {
	// Machine is the architecture.
	Machine elf.Machine
	// Interpreter is the path of the loader; a library has none.
	Interpreter string
	// Libraries are the names of shared libraries (DT_NEEDED).
	Libraries []string
	// Versions are the versions of symbols in them, such as GLIBC_2.35.
	Versions []string
	// SearchPaths are where to look for libraries before the loader's own folders (DT_RPATH, DT_RUNPATH).
	SearchPaths []string
	// TextRelocations says that code must be made writable.
	TextRelocations bool
}

// Read returns the needs of an ELF file.
func Read(r io.ReaderAt) (Needs, error) {
	file, err := elf.NewFile(r)
	if err != nil {
		return Needs{}, err
	}
	defer file.Close()
	needs := Needs{Machine: file.Machine}

	dynamic := file.SectionByType(elf.SHT_DYNAMIC) != nil
	for _, program := range file.Progs {
		if program.Type == elf.PT_DYNAMIC && !dynamic {
			return Needs{}, errors.New("dynamic, but without section headers to read that by")
		}
		if program.Type == elf.PT_INTERP {
			path, err := io.ReadAll(program.Open())
			if err != nil {
				return Needs{}, fmt.Errorf("reading the loader's path: %w", err)
			}
			needs.Interpreter = string(bytes.TrimRight(path, "\x00"))
		}
	}
	if !dynamic {
		return needs, nil // Static: the rest is asked of a loader.
	}

	if needs.Libraries, err = file.DynString(elf.DT_NEEDED); err != nil {
		return Needs{}, fmt.Errorf("reading the needed libraries: %w", err)
	}
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		paths, err := file.DynString(tag)
		if err != nil {
			return Needs{}, fmt.Errorf("reading %v: %w", tag, err)
		}
		needs.SearchPaths = append(needs.SearchPaths, paths...)
	}
	if needs.TextRelocations, err = textRelocations(file); err != nil {
		return Needs{}, err
	}

	if file.SectionByType(elf.SHT_GNU_VERNEED) == nil {
		return needs, nil
	}
	libraries, err := file.DynamicVersionNeeds()
	if err != nil {
		return Needs{}, fmt.Errorf("reading the needed versions: %w", err)
	}
	for _, library := range libraries {
		for _, need := range library.Needs {
			needs.Versions = append(needs.Versions, need.Dep)
		}
	}
	slices.Sort(needs.Versions)
	needs.Versions = slices.Compact(needs.Versions)
	return needs, nil
}

func textRelocations(file *elf.File) (bool, error) {
	present, err := file.DynValue(elf.DT_TEXTREL)
	if err != nil {
		return false, fmt.Errorf("reading DT_TEXTREL: %w", err)
	}
	flags, err := file.DynValue(elf.DT_FLAGS)
	if err != nil {
		return false, fmt.Errorf("reading DT_FLAGS: %w", err)
	}
	set := func(flags uint64) bool { return elf.DynFlag(flags)&elf.DF_TEXTREL != 0 }
	return len(present) > 0 || slices.ContainsFunc(flags, set), nil
}

// A Machine is what loads files, and what it promises them.
type Machine struct {
	Machine elf.Machine
	// Loader is the path of the dynamic loader.
	Loader string
	// Libraries are the names of the shared libraries that a file may need.
	Libraries []string
	// SearchPaths are where a file may tell the loader to look for them.
	SearchPaths []string
	// Versions are the newest versions of symbols there are, by what comes before the underscore: GLIBC is "2.35".
	Versions map[string]string
}

// Refusals says why the machine cannot load a file with these needs, or should not; it is empty if it can.
func (m Machine) Refusals(needs Needs) []string {
	var refusals []string
	refuse := func(format string, arguments ...any) { refusals = append(refusals, fmt.Sprintf(format, arguments...)) }

	if needs.Machine != m.Machine {
		refuse("is for %v, not %v", needs.Machine, m.Machine)
	}
	if needs.Interpreter != "" && needs.Interpreter != m.Loader {
		refuse("wants the loader %s, not %s", needs.Interpreter, m.Loader)
	}
	for _, library := range needs.Libraries {
		if !slices.Contains(m.Libraries, library) {
			refuse("needs the undeclared library %s", library)
		}
	}
	for _, version := range needs.Versions {
		name, number, _ := strings.Cut(version, "_")
		newest, ok := m.Versions[name]
		if !ok {
			refuse("needs %s, of which nothing is promised", version)
		} else if compared, ok := compare(number, newest); !ok {
			refuse("needs %s, which is no version", version)
		} else if compared > 0 {
			refuse("needs %s, newer than %s", version, newest)
		}
	}
	for _, path := range needs.SearchPaths {
		if !slices.Contains(m.SearchPaths, path) {
			refuse("looks for libraries in %s", path)
		}
	}
	if needs.TextRelocations {
		refuse("has relocations in its code")
	}
	return refusals
}

// compare compares versions, numbers with dots between them.
func compare(a, b string) (int, bool) {
	x, xOK := parse(a)
	y, yOK := parse(b)
	return slices.Compare(x, y), xOK && yOK
}

func parse(version string) ([]int, bool) {
	var numbers []int
	for part := range strings.SplitSeq(version, ".") {
		number, err := strconv.Atoi(part)
		if err != nil {
			return nil, false
		}
		numbers = append(numbers, number)
	}
	return numbers, true
}
