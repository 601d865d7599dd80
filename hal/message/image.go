package message

import (
	"encoding/binary"
	"math"
	"strconv"
	"unsafe"
)

// MaxImageSide and MaxImagePixels bound every image: at most so many rows, columns, and pixels.
const (
	MaxImageSide   = 4096
	MaxImagePixels = 1 << 22
)

// ImageStamp says which frame of its camera an image is. Cameras are slower than joints: successive observations carry
// the same image, with the same stamp, until the camera has a new one.
type ImageStamp struct {
	// Sequence counts the frames of the camera in a session, from 1.
	Sequence uint64
	// MonotonicNs is when the image was taken, in ns of the server's monotonic clock.
	MonotonicNs int64
	// RateHz is the camera's nominal rate, in Hz; 0 where it is not known.
	RateHz float64
}

// ColorImage is an image of 8 bits for each of red, green and blue. The zero value is no image.
//
// After decoding, Pixels are borrowed from the frame that was decoded: they hold as long as the frame does and must not
// be written. After Resize and CopyFrom they are the image's own.
type ColorImage struct {
	ImageStamp
	// Height and Width count rows and columns; both are 0 where there is no image.
	Height, Width int
	// Pixels are Height x Width x 3 values, red, green, blue, row by row from the top left.
	Pixels []byte

	own []byte // Kept while Pixels are borrowed, so that nothing writes into what is not ours.
}

// ScalarImage is an image of one number for each pixel. The zero value is no image.
//
// Who owns Values is as with [ColorImage].
type ScalarImage struct {
	ImageStamp
	// Height and Width count rows and columns; both are 0 where there is no image.
	Height, Width int
	// Values are Height x Width values, row by row from the top left. NaN and infinities are allowed: a depth that the
	// camera could not measure is NaN.
	Values []float32

	own []float32
}

// Present says whether there is an image.
func (i *ColorImage) Present() bool { return i.Height != 0 || i.Width != 0 }

// Present says whether there is an image.
func (i *ScalarImage) Present() bool { return i.Height != 0 || i.Width != 0 }

// Clear makes i no image, and keeps its own memory for the next.
func (i *ColorImage) Clear() { *i = ColorImage{own: i.own} }

// Clear makes i no image, and keeps its own memory for the next.
func (i *ScalarImage) Clear() { *i = ScalarImage{own: i.own} }

// Resize makes i an image of so many rows and columns in memory of its own, which is kept where it suffices. The
// contents are unspecified afterwards.
func (i *ColorImage) Resize(height, width int) {
	i.own = resize(i.own, height*width*3)
	i.Height, i.Width, i.Pixels = height, width, i.own
}

// Resize makes i an image of so many rows and columns in memory of its own, which is kept where it suffices. The
// contents are unspecified afterwards.
func (i *ScalarImage) Resize(height, width int) {
	i.own = resize(i.own, height*width)
	i.Height, i.Width, i.Values = height, width, i.own
}

// CopyFrom makes i a deep copy of from, reusing its own memory. A copy from itself makes borrowed pixels its own.
func (i *ColorImage) CopyFrom(from *ColorImage) {
	pixels := from.Pixels
	i.ImageStamp = from.ImageStamp
	i.Resize(from.Height, from.Width)
	copy(i.Pixels, pixels)
}

// CopyFrom makes i a deep copy of from, reusing its own memory. A copy from itself makes borrowed values its own.
func (i *ScalarImage) CopyFrom(from *ScalarImage) {
	values := from.Values
	i.ImageStamp = from.ImageStamp
	i.Resize(from.Height, from.Width)
	copy(i.Values, values)
}

// Borrow makes i an image of so many rows and columns whose pixels are those at pixels, of height x width x 3 bytes.
func (i *ColorImage) Borrow(height, width int, pixels []byte) {
	i.Height, i.Width, i.Pixels = height, width, pixels[:height*width*3:height*width*3]
}

// Borrow makes i an image of so many rows and columns whose values are the little-endian float32 at values, of height x
// width x 4 bytes. It borrows them where this machine can read them in place, which needs an address that is a multiple
// of 4, and copies them into memory of its own otherwise.
func (i *ScalarImage) Borrow(height, width int, values []byte) {
	n := height * width
	values = values[:4*n]
	if p := unsafe.Pointer(unsafe.SliceData(values)); n > 0 && littleEndian && uintptr(p)%4 == 0 {
		i.Height, i.Width, i.Values = height, width, unsafe.Slice((*float32)(p), n)
		return
	}
	i.Resize(height, width)
	for at := range i.Values {
		i.Values[at] = math.Float32frombits(binary.LittleEndian.Uint32(values[4*at:]))
	}
}

// Place makes memory what the next Resize takes, where it suffices, so that pixels can be written where they are to be in
// the end; none makes it take new memory. What i has now stays.
func (i *ColorImage) Place(memory []byte) { i.own = memory[:0:len(memory)] }

// Place makes memory what the next Resize takes, where it suffices and this machine can write little-endian float32 there
// in place, which needs an address that is a multiple of 4. What i has now stays.
func (i *ScalarImage) Place(memory []byte) {
	i.own = nil
	if p := unsafe.Pointer(unsafe.SliceData(memory)); len(memory) >= 4 && littleEndian && uintptr(p)%4 == 0 {
		i.own = unsafe.Slice((*float32)(p), len(memory)/4)[:0]
	}
}

// Bytes returns the values of i as they are in memory, or nothing where this machine is not little-endian.
func (i *ScalarImage) Bytes() []byte {
	if len(i.Values) == 0 || !littleEndian {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(i.Values))), 4*len(i.Values))
}

// AppendTo appends the values of i to dst as little-endian float32, and returns the extended buffer.
func (i *ScalarImage) AppendTo(dst []byte) []byte {
	if b := i.Bytes(); b != nil {
		return append(dst, b...)
	}
	for _, v := range i.Values {
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(v))
	}
	return dst
}

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// validateImage looks at everything of an image but its pixels, which may be anything and are too many.
func validateImage(field string, stamp ImageStamp, height, width, values, channels int) error {
	if height == 0 && width == 0 {
		if values != 0 {
			return lengthError(field, values, 0)
		}
		return nil
	}
	if height < 1 || height > MaxImageSide || width < 1 || width > MaxImageSide || height*width > MaxImagePixels {
		return &FieldError{field, size(height, width), "1 to " + strconv.Itoa(MaxImageSide) + " a side, at most " + strconv.Itoa(MaxImagePixels) + " pixels"}
	}
	if values != height*width*channels {
		return lengthError(field, values, height*width*channels)
	}
	if !(stamp.RateHz >= 0 && stamp.RateHz <= MaxMagnitude) {
		return &FieldError{field + ".rate_hz", number(stamp.RateHz), "0 to " + number(MaxMagnitude)}
	}
	return nil
}

func size(height, width int) string { return strconv.Itoa(height) + "x" + strconv.Itoa(width) }
