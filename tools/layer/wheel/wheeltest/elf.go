package wheeltest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// ELF returns a shared library for a machine that requires a version of a library, such as GLIBC_2.34 of libc.so.6. It has the
// sections that name requirements, and no code.
func ELF(machine elf.Machine, library, version string) string {
	names := "\x00" + library + "\x00" + version + "\x00"
	const header, sectionHeader = 64, 64
	verneed := le(uint16(1), uint16(1), uint32(1), uint32(16), uint32(0), // One library, one version.
		uint32(0), uint16(0), uint16(2), uint32(2+len(library)), uint32(0))
	sections := []struct {
		kind elf.SectionType
		link uint32
		data []byte
	}{
		{},
		{elf.SHT_STRTAB, 0, []byte(names)},
		{elf.SHT_DYNSYM, 1, make([]byte, 2*elf.Sym64Size)},
		{elf.SHT_GNU_VERSYM, 2, le(uint16(0), uint16(2))},
		{elf.SHT_GNU_VERNEED, 1, verneed},
		{elf.SHT_DYNAMIC, 1, le(uint64(elf.DT_NEEDED), uint64(1), uint64(elf.DT_NULL), uint64(0))},
	}
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
