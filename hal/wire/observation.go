package wire

import (
	"slices"
	"unsafe"

	"krabby.dev/krabby/hal/message"
)

// ObservationBytes returns the size of the frame of o. The error is [Shape] where the slices of o disagree or exceed the
// bounds.
func ObservationBytes(o *message.Observation) (int, error) {
	sections, err := layOut(o)
	if err != nil {
		return 0, err
	}
	bytes, _ := size(observationSpecs[:], sections[:])
	return int(bytes), nil
}

// AppendObservation appends the frame of o to dst and returns the extended buffer. The error is [Shape] where the
// slices of o disagree or exceed the bounds; dst is then returned as it was. It allocates only when dst is too small,
// once. For arrays that lie at multiples of 64 bytes in memory too, the frame must begin at one.
func AppendObservation(dst []byte, o *message.Observation) ([]byte, error) {
	sections, err := layOut(o)
	if err != nil {
		return dst, err
	}
	return encode(dst, o, &sections), nil
}

// PlaceObservation lets images of the sizes that o has now be written where they are to be in a frame that begins with
// memory, which must be aligned to 4 bytes and stay untouched by others: whoever calls Resize on such an image, and writes
// it, has written it into the frame. It changes nothing that o has. FillObservation then makes it a frame. The error is
// [Shape], or [Length] where memory is too small; Resize then takes new memory.
func PlaceObservation(memory []byte, o *message.Observation) error {
	// Those that are not placed must not find the memory of an earlier frame.
	o.RGB1.Place(nil)
	o.RGB2.Place(nil)
	o.Depth.Place(nil)
	o.Confidence.Place(nil)
	sections, err := layOut(o)
	if err != nil {
		return err
	}
	if bytes, _ := size(observationSpecs[:], sections[:]); bytes > uint64(len(memory)) {
		return Length
	}
	at := offsets(&sections)
	if o.RGB1.Present() {
		o.RGB1.Place(memory[at[rgb1]:][:len(o.RGB1.Pixels)])
	}
	if o.RGB2.Present() {
		o.RGB2.Place(memory[at[rgb2]:][:len(o.RGB2.Pixels)])
	}
	if o.Depth.Present() {
		o.Depth.Place(memory[at[depth]:][:4*len(o.Depth.Values)])
	}
	if o.Confidence.Present() {
		o.Confidence.Place(memory[at[confidence]:][:4*len(o.Confidence.Values)])
	}
	return nil
}

// FillObservation is AppendObservation to memory of length 0, to which PlaceObservation may have placed o: what lies where
// it belongs is not copied. It leaves o's images in the frame, where they hold until the frame is written to.
func FillObservation(memory []byte, o *message.Observation) ([]byte, error) {
	sections, err := layOut(o)
	if err != nil {
		return memory[:0], err
	}
	b := encode(memory[:0], o, &sections)
	at := offsets(&sections)
	if o.RGB1.Present() {
		o.RGB1.Borrow(o.RGB1.Height, o.RGB1.Width, b[at[rgb1]:])
	}
	if o.RGB2.Present() {
		o.RGB2.Borrow(o.RGB2.Height, o.RGB2.Width, b[at[rgb2]:])
	}
	if o.Depth.Present() {
		o.Depth.Borrow(o.Depth.Height, o.Depth.Width, b[at[depth]:])
	}
	if o.Confidence.Present() {
		o.Confidence.Borrow(o.Confidence.Height, o.Confidence.Width, b[at[confidence]:])
	}
	return b, nil
}

// offsets returns where the sections begin in the frame; of those that are not present it means nothing.
func offsets(sections *[observationSections]section) (at [observationSections]uint64) {
	_, n := size(observationSpecs[:], sections[:])
	end := uint64(headerBytes + n*entryBytes)
	for i := range sections {
		if sections[i].present() {
			at[i] = align(end)
			end = at[i] + sections[i].bytes(observationSpecs[i].element)
		}
	}
	return at
}

// apart returns pixels, or a copy of them where they are in the memory of the frame, but not where they belong: writing
// the frame would write over them.
func apart(frame []byte, at uint64, pixels []byte) []byte {
	if len(pixels) == 0 {
		return pixels
	}
	from, begin := uintptr(unsafe.Pointer(unsafe.SliceData(pixels))), uintptr(unsafe.Pointer(unsafe.SliceData(frame)))
	if from == begin+uintptr(at) || from >= begin+uintptr(len(frame)) || from+uintptr(len(pixels)) <= begin {
		return pixels
	}
	return slices.Clone(pixels)
}

// put appends pixels, and does not copy them where they are already.
func put(b []byte, start int, pixels []byte) []byte {
	b = pad(b, start)
	n := len(b)
	if room := b[n:cap(b)]; len(room) >= len(pixels) && unsafe.SliceData(room) == unsafe.SliceData(pixels) {
		return b[:n+len(pixels)]
	}
	return append(b, pixels...)
}

func encode(dst []byte, o *message.Observation, sections *[observationSections]section) []byte {
	start := len(dst)
	frameBytes, _ := size(observationSpecs[:], sections[:])
	color1, color2, depths, confidences := o.RGB1.Pixels, o.RGB2.Pixels, o.Depth.Bytes(), o.Confidence.Bytes()
	if room := dst[start:cap(dst)]; uint64(len(room)) >= frameBytes {
		at := offsets(sections)
		color1, color2 = apart(room, at[rgb1], color1), apart(room, at[rgb2], color2)
		depths, confidences = apart(room, at[depth], depths), apart(room, at[confidence], confidences)
	}
	h := header{sequence: o.Sequence, sessionID: o.SessionID, monotonicNs: o.MonotonicNs, otherNs: o.WallNs}
	b := begin(dst, kindObservation, h, observationSpecs[:], sections[:])
	b = putFloats(b, start, o.PositionRad)
	b = putFloats(b, start, o.VelocityRadPerSec)
	b = putFloats(b, start, o.EffortNm)
	var inertial [imuValues]float64
	copy(inertial[0:], o.IMU.Orientation[:])
	copy(inertial[4:], o.IMU.AngularVelocityRadPerSec[:])
	copy(inertial[7:], o.IMU.LinearAccelerationMps2[:])
	b = putFloats(b, start, inertial[:])
	b = pad(b, start)
	for _, touches := range o.Contacts {
		var v byte
		if touches {
			v = 1
		}
		b = append(b, v)
	}
	if o.BaseVelocityKnown {
		b = putFloats(b, start, o.BaseVelocityMps[:])
	}
	if o.RGB1.Present() {
		b = put(b, start, color1)
	}
	if o.RGB2.Present() {
		b = put(b, start, color2)
	}
	if o.Depth.Present() {
		b = putScalar(b, start, &o.Depth, depths)
	}
	if o.Confidence.Present() {
		b = putScalar(b, start, &o.Confidence, confidences)
	}
	seal(b[start:])
	return b
}

// putScalar appends the values of i, which are those of pixels where this machine is little-endian.
func putScalar(b []byte, start int, i *message.ScalarImage, pixels []byte) []byte {
	if pixels == nil {
		return i.AppendTo(pad(b, start))
	}
	return put(b, start, pixels)
}

// layOut says which sections o has and checks that they can be written.
func layOut(o *message.Observation) (s [observationSections]section, err error) {
	n := uint32(len(o.PositionRad))
	if len(o.VelocityRadPerSec) != int(n) || len(o.EffortNm) != int(n) {
		return s, Shape
	}
	for _, i := range [...]int{position, velocity, effort} {
		s[i] = section{rank: 1, dims: [3]uint32{n}}
	}
	s[imu] = section{rank: 1, dims: [3]uint32{imuValues}}
	s[contacts] = section{rank: 1, dims: [3]uint32{uint32(len(o.Contacts))}}
	if o.BaseVelocityKnown {
		s[baseVelocity] = section{rank: 1, dims: [3]uint32{3}}
	}
	if err := s[rgb1].layOut(o.RGB1.ImageStamp, o.RGB1.Height, o.RGB1.Width, 3, len(o.RGB1.Pixels)); err != nil {
		return s, err
	}
	if err := s[rgb2].layOut(o.RGB2.ImageStamp, o.RGB2.Height, o.RGB2.Width, 3, len(o.RGB2.Pixels)); err != nil {
		return s, err
	}
	if err := s[depth].layOut(o.Depth.ImageStamp, o.Depth.Height, o.Depth.Width, 1, len(o.Depth.Values)); err != nil {
		return s, err
	}
	if err := s[confidence].layOut(o.Confidence.ImageStamp, o.Confidence.Height, o.Confidence.Width, 1, len(o.Confidence.Values)); err != nil {
		return s, err
	}
	for i := range s {
		for d := range s[i].dims {
			if s[i].present() && s[i].dims[d] > observationSpecs[i].most[d] {
				return s, Shape
			}
		}
	}
	return s, nil
}

func (s *section) layOut(stamp message.ImageStamp, height, width, channels, values int) error {
	if height == 0 && width == 0 && values == 0 {
		return nil
	}
	if height < 1 || height > message.MaxImageSide || width < 1 || width > message.MaxImageSide ||
		height*width > message.MaxImagePixels || values != height*width*channels {
		return Shape
	}
	*s = section{rank: 2, dims: [3]uint32{uint32(height), uint32(width)}, stamp: stamp}
	if channels > 1 {
		s.rank, s.dims[2] = 3, uint32(channels)
	}
	return nil
}

// DecodeObservation decodes frame into o, reusing its memory: decoding frames of one shape allocates only once. Images
// are not copied. They borrow their pixels from frame, and so do copies of o made by assignment: o holds until frame is
// written to, unless o was copied by CopyFrom. Where frame does not begin at a multiple of 4 bytes in memory, depth and
// confidence are copied.
//
// The error is a [Cause]; o is then unchanged.
func DecodeObservation(o *message.Observation, frame []byte) error {
	var s [observationSections]section
	h, err := open(frame, kindObservation, observationSpecs[:], s[:])
	if err != nil {
		return err
	}
	joints, feet := s[position].dims[0], s[contacts].dims[0]
	if s[velocity].dims[0] != joints || s[effort].dims[0] != joints {
		return Shape
	}
	for _, v := range s[contacts].body {
		if v > 1 {
			return Value
		}
	}
	o.Sequence, o.SessionID, o.MonotonicNs, o.WallNs = h.sequence, h.sessionID, h.monotonicNs, h.otherNs
	o.Resize(int(joints), int(feet))
	takeFloats(o.PositionRad, s[position].body)
	takeFloats(o.VelocityRadPerSec, s[velocity].body)
	takeFloats(o.EffortNm, s[effort].body)
	takeFloats(o.IMU.Orientation[:], s[imu].body)
	takeFloats(o.IMU.AngularVelocityRadPerSec[:], s[imu].body[8*4:])
	takeFloats(o.IMU.LinearAccelerationMps2[:], s[imu].body[8*7:])
	for i, v := range s[contacts].body {
		o.Contacts[i] = v == 1
	}
	o.BaseVelocityKnown, o.BaseVelocityMps = s[baseVelocity].present(), [3]float64{}
	if o.BaseVelocityKnown {
		takeFloats(o.BaseVelocityMps[:], s[baseVelocity].body)
	}
	takeColor(&o.RGB1, &s[rgb1])
	takeColor(&o.RGB2, &s[rgb2])
	takeScalar(&o.Depth, &s[depth])
	takeScalar(&o.Confidence, &s[confidence])
	return nil
}

func takeColor(i *message.ColorImage, s *section) {
	if !s.present() {
		i.Clear()
		return
	}
	i.ImageStamp = s.stamp
	i.Borrow(int(s.dims[0]), int(s.dims[1]), s.body)
}

func takeScalar(i *message.ScalarImage, s *section) {
	if !s.present() {
		i.Clear()
		return
	}
	i.ImageStamp = s.stamp
	i.Borrow(int(s.dims[0]), int(s.dims[1]), s.body)
}
