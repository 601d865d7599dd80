package v1

import (
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"

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

// observationMetadata is the JSON of an observation. Each field is required once; unknown fields are ignored.
type observationMetadata struct {
	Positions   *array `json:"joint_positions"`
	RGB1        *array `json:"rgb_camera_1"`
	RGB2        *array `json:"rgb_camera_2"`
	Depth       *array `json:"depth_map"`
	Confidence  *array `json:"confidence_map"`
	Height      *int64 `json:"camera_height"`
	Width       *int64 `json:"camera_width"`
	TimestampNs *int64 `json:"timestamp_ns"`
}

// commandMetadata is the JSON of a joint command, with the same rules.
type commandMetadata struct {
	Positions              *array `json:"joint_positions"`
	TimestampNs            *int64 `json:"timestamp_ns"`
	ObservationTimestampNs *int64 `json:"observation_timestamp_ns"`
}

// array is the metadata of an array.
type array struct {
	Shape []int64 `json:"shape"`
	DType *string `json:"dtype"`
}

// is reports whether the array has the type and shape.
func (a *array) is(dtype string, shape ...int64) bool {
	return *a.DType == dtype && slices.Equal(a.Shape, shape)
}

// joints returns the number of joints in an array of positions.
func (a *array) joints() (int, error) {
	if *a.DType != float32Type || len(a.Shape) != 1 || a.Shape[0] < 1 || a.Shape[0] > robot.MaxJoints {
		return 0, RejectShape
	}
	return int(a.Shape[0]), nil
}

func parseObservation(b []byte) (m observationMetadata, err error) {
	if err := unmarshal(b, &m); err != nil {
		return m, err
	}
	if !present(m.Positions, m.RGB1, m.RGB2, m.Depth, m.Confidence) || m.Height == nil || m.Width == nil || m.TimestampNs == nil {
		return m, RejectMetadata
	}
	return m, nil
}

func parseCommand(b []byte) (m commandMetadata, err error) {
	if err := unmarshal(b, &m); err != nil {
		return m, err
	}
	if !present(m.Positions) || m.TimestampNs == nil || m.ObservationTimestampNs == nil {
		return m, RejectMetadata
	}
	return m, nil
}

// unmarshal decodes JSON. Duplicate names are an error, and names are case-sensitive.
func unmarshal(b []byte, into any) error {
	if len(b) > MaxMetadataBytes {
		return RejectMetadata
	}
	if err := json.Unmarshal(b, into); err != nil {
		return RejectMetadata
	}
	return nil
}

// present reports whether all arrays are complete.
func present(arrays ...*array) bool {
	for _, a := range arrays {
		if a == nil || a.Shape == nil || a.DType == nil {
			return false
		}
	}
	return true
}

// appendName appends the name of a field, with the spaces of Python's json module.
func appendName(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ", "...)
	}
	b = append(b, '"')
	b = append(b, name...)
	return append(b, `": `...)
}

// appendArray appends the metadata of an array.
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

// appendInteger appends a field with a number.
func appendInteger(b []byte, name string, v int64) []byte {
	return strconv.AppendInt(appendName(b, name), v, 10)
}

// appendEnd ends the object.
func appendEnd(b []byte) []byte { return append(b, '}') }
