package wire

import (
	"encoding/binary"
	"hash/crc32"
	"math"

	"krabby.dev/krabby/hal/message"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// parseFrame validates a frame, and fills the sections that specs define. Decoders need no further checks to read them.
func parseFrame(frame []byte, want kind, specs []spec, sections []section) (header, error) {
	n, err := parseHeader(frame, want)
	if err != nil {
		return header{}, err
	}
	if err := parseTable(frame, n, specs, sections); err != nil {
		return header{}, err
	}
	le := binary.LittleEndian
	return header{
		sequence:    le.Uint64(frame[16:]),
		sessionID:   le.Uint64(frame[24:]),
		monotonicNs: int64(le.Uint64(frame[32:])),
		otherNs:     int64(le.Uint64(frame[40:])),
		observation: le.Uint64(frame[48:]),
	}, nil
}

// parseHeader validates the header and its checksum, which covers the table, and returns the number of sections.
func parseHeader(frame []byte, want kind) (int, error) {
	le := binary.LittleEndian
	switch {
	case len(frame) < len(magic):
		return 0, RejectShort
	case string(frame[:4]) != magic:
		return 0, RejectMagic
	case len(frame) < headerBytes:
		return 0, RejectShort
	case frame[4] != Major:
		return 0, RejectVersion
	case kind(frame[6]) != want:
		return 0, RejectKind
	case len(frame) > MaxFrameBytes || uint64(le.Uint32(frame[8:])) != uint64(len(frame)):
		return 0, RejectLength
	}
	n := int(frame[7])
	end := headerBytes + n*entryBytes
	switch {
	case n > MaxSections:
		return 0, RejectSection
	case end > len(frame):
		return 0, RejectLength
	case le.Uint32(frame[12:]) != headerChecksum(frame[:end]):
		return 0, RejectChecksum
	case le.Uint64(frame[56:]) != 0 || want != kindCommand && le.Uint64(frame[48:]) != 0:
		return 0, RejectReserved
	}
	return n, nil
}

// parseTable validates the n entries of the table and their sections, and fills the sections that specs define.
func parseTable(frame []byte, n int, specs []spec, sections []section) error {
	lastID := -1
	next := 0                                 // Index of the first spec whose section may still follow.
	end := uint64(headerBytes + n*entryBytes) // End of the last section.
	for i := range n {
		entry := frame[headerBytes+i*entryBytes:][:entryBytes]
		id := int(binary.LittleEndian.Uint16(entry))
		if id <= lastID {
			return RejectSection
		}
		lastID = id
		body, err := sectionBody(frame, end, entry)
		if err != nil {
			return err
		}
		end = align(end) + uint64(len(body))
		var ok bool
		if next, ok = skipAbsent(specs, next, id); !ok {
			return RejectSection
		}
		if next == len(specs) || int(specs[next].id) != id {
			if frame[5] == Minor {
				return RejectSection
			}
			continue
		}
		if err := sections[next].parse(&specs[next], entry, body); err != nil {
			return err
		}
		next++
	}
	if _, ok := skipAbsent(specs, next, math.MaxInt); !ok {
		return RejectSection
	}
	if end != uint64(len(frame)) {
		return RejectLength
	}
	return nil
}

// sectionBody returns the bytes of the section of an entry. end is the end of the section or table before it.
func sectionBody(frame []byte, end uint64, entry []byte) ([]byte, error) {
	offset, length := uint64(binary.LittleEndian.Uint32(entry[4:])), uint64(binary.LittleEndian.Uint32(entry[8:]))
	if start := align(end); offset != start || start+length > uint64(len(frame)) {
		return nil, RejectLayout
	}
	if !zero(frame[end:offset]) {
		return nil, RejectReserved
	}
	return frame[offset : offset+length : offset+length], nil
}

// skipAbsent returns the index of the first spec from next on whose id is at least id. It returns false if it skips a required
// section.
func skipAbsent(specs []spec, next, id int) (int, bool) {
	for ; next < len(specs) && int(specs[next].id) < id; next++ {
		if specs[next].required {
			return next, false
		}
	}
	return next, true
}

// parse validates an entry of the table and its section, and fills s.
func (s *section) parse(want *spec, entry, body []byte) error {
	le := binary.LittleEndian
	if element(entry[2]) != want.element || int(entry[3]) != want.rank {
		return RejectShape
	}
	s.rank = want.rank
	for i := range s.dims {
		s.dims[i] = le.Uint32(entry[16+4*i:])
		if s.dims[i] < want.min[i] || s.dims[i] > want.max[i] {
			return RejectShape
		}
	}
	if want.image && uint64(s.dims[0])*uint64(s.dims[1]) > message.MaxImagePixels || s.bytes(want.element) != uint64(len(body)) {
		return RejectShape
	}
	if le.Uint32(entry[28:]) != 0 || le.Uint64(entry[56:]) != 0 {
		return RejectReserved
	}
	s.body = body
	checksum := le.Uint32(entry[12:])
	if want.image {
		if checksum != 0 {
			return RejectReserved
		}
		s.stamp = message.ImageStamp{
			Sequence:    le.Uint64(entry[32:]),
			MonotonicNs: int64(le.Uint64(entry[40:])),
			RateHz:      math.Float64frombits(le.Uint64(entry[48:])),
		}
		return nil
	}
	if !zero(entry[32:56]) {
		return RejectReserved
	}
	if checksum != crc32.Checksum(body, castagnoli) {
		return RejectChecksum
	}
	return nil
}

// headerChecksum returns the checksum of the header and the table. head consists of both.
func headerChecksum(head []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[:12], castagnoli), castagnoli, head[16:])
}

func zero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}

// readFloats decodes len(dst) numbers.
func readFloats(dst []float64, body []byte) {
	for i := range dst {
		dst[i] = math.Float64frombits(binary.LittleEndian.Uint64(body[8*i:]))
	}
}
