package wire

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

func TestDecodeControl_malformed(t *testing.T) {
	const entryState, entryReason, bodyStatus, bodyState = 128, 320, 384, 448
	for _, tt := range []struct {
		name   string
		form   string
		change func([]byte)
		want   RejectReason
	}{
		{"reply", "control_request", set8(6, 5), RejectKind},
		{"joint command", "control_request", set8(6, 2), RejectKind},
		{"unknown kind", "control_request", set8(6, 6), RejectKind},
		{"answered observation in a request", "control_request", set8(48, 1), RejectReserved},
		{"two operations", "control_request", set32(64+16, 2), RejectShape},
		{"no operation value", "control_request", set32(64+16, 0), RejectShape},
		{"operation as f64", "control_request", set8(64+2, 3), RejectShape},
		{"operation missing", "control_request", set8(64, 65), RejectSection},
		{"unknown operation", "control_request", set8(128, 255), ""},
		{"request", "control_reply_rejected", set8(6, 4), RejectKind},
		{"state missing", "control_reply_rejected", set8(entryState, 79), RejectSection},
		{"state empty", "control_reply_rejected", set32(entryState+16, 0), RejectShape},
		{"state of 65 bytes", "control_reply_rejected", set32(entryState+16, 65), RejectShape},
		{"reason of 257 bytes", "control_reply_rejected", set32(entryReason+16, 257), RejectShape},
		{"bell in state", "control_reply_rejected", set8(bodyState, 7), RejectValue},
		{"delete in state", "control_reply_rejected", set8(bodyState, 127), RejectValue},
		{"non-ASCII state", "control_reply_rejected", set8(bodyState, 0xe4), RejectValue},
		{"padding after status", "control_reply_rejected", set8(bodyStatus+1, 1), RejectReserved},
		{"unknown status", "control_reply_rejected", set8(bodyStatus, 255), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			forms := forms(t)
			f := forms[slices.IndexFunc(forms, func(f form) bool { return f.name == tt.form })]
			tt.change(f.frame)
			updateChecksums(f.frame)
			err := f.decode(f.frame)
			if tt.want == "" && err != nil || tt.want != "" && err != tt.want {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
	got := *reply()
	if err := DecodeControlReply(&got, nil); err != RejectShort || got != *reply() {
		t.Errorf("rejected reply = %+v, %v, want it unchanged", got, err)
	}
}

// Offsets of entries in the frame of full.
const (
	entryPosition     = 64
	entryVelocity     = 128
	entryEffort       = 192
	entryIMU          = 256
	entryContacts     = 320
	entryBaseVelocity = 384
	entryRGB1         = 448
	entryDepth        = 576
	entryConfidence   = 640
)

// set8 and set32 return changes of a frame; all returns several changes as one.
func set8(offset int, v byte) func([]byte) { return func(b []byte) { b[offset] = v } }

func set32(offset int, v uint32) func([]byte) {
	return func(b []byte) { binary.LittleEndian.PutUint32(b[offset:], v) }
}

func all(changes ...func([]byte)) func([]byte) {
	return func(b []byte) {
		for _, change := range changes {
			change(b)
		}
	}
}

// Changes of the frame of full(2, 3). The checksums are updated after the change, so that frames are rejected for other reasons.
var malformedObservations = []struct {
	name   string
	change func([]byte)
	want   RejectReason
}{
	{"magic", set8(0, 'X'), RejectMagic},
	{"version 1", set8(4, 1), RejectVersion},
	{"version 3", set8(4, 3), RejectVersion},
	{"other kind", set8(6, 2), RejectKind},
	{"kind 0", set8(6, 0), RejectKind},
	{"length of 100 MB", set32(8, 100e6), RejectLength},
	{"length of 2^32-1", set32(8, math.MaxUint32), RejectLength},
	{"length of 0", set32(8, 0), RejectLength},
	{"33 sections", set8(7, 33), RejectSection},
	{"255 sections", set8(7, 255), RejectSection},
	{"no sections", set8(7, 0), RejectSection},
	{"one section fewer", set8(7, 9), RejectLayout},
	{"answered observation", set8(48, 1), RejectReserved},
	{"reserved header field", set8(63, 1), RejectReserved},
	{"unknown section", set8(entryPosition, 0), RejectSection},
	{"duplicate section", set8(entryVelocity, 1), RejectSection},
	{"sections out of order", all(set8(entryVelocity, 3), set8(entryEffort, 2)), RejectSection},
	{"required section missing", set8(entryPosition, 2), RejectSection},
	{"unknown section after images", set8(entryConfidence, 20), RejectSection},
	{"positions as f32", set8(entryPosition+2, 2), RejectShape},
	{"elements of type 0", set8(entryPosition+2, 0), RejectShape},
	{"elements of type 255", set8(entryPosition+2, 255), RejectShape},
	{"rank 0", set8(entryPosition+3, 0), RejectShape},
	{"rank 255", set8(entryPosition+3, 255), RejectShape},
	{"2^32-1 joints", set32(entryPosition+16, math.MaxUint32), RejectShape},
	{"65 joints", set32(entryPosition+16, robot.MaxJoints+1), RejectShape},
	{"one joint fewer", set32(entryPosition+16, 11), RejectShape},
	{"second dimension", set32(entryPosition+20, 1), RejectShape},
	{"IMU of 9 values", set32(entryIMU+16, 9), RejectShape},
	{"33 feet", set32(entryContacts+16, robot.MaxFeet+1), RejectShape},
	{"image of 0 rows", set32(entryRGB1+16, 0), RejectShape},
	{"image of 2^32-1 rows", set32(entryRGB1+16, math.MaxUint32), RejectShape},
	{"image size overflow", all(set32(entryDepth+16, math.MaxUint32), set32(entryDepth+20, math.MaxUint32)), RejectShape},
	{"image size 0 modulo 2^64", all(set32(entryRGB1+16, 1<<31), set32(entryRGB1+20, 1<<31), set32(entryRGB1+24, 4)), RejectShape},
	{"too many pixels", all(set32(entryDepth+16, 4096), set32(entryDepth+20, 4096)), RejectShape},
	{"image of 4 channels", set32(entryRGB1+24, 4), RejectShape},
	{"image size mismatch", set32(entryRGB1+16, 3), RejectShape},
	{"image rows and columns swapped", all(set32(entryRGB1+16, 3), set32(entryRGB1+20, 2)), ""},
	{"section of 100 MB", set32(entryPosition+8, 100e6), RejectLayout},
	{"section of 2^32-1 bytes", set32(entryPosition+8, math.MaxUint32), RejectLayout},
	{"section one byte shorter", set32(entryConfidence+8, 23), RejectShape},
	{"section not aligned", set32(entryPosition+4, 705), RejectLayout},
	{"section in header", set32(entryPosition+4, 0), RejectLayout},
	{"section beyond frame", set32(entryPosition+4, math.MaxUint32-63), RejectLayout},
	{"gap before section", set32(entryVelocity+4, 896), RejectLayout},
	{"sections overlap", set32(entryVelocity+4, 704), RejectLayout},
	{"padding between sections", set8(704+96, 1), RejectReserved},
	{"reserved entry field", set8(entryPosition+28, 1), RejectReserved},
	{"last entry field", set8(entryRGB1+63, 1), RejectReserved},
	{"stamp of joints", set8(entryPosition+32, 1), RejectReserved},
	{"checksum of image", set8(entryRGB1+12, 1), RejectReserved},
	{"contact of 2", set8(1216, 2), RejectValue},
	{"contact of 255", set8(1219, 255), RejectValue},
}

func TestDecodeObservation_malformed(t *testing.T) {
	le := binary.LittleEndian
	for _, tt := range malformedObservations {
		t.Run(tt.name, func(t *testing.T) {
			frame := encodeObservation(t, full(2, 3))
			tt.change(frame)
			updateChecksums(frame)
			checkReject(t, frame, tt.want)
		})
	}
	t.Run("length mismatch", func(t *testing.T) {
		// Velocities of 11 joints at the place of 12.
		frame := encodeObservation(t, full(2, 3))
		le.PutUint32(frame[entryVelocity+8:], 88)
		le.PutUint32(frame[entryVelocity+16:], 11)
		clear(frame[832+88 : 832+96])
		updateChecksums(frame)
		checkReject(t, frame, RejectShape)
	})
	for name, change := range map[string]func([]byte) []byte{
		"trailing byte": func(b []byte) []byte { return append(b, 0) },
		"trailing byte in length": func(b []byte) []byte {
			b = append(b, 0)
			le.PutUint32(b[8:], uint32(len(b)))
			updateChecksums(b)
			return b
		},
		"100 MB": func(b []byte) []byte { return append(b, make([]byte, 100e6)...) },
		"100 MB in length": func(b []byte) []byte {
			b = append(b, make([]byte, 100e6)...)
			le.PutUint32(b[8:], uint32(len(b)))
			updateChecksums(b)
			return b
		},
	} {
		t.Run(name, func(t *testing.T) { checkReject(t, change(encodeObservation(t, full(2, 3))), RejectLength) })
	}
	for name, tt := range map[string]struct {
		frame []byte
		want  RejectReason
	}{
		"empty":                    {nil, RejectShort},
		"half of magic":            {[]byte("KR"), RejectShort},
		"header without last byte": {encodeObservation(t, full(2, 3))[:63], RejectShort},
		"other data":               {[]byte("observation"), RejectMagic},
		"header without table":     {encodeObservation(t, full(2, 3))[:64], RejectLength},
	} {
		t.Run(name, func(t *testing.T) { checkReject(t, tt.frame, tt.want) })
	}
}

// updateChecksums is setChecksums for frames that may be malformed: it sets the checksums of sections that it finds.
func updateChecksums(frame []byte) {
	le := binary.LittleEndian
	end := headerBytes + int(frame[7])*entryBytes
	for at := headerBytes; at < end && at+entryBytes <= len(frame); at += entryBytes {
		offset, length := uint64(le.Uint32(frame[at+4:])), uint64(le.Uint32(frame[at+8:]))
		if id := le.Uint16(frame[at:]); (id < 16 || id > 19) && offset+length <= uint64(len(frame)) {
			le.PutUint32(frame[at+12:], crc32.Checksum(frame[offset:offset+length], castagnoli))
		}
	}
	if end <= len(frame) {
		le.PutUint32(frame[12:], headerChecksum(frame[:end]))
	}
}

// checkReject checks that DecodeObservation rejects frame without changing the message. A want of "" means no error.
func checkReject(t *testing.T, frame []byte, want RejectReason) {
	t.Helper()
	got := full(1, 1)
	err := DecodeObservation(got, frame)
	if want == "" {
		if err != nil {
			t.Errorf("error = %v, want none", err)
		}
		return
	}
	if err != want {
		t.Errorf("error = %v, want %q", err, want)
	}
	if !same(got, full(1, 1)) {
		t.Error("a rejected frame changed the observation")
	}
}

func TestDecodeJointCommand_lengthMismatch(t *testing.T) {
	le := binary.LittleEndian
	frame := encodeCommand(t, fullCommand(12))
	le.PutUint32(frame[256+8:], 80) // Feed-forward: the last section.
	le.PutUint32(frame[256+16:], 10)
	le.PutUint32(frame[8:], uint32(len(frame)-16))
	frame = frame[:len(frame)-16]
	setChecksums(frame)
	if err := DecodeJointCommand(&message.JointCommand{}, frame); err != RejectShape {
		t.Errorf("short feed-forward: error = %v, want RejectShape", err)
	}
	frame = encodeCommand(t, command(0))
	frame = slices.Insert(frame, len(frame), frame[192:256]...)
	frame[7], frame[256] = 4, 35
	for i := range 4 {
		le.PutUint32(frame[64+64*i+4:], 320)
	}
	le.PutUint32(frame[8:], 320)
	setChecksums(frame)
	if err := DecodeJointCommand(&message.JointCommand{}, frame); err != RejectShape {
		t.Errorf("feed-forward without joints: error = %v, want RejectShape", err)
	}
}

// newer returns the frame of full(2, 3) with two unknown sections, like one of a later minor version.
func newer(t testing.TB, minor byte, body []byte) []byte {
	t.Helper()
	le := binary.LittleEndian
	old := encodeObservation(t, full(2, 3))
	frame := slices.Clone(old[:headerBytes])
	add := func(id uint16, from []byte) {
		entry := make([]byte, entryBytes)
		copy(entry, from)
		le.PutUint16(entry, id)
		frame = append(frame, entry...)
	}
	unknown := make([]byte, entryBytes)
	unknown[2], unknown[3] = 9, 200 // Unknown type and rank.
	le.PutUint32(unknown[8:], uint32(len(body)))
	for i := range 10 {
		entry := old[headerBytes+i*entryBytes:][:entryBytes]
		id := le.Uint16(entry)
		add(id, entry)
		if id == 6 {
			add(7, unknown)
		}
	}
	add(math.MaxUint16, unknown)
	frame[5], frame[7] = minor, 12
	from := headerBytes + 10*entryBytes
	at := len(frame)
	for i := range 12 {
		entry := frame[headerBytes+i*entryBytes:][:entryBytes]
		length := int(le.Uint32(entry[8:]))
		content := body
		if id := le.Uint16(entry); id != 7 && id != math.MaxUint16 {
			content = old[from:][:length]
			from = int(align(uint64(from + length)))
		}
		at = int(align(uint64(at)))
		le.PutUint32(entry[4:], uint32(at))
		at += length
		frame = append(pad(frame, 0), content...)
	}
	le.PutUint32(frame[8:], uint32(len(frame)))
	le.PutUint32(frame[12:], headerChecksum(frame[:headerBytes+12*entryBytes]))
	return frame
}

func TestDecodeObservation_unknownSections(t *testing.T) {
	for _, body := range []string{"", "x", "an unknown section of any length, without a checksum"} {
		var o message.Observation
		if err := DecodeObservation(&o, newer(t, 1, []byte(body))); err != nil || !same(&o, full(2, 3)) {
			t.Errorf("minor version 1: observation = %+v, %v, want %+v", o, err, full(2, 3))
		}
		if err := DecodeObservation(&o, newer(t, 0, []byte(body))); err != RejectSection {
			t.Errorf("minor version 0: error = %v, want RejectSection", err)
		}
	}
	frame := newer(t, 200, []byte("x"))
	for n := range frame {
		if err := DecodeObservation(&message.Observation{}, frame[:n:n]); !isRejectReason(err) {
			t.Errorf("%d bytes of a newer frame: error = %v, want a RejectReason", n, err)
		}
	}
	frame[headerBytes+6*entryBytes+8] = 200 // Length of the unknown section.
	binary.LittleEndian.PutUint32(frame[12:], headerChecksum(frame[:headerBytes+12*entryBytes]))
	if err := DecodeObservation(&message.Observation{}, frame); err != RejectLayout {
		t.Errorf("overlapping unknown section: error = %v, want RejectLayout", err)
	}
}

func isRejectReason(err error) bool {
	reason, ok := err.(RejectReason)
	return ok && slices.Contains(RejectReasons(), reason)
}

func TestRejectReasons(t *testing.T) {
	seen := map[RejectReason]bool{}
	for _, c := range RejectReasons() {
		if seen[c] || strings.ToLower(string(c)) != string(c) || strings.ContainsAny(string(c), " -") || c.Error() != "malformed frame: "+string(c) {
			t.Errorf("reason %q, error %q", c, c.Error())
		}
		seen[c] = true
	}
}
