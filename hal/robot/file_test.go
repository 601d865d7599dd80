package robot

import (
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "update the golden files")

// asFile returns r as the content of a file.
func asFile(t *testing.T, r *Robot) []byte {
	t.Helper()
	content, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestLoad_golden(t *testing.T) {
	for _, name := range Names() {
		want, err := ByName(name)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name+".json")
		if *update {
			if err := os.WriteFile(path, asFile(t, want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := Load(path)
		if err != nil {
			t.Errorf("%v; update with go test ./hal/robot -update", err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s = %+v, want %+v; update with go test ./hal/robot -update", path, got, want)
		}
	}
}

// setJoint and without change a field of the first joint; set changes a field of the file.
func setJoint(field string, value any) func(map[string]any) {
	return func(f map[string]any) { f["joints"].([]any)[0].(map[string]any)[field] = value }
}

func without(field string) func(map[string]any) {
	return func(f map[string]any) { delete(f["joints"].([]any)[0].(map[string]any), field) }
}

func set(field string, value any) func(map[string]any) {
	return func(f map[string]any) { f[field] = value }
}

var invalidFields = []struct {
	name   string
	change func(map[string]any)
	want   string // After the name of the file.
}{
	{"unknown field", set("color", "red"), "color: unknown field in schema version 1"},
	{"unknown field of a joint", setJoint("ratio", 6), "ratio: unknown field in schema version 1"},
	{"wrong type", set("name", 3), "name: found a JSON number, expected a value of type string"},
	{"number as string", setJoint("kp", "40"), "joints.kp: found a JSON string, expected a value of type float64"},
	{"number out of range", setJoint("kp", json.RawMessage("1e999")), "joints.kp: found a JSON number 1e999, expected a value of type float64"},
	{"unknown schema version", set("schema_version", 2), "schema_version: found 2, expected 1"},
	{"schema version missing", set("schema_version", nil), "schema_version: found 0, expected 1"},
	{"name empty", set("name", ""), `name: found "", expected 1 to 64 lower case letters, digits and _`},
	{"path as name", set("name", "../go2"), `name: found "../go2", expected 1 to 64 lower case letters, digits and _`},
	{"no joints", set("joints", []any{}), "joints: found 0, expected 1 to 64"},
	{"too many joints", set("joints", make([]any, MaxJoints+1)), "joints: found 65, expected 1 to 64"},
	{"feet missing", set("feet", nil), "feet: found 0, expected a list of 0 to 32"},
	{"too many feet", set("feet", make([]any, MaxFeet+1)), "feet: found 33, expected a list of 0 to 32"},
	{"foot name empty", set("feet", []any{"FL", ""}), `feet[1]: found "", expected 1 to 64 letters, digits and _`},
	{"duplicate foot", set("feet", []any{"FL", "FL"}), `feet[1]: duplicate foot "FL"`},
	{"joint name empty", setJoint("name", ""), `joints[0].name: found "", expected 1 to 64 letters, digits and _`},
	{"duplicate joint", func(f map[string]any) {
		f["joints"].([]any)[1].(map[string]any)["name"] = "FL_hip_joint"
	}, `joints[1].name: duplicate joint "FL_hip_joint"`},
	{"lower limit missing", without("lower_rad"), "joints[0].lower_rad: not found, expected -100 to 100"},
	{"lower limit out of bounds", setJoint("lower_rad", -101), "joints[0].lower_rad: found -101, expected -100 to 100"},
	{"upper limit missing", without("upper_rad"), "joints[0].upper_rad: not found, expected more than lower_rad, at most 100"},
	{"upper limit below lower limit", setJoint("upper_rad", -2), "joints[0].upper_rad: found -2, expected more than lower_rad, at most 100"},
	{"upper limit out of bounds", setJoint("upper_rad", 101), "joints[0].upper_rad: found 101, expected more than lower_rad, at most 100"},
	{"velocity missing", without("velocity_limit_rad_per_sec"), "joints[0].velocity_limit_rad_per_sec: not found, expected more than 0, at most 1000"},
	{"zero velocity", setJoint("velocity_limit_rad_per_sec", 0), "joints[0].velocity_limit_rad_per_sec: found 0, expected more than 0, at most 1000"},
	{"velocity out of bounds", setJoint("velocity_limit_rad_per_sec", 1001), "joints[0].velocity_limit_rad_per_sec: found 1001, expected more than 0, at most 1000"},
	{"effort missing", without("effort_limit_nm"), "joints[0].effort_limit_nm: not found, expected more than 0, at most 100000"},
	{"negative effort", setJoint("effort_limit_nm", -1), "joints[0].effort_limit_nm: found -1, expected more than 0, at most 100000"},
	{"default missing", without("default_rad"), "joints[0].default_rad: not found, expected lower_rad to upper_rad"},
	{"default outside range", setJoint("default_rad", 1.1), "joints[0].default_rad: found 1.1, expected lower_rad to upper_rad"},
	{"null kp", setJoint("kp", nil), "joints[0].kp: not found, expected more than 0, at most 100000"},
	{"kp out of bounds", setJoint("kp", 100_001), "joints[0].kp: found 100001, expected more than 0, at most 100000"},
	{"kd missing", without("kd"), "joints[0].kd: not found, expected more than 0, at most 100000"},
	{"zero kd", setJoint("kd", 0), "joints[0].kd: found 0, expected more than 0, at most 100000"},
	{"order name empty", set("orders", map[string]any{"": []any{}}), `orders: found "", expected names of 1 to 64 lower case letters, digits and _`},
	{"order with a joint missing", set("orders", map[string]any{"sdk": []any{"FL_hip_joint"}}), `orders.sdk: joint "FL_thigh_joint" not found`},
	{"order with a duplicate joint", set("orders", map[string]any{"sdk": []any{"FL_hip_joint", "FL_hip_joint"}}), `orders.sdk: duplicate joint "FL_hip_joint"`},
	{"order with an unknown joint", set("orders", map[string]any{"sdk": []any{"tail"}}), `orders.sdk: unknown joint "tail"`},
}

func TestLoad_invalidField(t *testing.T) {
	for _, tt := range invalidFields {
		t.Run(tt.name, func(t *testing.T) {
			var f map[string]any
			if err := json.Unmarshal(asFile(t, Go2()), &f); err != nil {
				t.Fatal(err)
			}
			tt.change(f)
			content, err := json.Marshal(f)
			if err != nil {
				t.Fatal(err)
			}
			checkFileError(t, content, ": "+tt.want)
		})
	}
}

func TestLoad_invalidFile(t *testing.T) {
	for name, tt := range map[string]struct{ content, want string }{
		"empty":       {"", ": invalid JSON: EOF"},
		"truncated":   {`{"name": `, ": invalid JSON: unexpected EOF"},
		"two objects": {string(asFile(t, Go2())) + "{}", ": trailing data after the JSON object"},
		"too large":   {strings.Repeat(" ", MaxFileBytes+1), ": larger than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) { checkFileError(t, []byte(tt.content), tt.want) })
	}
}

func checkFileError(t *testing.T, content []byte, want string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "robot.json")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := Load(path)
	var fileErr *FileError
	if r != nil || !errors.As(err, &fileErr) || err.Error() != "robot "+path+want {
		t.Errorf("Load = %v, %v, want a *FileError %q", r, err, "robot "+path+want)
	}
}

func TestLoad_fileNotFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.json")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("Load = %v, want fs.ErrNotExist with %s", err, path)
	}
}

func TestOrder_builtIn(t *testing.T) {
	for _, name := range Names() {
		r, err := ByName(name)
		if err != nil {
			t.Fatal(err)
		}
		for order := range r.Orders {
			m, err := r.Order(order)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			sorted := slices.Sorted(slices.Values(m))
			for i := range r.Joints {
				if len(sorted) != len(r.Joints) || sorted[i] != i {
					t.Errorf("%s %s: %v is no permutation of %d joints", name, order, m, len(r.Joints))
					break
				}
			}
			values, gathered, scattered := make([]float64, len(m)), make([]float64, len(m)), make([]float64, len(m))
			for i := range values {
				values[i] = float64(i) + 0.5
			}
			m.Gather(gathered, values)
			m.Scatter(scattered, gathered)
			if !slices.Equal(scattered, values) || slices.Equal(gathered, values) {
				t.Errorf("%s %s: Gather = %v, Scatter of it = %v, want %v", name, order, gathered, scattered, values)
			}
			for i, joint := range r.Orders[order] {
				if r.Joints[m[i]].Name != joint {
					t.Errorf("%s %s: joint %d = %s, want %s", name, order, i, r.Joints[m[i]].Name, joint)
				}
			}
		}
	}
}

func TestOrder(t *testing.T) {
	for _, tt := range []struct {
		robot *Robot
		order string
		want  JointIndices
	}{
		// The inverse is the documented permutation of a policy: its leg-major order is [0,4,8,1,5,9,2,6,10,3,7,11].
		{Go2(), "type_major", JointIndices{0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11}},
		{Go2(), "sdk", JointIndices{3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8}},
		{Go1(), "type_major", JointIndices{0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11}},
		{Hex(), "type_major", JointIndices{0, 3, 6, 9, 12, 15, 1, 4, 7, 10, 13, 16, 2, 5, 8, 11, 14, 17}},
		{Hex(), "boards", JointIndices{0, 3, 1, 2, 4, 5, 6, 9, 7, 8, 10, 11, 12, 15, 13, 14, 16, 17}},
	} {
		if got, err := tt.robot.Order(tt.order); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s %s = %v, %v, want %v", tt.robot.Name, tt.order, got, err, tt.want)
		}
	}
	m, err := Go2().Order("type_major")
	if err != nil {
		t.Fatal(err)
	}
	legMajor := make([]float64, 12)
	m.Scatter(legMajor, []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
	if want := []float64{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11}; !slices.Equal(legMajor, want) {
		t.Errorf("type-major values in leg-major order = %v, want %v", legMajor, want)
	}
	if _, err := Go2().Order("boards"); err == nil || err.Error() != `robot go2: unknown joint order "boards": expected one of sdk, type_major` {
		t.Errorf("unknown order: error = %v", err)
	}
}

func TestEncode_invalid(t *testing.T) {
	r := Go2()
	r.Kd[3] = 0
	content, err := r.Encode()
	if want := "joints[3].kd: found 0, expected more than 0, at most 100000"; content != nil || err == nil || err.Error() != want {
		t.Errorf("Encode = %d bytes, %v; want no bytes and %q", len(content), err, want)
	}
}
