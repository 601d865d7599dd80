package wheel

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// elfMachines are the ELF machines by architecture.
var elfMachines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// relocationGlibc is the minor version of the glibc that introduced GLIBC_ABI_DT_RELR, the only version name without a number that
// programs may require.
const relocationGlibc = 36

// checkELF returns an error if a program or library of the wheel is for another architecture, or requires another C library than the
// target's glibc.
func (w *Wheel) checkELF(t Target) error {
	for _, name := range slices.Sorted(maps.Keys(w.files)) {
		if w.Exclude(name) {
			continue
		}
		if err := checkELFFile(w.files[name], t); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func checkELFFile(f *zip.File, t Target) (err error) {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	magic := make([]byte, len(elf.ELFMAG))
	if _, err := io.ReadFull(r, magic); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || string(magic) != elf.ELFMAG {
		return nil
	}
	// Libraries can exceed the memory, and a reader of ELF needs them in any order.
	spool, err := os.CreateTemp("", "elf-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, spool.Close(), os.Remove(spool.Name())) }()
	if _, err := io.Copy(spool, io.MultiReader(bytes.NewReader(magic), r)); err != nil {
		return err
	}
	file, err := elf.NewFile(spool)
	if err != nil {
		return fmt.Errorf("not an ELF file: %w", err)
	}
	return checkNeeds(file, t)
}

// checkNeeds compares the architecture and the required versions of the C library of an ELF file with the target.
func checkNeeds(file *elf.File, t Target) error {
	if file.Machine != elfMachines[t.Architecture] {
		return fmt.Errorf("wrong architecture: found %s, expected %s", file.Machine, elfMachines[t.Architecture])
	}
	libraries, err := file.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("required libraries: %w", err)
	}
	for _, library := range libraries {
		if strings.HasPrefix(library, "libc.musl-") {
			return fmt.Errorf("it requires %s, which is another C library than glibc", library)
		}
	}
	if file.SectionByType(elf.SHT_GNU_VERNEED) == nil {
		dynamic := func(p *elf.Prog) bool { return p.Type == elf.PT_DYNAMIC }
		if len(file.Sections) == 0 && slices.ContainsFunc(file.Progs, dynamic) {
			return errors.New("its required versions cannot be read: it has no section headers")
		}
		return nil
	}
	needs, err := file.DynamicVersionNeeds()
	if err != nil {
		return fmt.Errorf("required versions: %w", err)
	}
	for _, library := range needs {
		for _, need := range library.Needs {
			minor, isGlibc, err := glibcMinor(need.Dep)
			if err != nil {
				return fmt.Errorf("%s: %w", library.Name, err)
			}
			if isGlibc && minor > t.glibcMinor() {
				return fmt.Errorf("it requires %s of %s: found glibc %s, expected 2.%d", need.Dep, library.Name, t.Glibc, minor)
			}
		}
	}
	return nil
}

// glibcMinor returns the second number of the glibc version that a version name such as GLIBC_2.34 requires.
func glibcMinor(version string) (minor int, isGlibc bool, err error) {
	number, isGlibc := strings.CutPrefix(version, "GLIBC_")
	if !isGlibc {
		return 0, false, nil
	}
	if number == "ABI_DT_RELR" {
		return relocationGlibc, true, nil
	}
	parts := strings.Split(number, ".")
	if len(parts) < 2 || parts[0] != "2" {
		return 0, true, fmt.Errorf("it requires %s, which no glibc promises to other programs", version)
	}
	if minor, err = strconv.Atoi(parts[1]); err != nil {
		return 0, true, fmt.Errorf("invalid version %s", version)
	}
	return minor, true, nil
}
