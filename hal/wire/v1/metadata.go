package v1

import (
	"strconv"
	"unicode/utf8"

	"krabby.dev/krabby/hal/robot"
)

const (
	namePositions            = "joint_positions"
	nameRGB1                 = "rgb_camera_1"
	nameRGB2                 = "rgb_camera_2"
	nameDepth                = "depth_map"
	nameConfidence           = "confidence_map"
	nameHeight               = "camera_height"
	nameWidth                = "camera_width"
	nameTimestamp            = "timestamp_ns"
	nameObservationTimestamp = "observation_timestamp_ns"

	float32Type = "float32"
	uint8Type   = "uint8"
)

// field is a field of the metadata that we know.
type field int

const (
	fieldPositions field = iota
	fieldRGB1
	fieldRGB2
	fieldDepth
	fieldConfidence
	fieldHeight
	fieldWidth
	fieldTimestamp
	fieldObservationTimestamp
	fields
)

// set is a set of fields.
type set uint

const (
	arrayFields   = set(1<<fieldPositions | 1<<fieldRGB1 | 1<<fieldRGB2 | 1<<fieldDepth | 1<<fieldConfidence)
	commandFields = set(1<<fieldPositions | 1<<fieldTimestamp | 1<<fieldObservationTimestamp)

	observationFields = arrayFields | set(1<<fieldHeight|1<<fieldWidth|1<<fieldTimestamp)
)

// metadata is the JSON of a message. An array's dtype is "" where it is none that we know.
type metadata struct {
	found    set
	integers [fields]int64
	arrays   [fields]array
}

type array struct {
	dtype string
	rank  int
	shape [3]int64
}

func (m *metadata) integer(f field) int64 { return m.integers[f] }

// is says whether an array is of that type and shape.
func (m *metadata) is(f field, dtype string, shape ...int64) bool {
	a := &m.arrays[f]
	if a.dtype != dtype || a.rank != len(shape) {
		return false
	}
	for i, n := range shape {
		if a.shape[i] != n {
			return false
		}
	}
	return true
}

// positions returns the number of joints.
func (m *metadata) positions() (int, error) {
	a := &m.arrays[fieldPositions]
	if a.dtype != float32Type || a.rank != 1 || a.shape[0] < 1 || a.shape[0] > robot.MaxJoints {
		return 0, Shape
	}
	return int(a.shape[0]), nil
}

func fieldOf(name []byte) (field, bool) {
	switch string(name) {
	case namePositions:
		return fieldPositions, true
	case nameRGB1:
		return fieldRGB1, true
	case nameRGB2:
		return fieldRGB2, true
	case nameDepth:
		return fieldDepth, true
	case nameConfidence:
		return fieldConfidence, true
	case nameHeight:
		return fieldHeight, true
	case nameWidth:
		return fieldWidth, true
	case nameTimestamp:
		return fieldTimestamp, true
	case nameObservationTimestamp:
		return fieldObservationTimestamp, true
	}
	return 0, false
}

// parseMetadata reads the fields in want, each of which must be there once, and skips others. The error is [Metadata], or
// [Shape] for an array of more than 3 dimensions or of elements that we do not know.
//
// It reads JSON by itself because encoding/json would allocate for each message, take the last of two fields of one name
// and fields in any case.
func parseMetadata(b []byte, want set) (m metadata, err error) {
	if len(b) > MaxMetadataBytes {
		return m, Metadata
	}
	r := reader{rest: b}
	tooLarge := false
	r.object(func(name []byte) {
		f, known := fieldOf(name)
		switch {
		case !known || want&(1<<f) == 0:
			r.skip(maxDepth)
			return
		case m.found&(1<<f) != 0:
			r.failed = true
			return
		case arrayFields&(1<<f) == 0:
			m.integers[f] = r.integer()
		default:
			m.arrays[f] = r.array(&tooLarge)
		}
		m.found |= 1 << f
	})
	r.space()
	switch {
	case r.failed || len(r.rest) != 0 || m.found != want:
		return metadata{}, Metadata
	case tooLarge:
		return metadata{}, Shape
	}
	return m, nil
}

// maxDepth bounds how deep what is skipped may be nested.
const maxDepth = 8

// reader reads JSON from the start of rest. Once it has failed it stays where it is.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) space() {
	for len(r.rest) > 0 && (r.rest[0] == ' ' || r.rest[0] == '\t' || r.rest[0] == '\n' || r.rest[0] == '\r') {
		r.rest = r.rest[1:]
	}
}

// next skips space and returns the first byte after it, 0 at the end.
func (r *reader) next() byte {
	r.space()
	if len(r.rest) == 0 {
		return 0
	}
	return r.rest[0]
}

// take reads c, and fails where it is something else.
func (r *reader) take(c byte) {
	if r.failed || r.next() != c || c == 0 {
		r.failed = true
		return
	}
	r.rest = r.rest[1:]
}

// object reads an object and calls value where the value of each name begins.
func (r *reader) object(value func(name []byte)) {
	r.take('{')
	if r.next() == '}' {
		r.take('}')
		return
	}
	for !r.failed {
		name := r.text()
		r.take(':')
		if r.failed {
			return
		}
		value(name)
		if r.failed || r.next() != ',' {
			r.take('}')
			return
		}
		r.take(',')
	}
}

// list reads a list and calls value where each value begins.
func (r *reader) list(value func()) {
	r.take('[')
	if r.next() == ']' {
		r.take(']')
		return
	}
	for !r.failed {
		value()
		if r.failed || r.next() != ',' {
			r.take(']')
			return
		}
		r.take(',')
	}
}

// text reads a string and returns what is between its quotes, as it is: a name that we know has no escapes.
func (r *reader) text() []byte {
	r.take('"')
	for i := 0; !r.failed && i < len(r.rest); i++ {
		switch c := r.rest[i]; {
		case c == '"':
			text := r.rest[:i]
			r.rest = r.rest[i+1:]
			r.failed = !utf8.Valid(text)
			return text
		case c < ' ':
			r.failed = true
			return nil
		case c == '\\':
			n := escape(r.rest[i:])
			if n == 0 {
				r.failed = true
				return nil
			}
			i += n - 1
		}
	}
	r.failed = true
	return nil
}

// escape returns the length of the escape that b begins with, 0 if it is none.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		for _, c := range b[2:6] {
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return 0
			}
		}
		return 6
	}
	return 0
}

// number reads a number and returns it as it is.
func (r *reader) number() []byte {
	r.space()
	b, i := r.rest, 0
	digits := func() bool {
		from := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(b) && b[i] == '-' {
		i++
	}
	zero := i < len(b) && b[i] == '0'
	from := i
	ok := digits() && !(zero && i > from+1)
	if ok && i < len(b) && b[i] == '.' {
		i++
		ok = digits()
	}
	if ok && i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		ok = digits()
	}
	if r.failed || !ok {
		r.failed = true
		return nil
	}
	r.rest = b[i:]
	return b[:i]
}

// integer reads a number that must be a whole one within int64, written without point and exponent.
func (r *reader) integer() int64 {
	b := r.number()
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	var n uint64 // Of a negative number the magnitude, which may be one more.
	const most = 1<<63 - 1
	for _, c := range b {
		if c < '0' || c > '9' || n > most/10 {
			r.failed = true
			return 0
		}
		n = n*10 + uint64(c-'0')
	}
	switch {
	case negative && n <= most+1:
		return -int64(n)
	case !negative && n <= most:
		return int64(n)
	}
	r.failed = true
	return 0
}

// array reads {"shape": [...], "dtype": "..."}. tooLarge becomes true where there are more dimensions than we know.
func (r *reader) array(tooLarge *bool) (a array) {
	shapes, dtypes := 0, 0
	r.object(func(name []byte) {
		switch string(name) {
		case "shape":
			shapes++
			r.list(func() {
				n := r.integer()
				if a.rank == len(a.shape) {
					*tooLarge = true
					return
				}
				a.shape[a.rank] = n
				a.rank++
			})
		case "dtype":
			dtypes++
			switch string(r.text()) {
			case float32Type:
				a.dtype = float32Type
			case uint8Type:
				a.dtype = uint8Type
			}
		default:
			r.skip(maxDepth)
		}
	})
	if shapes != 1 || dtypes != 1 {
		r.failed = true
	}
	return a
}

// skip reads any value whose nesting is at most depth.
func (r *reader) skip(depth int) {
	if depth == 0 {
		r.failed = true
	}
	if r.failed {
		return
	}
	switch r.next() {
	case '{':
		r.object(func([]byte) { r.skip(depth - 1) })
	case '[':
		r.list(func() { r.skip(depth - 1) })
	case '"':
		r.text()
	case 't':
		r.word("true")
	case 'f':
		r.word("false")
	case 'n':
		r.word("null")
	default:
		r.number()
	}
}

func (r *reader) word(w string) {
	if len(r.rest) < len(w) || string(r.rest[:len(w)]) != w {
		r.failed = true
		return
	}
	r.rest = r.rest[len(w):]
}

// What is written has the spaces that Python's json writes by default.

func appendName(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ", "...)
	}
	b = append(b, '"')
	b = append(b, name...)
	return append(b, `": `...)
}

func appendArray(b []byte, name, dtype string, shape ...int) []byte {
	b = append(appendName(b, name), `{"shape": [`...)
	for i, n := range shape {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	b = append(b, `], "dtype": "`...)
	b = append(b, dtype...)
	return append(b, `"}`...)
}

func appendInteger(b []byte, name string, v int64) []byte {
	return strconv.AppendInt(appendName(b, name), v, 10)
}

func end(b []byte) []byte { return append(b, '}') }
