// Package abi reads what a program or a shared library requires of the machine that loads it, and compares these requirements with
// a machine.
//
// It must not import another package of this repository.
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

// Requirements of an ELF file.
type Requirements struct {
	// Machine is the architecture.
	Machine elf.Machine
	// Interpreter is the path of the dynamic loader. Libraries and static programs have none.
	Interpreter string
	// Libraries are the names of shared libraries (DT_NEEDED).
	Libraries []string
	// Versions are the sorted versions of symbols in these libraries, such as GLIBC_2.35.
	Versions []string
	// SearchPaths are the directories where the loader searches for libraries first (DT_RPATH, DT_RUNPATH).
	SearchPaths []string
	// TextRelocations reports whether the loader must write to code.
	TextRelocations bool
}

// Read returns the requirements of an ELF file.
func Read(r io.ReaderAt) (Requirements, error) {
	file, err := elf.NewFile(r)
	if err != nil {
		return Requirements{}, err
	}
	defer file.Close()
	required := Requirements{Machine: file.Machine}

	dynamic := file.SectionByType(elf.SHT_DYNAMIC) != nil
	for _, program := range file.Progs {
		if program.Type == elf.PT_DYNAMIC && !dynamic {
			return Requirements{}, errors.New("dynamic file without section headers, which contain the requirements")
		}
		if program.Type == elf.PT_INTERP {
			path, err := io.ReadAll(program.Open())
			if err != nil {
				return Requirements{}, fmt.Errorf("reading the path of the loader: %w", err)
			}
			required.Interpreter = string(bytes.TrimRight(path, "\x00"))
		}
	}
	if !dynamic {
		return required, nil
	}
	if err := required.readDynamic(file); err != nil {
		return Requirements{}, err
	}
	return required, nil
}

// readDynamic reads the requirements in the dynamic section.
func (r *Requirements) readDynamic(file *elf.File) (err error) {
	if r.Libraries, err = file.DynString(elf.DT_NEEDED); err != nil {
		return fmt.Errorf("reading the required libraries: %w", err)
	}
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		paths, err := file.DynString(tag)
		if err != nil {
			return fmt.Errorf("reading %v: %w", tag, err)
		}
		r.SearchPaths = append(r.SearchPaths, paths...)
	}
	if r.TextRelocations, err = textRelocations(file); err != nil {
		return err
	}

	if file.SectionByType(elf.SHT_GNU_VERNEED) == nil {
		return nil
	}
	libraries, err := file.DynamicVersionNeeds()
	if err != nil {
		return fmt.Errorf("reading the required versions: %w", err)
	}
	for _, library := range libraries {
		for _, need := range library.Needs {
			r.Versions = append(r.Versions, need.Dep)
		}
	}
	slices.Sort(r.Versions)
	r.Versions = slices.Compact(r.Versions)
	return nil
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

// A Machine describes a machine that loads files.
type Machine struct {
	Machine elf.Machine
	// Loader is the path of the dynamic loader.
	Loader string
	// Libraries are the names of the shared libraries that a file may require.
	Libraries []string
	// SearchPaths are the search paths that a file may have.
	SearchPaths []string
	// Versions maps prefixes of symbol versions to the newest version: "GLIBC" to "2.35".
	Versions map[string]string
}

// Incompatibilities returns the requirements that the machine does not meet. It is empty if the machine can load the file.
func (m Machine) Incompatibilities(required Requirements) []string {
	var found []string
	add := func(format string, arguments ...any) { found = append(found, fmt.Sprintf(format, arguments...)) }

	if required.Machine != m.Machine {
		add("architecture: found %v, expected %v", required.Machine, m.Machine)
	}
	if required.Interpreter != "" && required.Interpreter != m.Loader {
		add("loader: found %s, expected %s", required.Interpreter, m.Loader)
	}
	for _, library := range required.Libraries {
		if !slices.Contains(m.Libraries, library) {
			add("requires the undeclared library %s", library)
		}
	}
	for _, version := range required.Versions {
		name, number, _ := strings.Cut(version, "_")
		newest, ok := m.Versions[name]
		if !ok {
			add("requires %s, an unknown symbol version", version)
		} else if compared, ok := compare(number, newest); !ok {
			add("requires %s, which has no version number", version)
		} else if compared > 0 {
			add("requires %s, newer than %s", version, newest)
		}
	}
	for _, path := range required.SearchPaths {
		if !slices.Contains(m.SearchPaths, path) {
			add("searches for libraries in %s", path)
		}
	}
	if required.TextRelocations {
		add("has relocations in its code")
	}
	return found
}

// compare compares versions, which are numbers separated by dots. The second result is false if a version is invalid.
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
