package message

import (
	"encoding/binary"
	"math"
	"strconv"
	"unsafe"
)

// The bounds of every image.
const (
	// MaxImageSide is the maximum number of rows and of columns.
	MaxImageSide = 4096
	// MaxImagePixels is the maximum number of pixels.
	MaxImagePixels = 1 << 22
)

// ImageStamp identifies the camera frame of an image. Cameras are slower than joints: successive observations repeat an image
// with its stamp until the camera delivers the next one.
type ImageStamp struct {
	// Sequence counts the frames of the camera in a session, from 1.
	Sequence uint64
	// MonotonicNs is when the image was taken, in ns of the server's monotonic clock.
	MonotonicNs int64
	// RateHz is the nominal rate of the camera, in Hz; 0 if it is not known.
	RateHz float64
}

// ColorImage is an image with 8 bits for each of red, green and blue. The zero value means no image.
//
// After decoding, Pixels are borrowed from the decoded frame: they are valid as long as the frame, and must not be written.
// After Resize and CopyFrom, the image owns them.
type ColorImage struct {
	ImageStamp
	// Height and Width are the numbers of rows and columns; 0 without an image.
	Height, Width int
	// Pixels has the shape [Height, Width, 3]: red, green, blue, in rows from the top left.
	Pixels []byte

	own []byte // Memory of the image. It is kept while Pixels are borrowed, so that no method writes to borrowed memory.
}

// ScalarImage is an image with one number for each pixel. The zero value means no image.
//
// Values are owned or borrowed like the pixels of a [ColorImage].
type ScalarImage struct {
	ImageStamp
	// Height and Width are the numbers of rows and columns; 0 without an image.
	Height, Width int
	// Values has the shape [Height, Width], in rows from the top left. NaN and infinities are allowed: a depth that the camera
	// could not measure is NaN.
	Values []float32

	own []float32
}

// Present reports whether there is an image.
func (i *ColorImage) Present() bool { return i.Height != 0 || i.Width != 0 }

// Present reports whether there is an image.
func (i *ScalarImage) Present() bool { return i.Height != 0 || i.Width != 0 }

// Clear removes the image, and keeps its memory for the next one.
func (i *ColorImage) Clear() { *i = ColorImage{own: i.own} }

// Clear removes the image, and keeps its memory for the next one.
func (i *ScalarImage) Clear() { *i = ScalarImage{own: i.own} }

// Resize makes i an image of height rows and width columns in its own memory, which it reuses if it suffices. The contents are
// unspecified.
func (i *ColorImage) Resize(height, width int) {
	i.own = resize(i.own, height*width*3)
	i.Height, i.Width, i.Pixels = height, width, i.own
}

// Resize makes i an image of height rows and width columns in its own memory, which it reuses if it suffices. The contents are
// unspecified.
func (i *ScalarImage) Resize(height, width int) {
	i.own = resize(i.own, height*width)
	i.Height, i.Width, i.Values = height, width, i.own
}

// CopyFrom makes i a deep copy of from. It reuses the memory of i. A copy of i to itself replaces borrowed pixels by a copy.
func (i *ColorImage) CopyFrom(from *ColorImage) {
	pixels := from.Pixels
	i.ImageStamp = from.ImageStamp
	i.Resize(from.Height, from.Width)
	copy(i.Pixels, pixels)
}

// CopyFrom makes i a deep copy of from. It reuses the memory of i. A copy of i to itself replaces borrowed values by a copy.
func (i *ScalarImage) CopyFrom(from *ScalarImage) {
	values := from.Values
	i.ImageStamp = from.ImageStamp
	i.Resize(from.Height, from.Width)
	copy(i.Values, values)
}

// Borrow makes i an image whose pixels are in pixels, which has at least height x width x 3 bytes.
func (i *ColorImage) Borrow(height, width int, pixels []byte) {
	i.Height, i.Width, i.Pixels = height, width, pixels[:height*width*3:height*width*3]
}

// Borrow makes i an image whose values are the little-endian float32 in values, which has at least height x width x 4 bytes. It
// borrows the values if this machine can read them in place, which requires an address that is a multiple of 4. Otherwise it
// copies them.
func (i *ScalarImage) Borrow(height, width int, values []byte) {
	n := height * width
	values = values[:4*n]
	if p := unsafe.Pointer(unsafe.SliceData(values)); n > 0 && littleEndian && uintptr(p)%4 == 0 {
		i.Height, i.Width, i.Values = height, width, unsafe.Slice((*float32)(p), n)
		return
	}
	i.Resize(height, width)
	for n := range i.Values {
		i.Values[n] = math.Float32frombits(binary.LittleEndian.Uint32(values[4*n:]))
	}
}

// SetBuffer makes the next Resize use memory, if it suffices, so that pixels can be written to their final place. With nil, the
// next Resize allocates. The current image does not change.
func (i *ColorImage) SetBuffer(memory []byte) { i.own = memory[:0:len(memory)] }

// SetBuffer makes the next Resize use memory, if it suffices and this machine can write little-endian float32 there in place,
// which requires an address that is a multiple of 4. With nil, the next Resize allocates. The current image does not change.
func (i *ScalarImage) SetBuffer(memory []byte) {
	i.own = nil
	if p := unsafe.Pointer(unsafe.SliceData(memory)); len(memory) >= 4 && littleEndian && uintptr(p)%4 == 0 {
		i.own = unsafe.Slice((*float32)(p), len(memory)/4)[:0]
	}
}

// Bytes returns the values of i as little-endian float32 without a copy, or nil if this machine is not little-endian.
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

// validateImage validates the size and the stamp of an image. Pixels may have any value.
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
