package wheeltest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// ELF returns a shared library for a machine that requires a version of a library, such as GLIBC_2.34 of libc.so.6. It has the
// sections that name requirements, and no code.
func ELF(machine elf.Machine, library, version string) string {
	verneed := le(uint16(1), uint16(1), uint32(1), uint32(16), uint32(0), // One library, one version.
		uint32(0), uint16(0), uint16(2), uint32(2+len(library)), uint32(0))
	return elfFile(machine, "\x00"+library+"\x00"+version+"\x00",
		section{elf.SHT_DYNSYM, 1, make([]byte, 2*elf.Sym64Size)},
		section{elf.SHT_GNU_VERSYM, 2, le(uint16(0), uint16(2))},
		section{elf.SHT_GNU_VERNEED, 1, verneed},
		section{elf.SHT_DYNAMIC, 1, le(uint64(elf.DT_NEEDED), uint64(1), uint64(elf.DT_NULL), uint64(0))},
	)
}

type section struct {
	kind elf.SectionType
	link uint32 // Index of another section; 1 are the names.
	data []byte
}

// elfFile returns an ELF file with a section of names, which has the index 1, and more sections.
func elfFile(machine elf.Machine, names string, more ...section) string {
	const header, sectionHeader = 64, 64
	sections := append([]section{{}, {elf.SHT_STRTAB, 0, []byte(names)}}, more...)
	var data, table bytes.Buffer
	for _, s := range sections {
		table.Write(le(uint32(0), uint32(s.kind), uint64(0), uint64(0), uint64(header+data.Len()), uint64(len(s.data)), s.link, uint32(0), uint64(1), uint64(0)))
		data.Write(s.data)
	}
	ident := append([]byte(elf.ELFMAG), byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT))
	ident = append(ident, make([]byte, elf.EI_NIDENT-len(ident))...)
	start := le(uint16(elf.ET_DYN), uint16(machine), uint32(elf.EV_CURRENT), uint64(0), uint64(0), uint64(header+data.Len()), uint32(0),
		uint16(header), uint16(0), uint16(0), uint16(sectionHeader), uint16(len(sections)), uint16(1))
	return string(ident) + string(start) + data.String() + table.String()
}

// le returns the values in little-endian order.
func le(values ...any) []byte {
	var b bytes.Buffer
	for _, v := range values {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(err) // Only for a type without a fixed size.
		}
	}
	return b.Bytes()
}

// Library returns a shared library with a name for the dynamic linker (SONAME).
func Library(soname string) string {
	return elfFile(elf.EM_AARCH64, "\x00"+soname+"\x00", section{elf.SHT_DYNAMIC, 1, le(uint64(elf.DT_SONAME), uint64(1), uint64(elf.DT_NULL), uint64(0))})
}
