package wire

import "krabby.dev/krabby/hal/message"

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
	start := len(dst)
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
	b = putColor(b, start, &o.RGB1)
	b = putColor(b, start, &o.RGB2)
	b = putScalar(b, start, &o.Depth)
	b = putScalar(b, start, &o.Confidence)
	seal(b[start:])
	return b, nil
}

func putColor(b []byte, start int, i *message.ColorImage) []byte {
	if !i.Present() {
		return b
	}
	return append(pad(b, start), i.Pixels...)
}

func putScalar(b []byte, start int, i *message.ScalarImage) []byte {
	if !i.Present() {
		return b
	}
	return i.AppendTo(pad(b, start))
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
