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

// observationMetadata is the JSON of an observation. Each field must be there once; others are passed over.
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

// commandMetadata is the JSON of a joint command; likewise.
type commandMetadata struct {
	Positions              *array `json:"joint_positions"`
	TimestampNs            *int64 `json:"timestamp_ns"`
	ObservationTimestampNs *int64 `json:"observation_timestamp_ns"`
}

// array is what the metadata says of an array.
type array struct {
	Shape []int64 `json:"shape"`
	DType *string `json:"dtype"`
}

// is says whether an array is of that type and shape.
func (a *array) is(dtype string, shape ...int64) bool {
	return *a.DType == dtype && slices.Equal(a.Shape, shape)
}

// joints returns the number of joints of an array of positions.
func (a *array) joints() (int, error) {
	if *a.DType != float32Type || len(a.Shape) != 1 || a.Shape[0] < 1 || a.Shape[0] > robot.MaxJoints {
		return 0, Shape
	}
	return int(a.Shape[0]), nil
}

func parseObservation(b []byte) (m observationMetadata, err error) {
	if err := unmarshal(b, &m); err != nil {
		return m, err
	}
	if !present(m.Positions, m.RGB1, m.RGB2, m.Depth, m.Confidence) || m.Height == nil || m.Width == nil || m.TimestampNs == nil {
		return m, Metadata
	}
	return m, nil
}

func parseCommand(b []byte) (m commandMetadata, err error) {
	if err := unmarshal(b, &m); err != nil {
		return m, err
	}
	if !present(m.Positions) || m.TimestampNs == nil || m.ObservationTimestampNs == nil {
		return m, Metadata
	}
	return m, nil
}

// unmarshal reads JSON as version 2 of encoding/json does: a name counts once and in its own case.
func unmarshal(b []byte, into any) error {
	if len(b) > MaxMetadataBytes {
		return Metadata
	}
	if err := json.Unmarshal(b, into); err != nil {
		return Metadata
	}
	return nil
}

func present(arrays ...*array) bool {
	for _, a := range arrays {
		if a == nil || a.Shape == nil || a.DType == nil {
			return false
		}
	}
	return true
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
