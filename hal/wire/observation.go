package wire

import (
	"slices"
	"unsafe"

	"krabby.dev/krabby/hal/message"
)

// ObservationSize returns the size of the frame of o, in bytes. The error is [RejectShape] if the slices of o differ in length or
// exceed the bounds.
func ObservationSize(o *message.Observation) (int, error) {
	sections, err := observationLayout(o)
	if err != nil {
		return 0, err
	}
	bytes, _ := frameSize(observationSpecs[:], sections[:])
	return int(bytes), nil
}

// AppendObservation appends the frame of o to dst, and returns the extended buffer. It returns dst and [RejectShape] if the slices
// of o differ in length or exceed the bounds. It allocates once, and only if dst is too small. The sections are aligned in memory
// if the frame begins at a multiple of 64 bytes.
func AppendObservation(dst []byte, o *message.Observation) ([]byte, error) {
	sections, err := observationLayout(o)
	if err != nil {
		return dst, err
	}
	return appendObservation(dst, o, &sections), nil
}

// PrepareInPlace makes the next Resize of the images of o use their final place in a frame that begins at memory, if their sizes
// do not change. A writer that calls Resize thereby writes pixels into the frame; EncodeInPlace completes it. memory must be
// aligned to 4 bytes and must not be used otherwise. PrepareInPlace does not change the current images. The error is
// [RejectShape], or [RejectLength] if memory is too small; Resize then allocates.
func PrepareInPlace(memory []byte, o *message.Observation) error {
	// Images that get no place must not keep one in an earlier frame.
	o.RGB1.SetBuffer(nil)
	o.RGB2.SetBuffer(nil)
	o.Depth.SetBuffer(nil)
	o.Confidence.SetBuffer(nil)
	sections, err := observationLayout(o)
	if err != nil {
		return err
	}
	if bytes, _ := frameSize(observationSpecs[:], sections[:]); bytes > uint64(len(memory)) {
		return RejectLength
	}
	offsets := sectionOffsets(&sections)
	if o.RGB1.Present() {
		o.RGB1.SetBuffer(memory[offsets[rgb1]:][:len(o.RGB1.Pixels)])
	}
	if o.RGB2.Present() {
		o.RGB2.SetBuffer(memory[offsets[rgb2]:][:len(o.RGB2.Pixels)])
	}
	if o.Depth.Present() {
		o.Depth.SetBuffer(memory[offsets[depth]:][:4*len(o.Depth.Values)])
	}
	if o.Confidence.Present() {
		o.Confidence.SetBuffer(memory[offsets[confidence]:][:4*len(o.Confidence.Values)])
	}
	return nil
}

// EncodeInPlace encodes o at the start of memory, and returns the frame. It does not copy images that are in their place since
// PrepareInPlace. Afterwards the images of o borrow from the frame, and are valid until the frame is written to. The error is
// [RejectShape].
func EncodeInPlace(memory []byte, o *message.Observation) ([]byte, error) {
	sections, err := observationLayout(o)
	if err != nil {
		return memory[:0], err
	}
	b := appendObservation(memory[:0], o, &sections)
	offsets := sectionOffsets(&sections)
	if o.RGB1.Present() {
		o.RGB1.Borrow(o.RGB1.Height, o.RGB1.Width, b[offsets[rgb1]:])
	}
	if o.RGB2.Present() {
		o.RGB2.Borrow(o.RGB2.Height, o.RGB2.Width, b[offsets[rgb2]:])
	}
	if o.Depth.Present() {
		o.Depth.Borrow(o.Depth.Height, o.Depth.Width, b[offsets[depth]:])
	}
	if o.Confidence.Present() {
		o.Confidence.Borrow(o.Confidence.Height, o.Confidence.Width, b[offsets[confidence]:])
	}
	return b, nil
}

// sectionOffsets returns the offsets of the present sections in the frame.
func sectionOffsets(sections *[observationSections]section) (offsets [observationSections]uint64) {
	_, n := frameSize(observationSpecs[:], sections[:])
	end := uint64(headerBytes + n*entryBytes)
	for i := range sections {
		if sections[i].present() {
			offsets[i] = align(end)
			end = offsets[i] + sections[i].bytes(observationSpecs[i].element)
		}
	}
	return offsets
}

// appendObservation appends the frame of o, whose layout is sections.
func appendObservation(dst []byte, o *message.Observation, sections *[observationSections]section) []byte {
	start := len(dst)
	frameBytes, _ := frameSize(observationSpecs[:], sections[:])
	rgb1Pixels, rgb2Pixels, depthBytes, confidenceBytes := o.RGB1.Pixels, o.RGB2.Pixels, o.Depth.Bytes(), o.Confidence.Bytes()
	if room := dst[start:cap(dst)]; uint64(len(room)) >= frameBytes {
		offsets := sectionOffsets(sections)
		rgb1Pixels = cloneIfOverlapping(room, offsets[rgb1], rgb1Pixels)
		rgb2Pixels = cloneIfOverlapping(room, offsets[rgb2], rgb2Pixels)
		depthBytes = cloneIfOverlapping(room, offsets[depth], depthBytes)
		confidenceBytes = cloneIfOverlapping(room, offsets[confidence], confidenceBytes)
	}
	h := header{sequence: o.Sequence, sessionID: o.SessionID, monotonicNs: o.MonotonicNs, otherNs: o.WallNs}
	b := appendHeader(dst, kindObservation, h, observationSpecs[:], sections[:])
	b = appendFloats(b, start, o.PositionRad)
	b = appendFloats(b, start, o.VelocityRadPerSec)
	b = appendFloats(b, start, o.EffortNm)
	var imuVector [imuValues]float64
	copy(imuVector[0:], o.IMU.Orientation[:])
	copy(imuVector[4:], o.IMU.AngularVelocityRadPerSec[:])
	copy(imuVector[7:], o.IMU.LinearAccelerationMps2[:])
	b = appendFloats(b, start, imuVector[:])
	b = appendContacts(b, start, o.Contacts)
	if o.BaseVelocityKnown {
		b = appendFloats(b, start, o.BaseVelocityMps[:])
	}
	if o.RGB1.Present() {
		b = appendPixels(b, start, rgb1Pixels)
	}
	if o.RGB2.Present() {
		b = appendPixels(b, start, rgb2Pixels)
	}
	if o.Depth.Present() {
		b = appendScalars(b, start, &o.Depth, depthBytes)
	}
	if o.Confidence.Present() {
		b = appendScalars(b, start, &o.Confidence, confidenceBytes)
	}
	setChecksums(b[start:])
	return b
}

// cloneIfOverlapping returns a copy of pixels if they are in the memory of the frame but not at their offset, where encoding would
// overwrite them. Otherwise it returns pixels.
func cloneIfOverlapping(frame []byte, offset uint64, pixels []byte) []byte {
	if len(pixels) == 0 {
		return pixels
	}
	from, begin := uintptr(unsafe.Pointer(unsafe.SliceData(pixels))), uintptr(unsafe.Pointer(unsafe.SliceData(frame)))
	if from == begin+uintptr(offset) || from >= begin+uintptr(len(frame)) || from+uintptr(len(pixels)) <= begin {
		return pixels
	}
	return slices.Clone(pixels)
}

// appendContacts appends a section of contacts, as 0 or 1.
func appendContacts(b []byte, start int, contacts []bool) []byte {
	b = pad(b, start)
	for _, contact := range contacts {
		var v byte
		if contact {
			v = 1
		}
		b = append(b, v)
	}
	return b
}

// appendPixels appends a section of pixels. It does not copy pixels that are in their place.
func appendPixels(b []byte, start int, pixels []byte) []byte {
	b = pad(b, start)
	n := len(b)
	if room := b[n:cap(b)]; len(room) >= len(pixels) && unsafe.SliceData(room) == unsafe.SliceData(pixels) {
		return b[:n+len(pixels)]
	}
	return append(b, pixels...)
}

// appendScalars appends a section with the values of i. pixels are its values on a little-endian machine, or nil.
func appendScalars(b []byte, start int, i *message.ScalarImage, pixels []byte) []byte {
	if pixels == nil {
		return i.AppendTo(pad(b, start))
	}
	return appendPixels(b, start, pixels)
}

// observationLayout returns the sections of the frame of o, or RejectShape if o cannot be encoded.
func observationLayout(o *message.Observation) (s [observationSections]section, err error) {
	n := uint32(len(o.PositionRad))
	if len(o.VelocityRadPerSec) != int(n) || len(o.EffortNm) != int(n) {
		return s, RejectShape
	}
	for _, i := range [...]int{position, velocity, effort} {
		s[i] = section{rank: 1, dims: [3]uint32{n}}
	}
	s[imu] = section{rank: 1, dims: [3]uint32{imuValues}}
	s[contacts] = section{rank: 1, dims: [3]uint32{uint32(len(o.Contacts))}}
	if o.BaseVelocityKnown {
		s[baseVelocity] = section{rank: 1, dims: [3]uint32{3}}
	}
	if err := s[rgb1].setImage(o.RGB1.ImageStamp, o.RGB1.Height, o.RGB1.Width, 3, len(o.RGB1.Pixels)); err != nil {
		return s, err
	}
	if err := s[rgb2].setImage(o.RGB2.ImageStamp, o.RGB2.Height, o.RGB2.Width, 3, len(o.RGB2.Pixels)); err != nil {
		return s, err
	}
	if err := s[depth].setImage(o.Depth.ImageStamp, o.Depth.Height, o.Depth.Width, 1, len(o.Depth.Values)); err != nil {
		return s, err
	}
	c := &o.Confidence
	if err := s[confidence].setImage(c.ImageStamp, c.Height, c.Width, 1, len(c.Values)); err != nil {
		return s, err
	}
	for i := range s {
		for d := range s[i].dims {
			if s[i].present() && s[i].dims[d] > observationSpecs[i].max[d] {
				return s, RejectShape
			}
		}
	}
	return s, nil
}

// setImage makes s the section of an image, or leaves it absent. The error is RejectShape.
func (s *section) setImage(stamp message.ImageStamp, height, width, channels, values int) error {
	if height == 0 && width == 0 && values == 0 {
		return nil
	}
	if height < 1 || height > message.MaxImageSide || width < 1 || width > message.MaxImageSide ||
		height*width > message.MaxImagePixels || values != height*width*channels {
		return RejectShape
	}
	*s = section{rank: 2, dims: [3]uint32{uint32(height), uint32(width)}, stamp: stamp}
	if channels > 1 {
		s.rank, s.dims[2] = 3, uint32(channels)
	}
	return nil
}

// DecodeObservation decodes frame into o. It reuses the memory of o, and allocates only if that is too small. It does not copy
// images: the images of o, and of copies of o by assignment, borrow their pixels from frame, and are valid until frame is written
// to. CopyFrom copies them. If frame does not begin at a multiple of 4 bytes in memory, depth and confidence are copied.
//
// If the error is not nil, it is a [RejectReason], and o is unchanged.
func DecodeObservation(o *message.Observation, frame []byte) error {
	var s [observationSections]section
	h, err := parseFrame(frame, kindObservation, observationSpecs[:], s[:])
	if err != nil {
		return err
	}
	joints, feet := s[position].dims[0], s[contacts].dims[0]
	if s[velocity].dims[0] != joints || s[effort].dims[0] != joints {
		return RejectShape
	}
	for _, v := range s[contacts].body {
		if v > 1 {
			return RejectValue
		}
	}
	o.Sequence, o.SessionID, o.MonotonicNs, o.WallNs = h.sequence, h.sessionID, h.monotonicNs, h.otherNs
	o.Resize(int(joints), int(feet))
	readFloats(o.PositionRad, s[position].body)
	readFloats(o.VelocityRadPerSec, s[velocity].body)
	readFloats(o.EffortNm, s[effort].body)
	readFloats(o.IMU.Orientation[:], s[imu].body)
	readFloats(o.IMU.AngularVelocityRadPerSec[:], s[imu].body[8*4:])
	readFloats(o.IMU.LinearAccelerationMps2[:], s[imu].body[8*7:])
	for i, v := range s[contacts].body {
		o.Contacts[i] = v == 1
	}
	o.BaseVelocityKnown, o.BaseVelocityMps = s[baseVelocity].present(), [3]float64{}
	if o.BaseVelocityKnown {
		readFloats(o.BaseVelocityMps[:], s[baseVelocity].body)
	}
	borrowColor(&o.RGB1, &s[rgb1])
	borrowColor(&o.RGB2, &s[rgb2])
	borrowScalar(&o.Depth, &s[depth])
	borrowScalar(&o.Confidence, &s[confidence])
	return nil
}

// borrowColor makes i borrow the pixels of a section, or clears it if the section is absent.
func borrowColor(i *message.ColorImage, s *section) {
	if !s.present() {
		i.Clear()
		return
	}
	i.ImageStamp = s.stamp
	i.Borrow(int(s.dims[0]), int(s.dims[1]), s.body)
}

// borrowScalar makes i borrow the values of a section, or clears it if the section is absent.
func borrowScalar(i *message.ScalarImage, s *section) {
	if !s.present() {
		i.Clear()
		return
	}
	i.ImageStamp = s.stamp
	i.Borrow(int(s.dims[0]), int(s.dims[1]), s.body)
}
