package wire

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"slices"
)

// frameSize returns the size of a frame with the sections, and the number of present ones.
func frameSize(specs []spec, sections []section) (bytes uint64, n int) {
	for i := range sections {
		if sections[i].present() {
			n++
		}
	}
	bytes = uint64(headerBytes + n*entryBytes)
	for i := range sections {
		if sections[i].present() {
			bytes = align(bytes) + sections[i].bytes(specs[i].element)
		}
	}
	return bytes, n
}

// appendHeader appends the header and the table of a frame to dst, and reserves capacity for the sections. The caller appends the
// present sections in order, and calls setChecksums.
func appendHeader(dst []byte, k kind, h header, specs []spec, sections []section) []byte {
	le := binary.LittleEndian
	frameBytes, n := frameSize(specs, sections)
	b := slices.Grow(dst, int(frameBytes))
	b = append(b, magic...)
	b = append(b, Major, Minor, byte(k), byte(n))
	b = le.AppendUint32(b, uint32(frameBytes))
	b = le.AppendUint32(b, 0) // Set by setChecksums.
	b = le.AppendUint64(b, h.sequence)
	b = le.AppendUint64(b, h.sessionID)
	b = le.AppendUint64(b, uint64(h.monotonicNs))
	b = le.AppendUint64(b, uint64(h.otherNs))
	b = le.AppendUint64(b, h.observation)
	b = le.AppendUint64(b, 0)
	offset := uint64(headerBytes + n*entryBytes)
	for i := range sections {
		if !sections[i].present() {
			continue
		}
		offset = align(offset)
		b = appendEntry(b, &specs[i], &sections[i], offset)
		offset += sections[i].bytes(specs[i].element)
	}
	return b
}

// appendEntry appends the entry of a section at an offset.
func appendEntry(b []byte, spec *spec, s *section, offset uint64) []byte {
	le := binary.LittleEndian
	b = le.AppendUint16(b, spec.id)
	b = append(b, byte(spec.element), byte(s.rank))
	b = le.AppendUint32(b, uint32(offset))
	b = le.AppendUint32(b, uint32(s.bytes(spec.element)))
	b = le.AppendUint32(b, 0) // Set by setChecksums.
	for _, d := range s.dims {
		b = le.AppendUint32(b, d)
	}
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, s.stamp.Sequence)
	b = le.AppendUint64(b, uint64(s.stamp.MonotonicNs))
	b = le.AppendUint64(b, math.Float64bits(s.stamp.RateHz))
	return le.AppendUint64(b, 0)
}

// pad appends padding up to the next section of the frame that begins at start.
func pad(b []byte, start int) []byte {
	var zeros [alignment]byte
	n := len(b) - start
	return append(b, zeros[:align(uint64(n))-uint64(n)]...)
}

// appendFloats appends a section of numbers.
func appendFloats(b []byte, start int, values []float64) []byte {
	b = pad(b, start)
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return b
}

// setChecksums sets the checksums of a complete frame: those of all sections but images in the table, and that of the header.
// The frame must be well-formed.
func setChecksums(frame []byte) {
	le := binary.LittleEndian
	n := int(frame[7])
	for i := range n {
		entry := frame[headerBytes+i*entryBytes:][:entryBytes]
		if id := le.Uint16(entry); id >= observationSpecs[rgb1].id && id <= observationSpecs[confidence].id {
			continue
		}
		offset, length := le.Uint32(entry[4:]), le.Uint32(entry[8:])
		le.PutUint32(entry[12:], crc32.Checksum(frame[offset:][:length], castagnoli))
	}
	le.PutUint32(frame[12:], headerChecksum(frame[:headerBytes+n*entryBytes]))
}
