package wire

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"krabby.dev/krabby/hal/message"
)

func TestDecode_truncated(t *testing.T) {
	for _, f := range forms(t) {
		for n := range f.frame {
			if err := f.decode(f.frame[:n:n]); n < headerBytes && err != RejectShort || n >= headerBytes && err != RejectLength {
				t.Errorf("%s of %d bytes: error = %v", f.name, n, err)
			}
			cut := slices.Clone(f.frame[:n]) // With the shorter length in its header.
			if n >= headerBytes {
				binary.LittleEndian.PutUint32(cut[8:], uint32(n))
				updateChecksums(cut)
				if err := f.decode(cut); !isRejectReason(err) {
					t.Errorf("%s with a length of %d bytes: error = %v, want a RejectReason", f.name, n, err)
				}
			}
		}
	}
}

func TestDecode_bitFlips(t *testing.T) {
	for _, f := range forms(t) {
		// The pixels in the frame of full(2, 3): two images of 18 bytes, two of 24.
		pixel := func(at int) bool {
			at -= 1344
			return f.name == "observation_images" && at >= 0 && (at < 128 && at%64 < 18 || at >= 128 && at%64 < 24)
		}
		for bit := range 8 * len(f.frame) {
			at := bit / 8
			f.frame[at] ^= 1 << (bit % 8)
			err := f.decode(f.frame)
			want := RejectChecksum
			switch {
			case pixel(at):
				reencoded, reencodeErr := f.reencode(f.frame)
				if err != nil || reencodeErr != nil || !bytes.Equal(reencoded, f.frame) {
					t.Errorf("%s: flip of bit %d in pixels: error = %v, %v, want none and the same frame", f.name, bit, err, reencodeErr)
				}
				f.frame[at] ^= 1 << (bit % 8)
				continue
			case at < 4:
				want = RejectMagic
			case at == 4:
				want = RejectVersion
			case at == 6:
				want = RejectKind
			case at >= 8 && at < 12:
				want = RejectLength
			}
			f.frame[at] ^= 1 << (bit % 8)
			switch {
			case at == 7: // The number of sections.
				if err != RejectSection && err != RejectLength && err != RejectChecksum {
					t.Errorf("%s: flip of bit %d: error = %v", f.name, bit, err)
				}
			case at >= headerBytes+entryBytes*int(f.frame[7]) && err == RejectReserved: // Between sections.
			case err != want:
				t.Errorf("%s: flip of bit %d: error = %v, want %v", f.name, bit, err, want)
			}
		}
	}
}

func TestDecodeObservation_damagedLargeFrame(t *testing.T) {
	frame := encodeObservation(t, full(480, 640))
	pixels := 1344
	random := rand.New(rand.NewPCG(1, 2))
	var o message.Observation
	for range 20_000 {
		at := random.IntN(len(frame))
		if random.IntN(4) == 0 {
			at = random.IntN(pixels)
		}
		intact := frame[at]
		frame[at] ^= 1 << random.IntN(8)
		before := frame[at]
		if err := DecodeObservation(&o, frame); (err == nil) != (at >= pixels) {
			t.Fatalf("flip in byte %d: error = %v", at, err)
		}
		if frame[at] != before {
			t.Fatalf("decoding wrote into byte %d of the frame", at)
		}
		frame[at] = intact
	}
	for range 1000 {
		n := random.IntN(len(frame))
		if err := DecodeObservation(&o, frame[:n:n]); err != RejectLength && err != RejectShort {
			t.Fatalf("%d bytes: error = %v", n, err)
		}
	}
}

// Nearly valid headers and tables with valid checksums, which bit flips and fuzzing rarely generate.
func TestDecode_forgedTables(t *testing.T) {
	le := binary.LittleEndian
	random := rand.New(rand.NewPCG(3, 4))
	interesting := []uint32{0, 1, 2, 3, 4, 6, 10, 11, 12, 13, 18, 24, 64, 65, 96, 128, 4096, 4097, 1 << 16, 1 << 30, 1 << 31, math.MaxUint32 - 63, math.MaxUint32}
	all := append(forms(t), forms(t)[1])
	all[len(all)-1].frame = newer(t, 1, []byte("unknown"))
	reached := map[error]int{}
	for range 100_000 {
		f := all[random.IntN(len(all))]
		frame := slices.Clone(f.frame)
		end := headerBytes + int(frame[7])*entryBytes
		for range 1 + random.IntN(3) {
			at := 4 * random.IntN(end/4)
			switch random.IntN(4) {
			case 0:
				le.PutUint32(frame[at:], interesting[random.IntN(len(interesting))])
			case 1:
				frame[at+random.IntN(4)] = byte(interesting[random.IntN(len(interesting))])
			case 2: // Another number of the table, plus -1 to 1.
				le.PutUint32(frame[at:], le.Uint32(frame[4*random.IntN(end/4):])+uint32(random.IntN(3)-1))
			case 3: // Two entries swapped.
				a, b := headerBytes+entryBytes*random.IntN(end/entryBytes-1), headerBytes+entryBytes*random.IntN(end/entryBytes-1)
				for i := range entryBytes {
					frame[a+i], frame[b+i] = frame[b+i], frame[a+i]
				}
			}
		}
		if random.IntN(8) == 0 {
			frame = frame[:random.IntN(len(frame)+1)]
		}
		if len(frame) >= headerBytes && random.IntN(16) != 0 {
			le.PutUint32(frame[8:], uint32(len(frame)))
			updateChecksums(frame)
		}
		got, err := f.reencode(frame[:len(frame):len(frame)])
		reached[err]++
		switch {
		case err != nil && !isRejectReason(err):
			t.Fatalf("% x: error = %v, want a RejectReason", frame, err)
		case err == nil && frame[5] == Minor && !bytes.Equal(got, frame):
			t.Fatalf("% x encodes to % x", frame, got)
		}
	}
	for _, reason := range append([]RejectReason{""}, RejectReasons()...) {
		var err error
		if reason != "" {
			err = reason
		}
		if reached[err] == 0 && reason != RejectValue { // Not in the table.
			t.Errorf("no frame with reason %q: %v", reason, reached)
		}
	}
}

// fuzz checks that a decoded frame encodes to the same bytes, except for frames of a newer minor version.
func fuzz(f *testing.F, want kind, reencode func([]byte) ([]byte, error)) {
	for _, form := range forms(f) {
		f.Add(form.frame)
		f.Add(form.frame[:headerBytes])
	}
	f.Add(newer(f, 1, []byte("unknown")))
	f.Add([]byte(nil))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, frame []byte) {
		// A random frame rarely passes the checks of the header and the checksums. It is tested with valid ones too.
		valid := slices.Clone(frame)
		if len(valid) >= headerBytes {
			copy(valid, magic)
			valid[4], valid[6] = Major, byte(want)
			binary.LittleEndian.PutUint32(valid[8:], uint32(len(valid)))
			updateChecksums(valid)
		}
		for _, frame := range [][]byte{frame, valid} {
			before := slices.Clone(frame)
			got, err := reencode(frame)
			switch {
			case err != nil && !isRejectReason(err):
				t.Errorf("error = %v, want a RejectReason", err)
			case err == nil && frame[5] == Minor && !bytes.Equal(got, frame):
				t.Errorf("encodes to % x, was % x", got, frame)
			case !bytes.Equal(frame, before):
				t.Errorf("decoding changed the frame to % x, was % x", frame, before)
			}
		}
	})
}

func FuzzDecodeObservation(f *testing.F) { fuzz(f, kindObservation, forms(f)[0].reencode) }

func FuzzDecodeJointCommand(f *testing.F) { fuzz(f, kindCommand, forms(f)[2].reencode) }

func FuzzDecodeNavigationCommand(f *testing.F) { fuzz(f, kindNavigation, forms(f)[4].reencode) }

func FuzzDecodeControlRequest(f *testing.F) { fuzz(f, kindRequest, forms(f)[5].reencode) }

func FuzzDecodeControlReply(f *testing.F) { fuzz(f, kindReply, forms(f)[6].reencode) }
