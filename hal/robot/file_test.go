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

var update = flag.Bool("update", false, "write the golden files anew")

// asFile writes r as Load reads it.
func asFile(t *testing.T, r *Robot) []byte {
	t.Helper()
	f := file{SchemaVersion: SchemaVersion, Name: r.Name, Feet: r.Feet, Orders: r.Orders}
	for i, j := range r.Joints {
		f.Joints = append(f.Joints, fileJoint{
			Name: j.Name, LowerRad: &j.LowerRad, UpperRad: &j.UpperRad,
			VelocityLimitRadPerSec: &j.VelocityLimitRadPerSec, EffortLimitNm: &j.EffortLimitNm,
			DefaultRad: &r.DefaultPoseRad[i], Kp: &r.Kp[i], Kd: &r.Kd[i],
		})
	}
	content, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(content, '\n')
}

func TestEveryRobotIsTheOneInItsFile(t *testing.T) {
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
			t.Errorf("%v; go test ./hal/robot -update writes it", err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s = %+v, want %+v; go test ./hal/robot -update writes it", path, got, want)
		}
	}
}

func TestRefusalsNameFileFieldFoundAndExpected(t *testing.T) {
	// set changes a field of the first joint, or of the file.
	joint := func(field string, value any) func(map[string]any) {
		return func(f map[string]any) { f["joints"].([]any)[0].(map[string]any)[field] = value }
	}
	without := func(field string) func(map[string]any) {
		return func(f map[string]any) { delete(f["joints"].([]any)[0].(map[string]any), field) }
	}
	set := func(field string, value any) func(map[string]any) {
		return func(f map[string]any) { f[field] = value }
	}
	many := make([]any, MaxJoints+1)
	feet := make([]any, MaxFeet+1)
	tests := []struct {
		name   string
		change func(map[string]any)
		want   string // After the name of the file.
	}{
		{"an unknown field", set("color", "red"), "color: found an unknown field, expected only the fields of schema version 1"},
		{"an unknown field of a joint", joint("ratio", 6), "ratio: found an unknown field, expected only the fields of schema version 1"},
		{"a field of another type", set("name", 3), "name: found a JSON number, expected a value of type string"},
		{"a number as text", joint("kp", "40"), "joints.kp: found a JSON string, expected a value of type float64"},
		{"a number out of range", joint("kp", json.RawMessage("1e999")), "joints.kp: found a JSON number 1e999, expected a value of type float64"},
		{"another schema", set("schema_version", 2), "schema_version: found 2, expected 1"},
		{"no schema", set("schema_version", nil), "schema_version: found 0, expected 1"},
		{"no name", set("name", ""), `name: found "", expected 1 to 64 lower case letters, digits and _`},
		{"a name with a path in it", set("name", "../go2"), `name: found "../go2", expected 1 to 64 lower case letters, digits and _`},
		{"no joints", set("joints", []any{}), "joints: found 0, expected 1 to 64"},
		{"too many joints", set("joints", many), "joints: found 65, expected 1 to 64"},
		{"no feet", set("feet", nil), "feet: found 0, expected a list of 0 to 32"},
		{"too many feet", set("feet", feet), "feet: found 33, expected a list of 0 to 32"},
		{"a foot without a name", set("feet", []any{"FL", ""}), `feet[1]: found "", expected 1 to 64 letters, digits and _`},
		{"a foot twice", set("feet", []any{"FL", "FL"}), `feet[1]: found "FL" a second time, expected each foot once`},
		{"a joint without a name", joint("name", ""), `joints[0].name: found "", expected 1 to 64 letters, digits and _`},
		{"a joint twice", func(f map[string]any) {
			f["joints"].([]any)[1].(map[string]any)["name"] = "FL_hip_joint"
		}, `joints[1].name: found "FL_hip_joint" a second time, expected each joint once`},
		{"no lower limit", without("lower_rad"), "joints[0].lower_rad: found nothing, expected -100 to 100"},
		{"a lower limit out of bounds", joint("lower_rad", -101), "joints[0].lower_rad: found -101, expected -100 to 100"},
		{"no upper limit", without("upper_rad"), "joints[0].upper_rad: found nothing, expected more than lower_rad, at most 100"},
		{"limits the wrong way round", joint("upper_rad", -2), "joints[0].upper_rad: found -2, expected more than lower_rad, at most 100"},
		{"an upper limit out of bounds", joint("upper_rad", 101), "joints[0].upper_rad: found 101, expected more than lower_rad, at most 100"},
		{"no velocity", without("velocity_limit_rad_per_sec"), "joints[0].velocity_limit_rad_per_sec: found nothing, expected more than 0, at most 1000"},
		{"a velocity of 0", joint("velocity_limit_rad_per_sec", 0), "joints[0].velocity_limit_rad_per_sec: found 0, expected more than 0, at most 1000"},
		{"a huge velocity", joint("velocity_limit_rad_per_sec", 1001), "joints[0].velocity_limit_rad_per_sec: found 1001, expected more than 0, at most 1000"},
		{"no effort", without("effort_limit_nm"), "joints[0].effort_limit_nm: found nothing, expected more than 0, at most 100000"},
		{"a negative effort", joint("effort_limit_nm", -1), "joints[0].effort_limit_nm: found -1, expected more than 0, at most 100000"},
		{"no default", without("default_rad"), "joints[0].default_rad: found nothing, expected lower_rad to upper_rad"},
		{"a default outside the range", joint("default_rad", 1.1), "joints[0].default_rad: found 1.1, expected lower_rad to upper_rad"},
		{"no kp", joint("kp", nil), "joints[0].kp: found nothing, expected more than 0, at most 100000"},
		{"a huge kp", joint("kp", 100_001), "joints[0].kp: found 100001, expected more than 0, at most 100000"},
		{"no kd", without("kd"), "joints[0].kd: found nothing, expected more than 0, at most 100000"},
		{"a kd of 0", joint("kd", 0), "joints[0].kd: found 0, expected more than 0, at most 100000"},
		{"an order without a name", set("orders", map[string]any{"": []any{}}), `orders: found "", expected names of 1 to 64 lower case letters, digits and _`},
		{"an order that misses a joint", set("orders", map[string]any{"sdk": []any{"FL_hip_joint"}}), `orders.sdk: found no "FL_thigh_joint", expected each joint once`},
		{"an order that repeats a joint", set("orders", map[string]any{"sdk": []any{"FL_hip_joint", "FL_hip_joint"}}), `orders.sdk: found "FL_hip_joint" twice, expected each joint once`},
		{"an order of something else", set("orders", map[string]any{"sdk": []any{"tail"}}), `orders.sdk: found "tail", expected the name of a joint`},
	}
	for _, tt := range tests {
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
			checkRefusal(t, content, ": "+tt.want)
		})
	}
}

func TestFilesThatAreNoRobotAreRefused(t *testing.T) {
	for name, tt := range map[string]struct{ content, want string }{
		"an empty file":   {"", ": found no valid JSON (EOF), expected the description of a robot"},
		"half a file":     {`{"name": `, ": found no valid JSON (unexpected EOF), expected the description of a robot"},
		"a second object": {string(asFile(t, Go2())) + "{}", ": found more after the JSON object, expected nothing"},
		"a huge file":     {strings.Repeat(" ", MaxFileBytes+1), ": found more than 1048576 bytes, expected the description of a robot"},
	} {
		t.Run(name, func(t *testing.T) { checkRefusal(t, []byte(tt.content), tt.want) })
	}
}

func checkRefusal(t *testing.T, content []byte, want string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "robot.json")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := Load(path)
	var refusal *Error
	if r != nil || !errors.As(err, &refusal) || err.Error() != "robot "+path+want {
		t.Errorf("Load = %v, %v, want an *Error %q", r, err, "robot "+path+want)
	}
}

func TestAFileThatIsNotThereIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.json")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("Load = %v, want one that names %s and wraps fs.ErrNotExist", err, path)
	}
}

func TestEveryOrderIsABijection(t *testing.T) {
	for _, name := range Names() {
		r, err := ByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Orders) == 0 {
			t.Errorf("%s has no other order", name)
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
			values, there, back := make([]float64, len(m)), make([]float64, len(m)), make([]float64, len(m))
			for i := range values {
				values[i] = float64(i) + 0.5
			}
			m.To(there, values)
			m.From(back, there)
			if !slices.Equal(back, values) || slices.Equal(there, values) {
				t.Errorf("%s %s: there %v and back %v, want %v", name, order, there, back, values)
			}
			for i, joint := range r.Orders[order] {
				if r.Joints[m[i]].Name != joint {
					t.Errorf("%s %s: %d is %s, want %s", name, order, i, r.Joints[m[i]].Name, joint)
				}
			}
		}
	}
}

func TestKnownOrders(t *testing.T) {
	for _, tt := range []struct {
		robot *Robot
		order string
		want  Map
	}{
		// The other way round from what is known of a policy's order: leg-major is its [0,4,8,1,5,9,2,6,10,3,7,11].
		{Go2(), "type_major", Map{0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11}},
		{Go2(), "sdk", Map{3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8}},
		{Go1(), "type_major", Map{0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11}},
		{Hex(), "type_major", Map{0, 3, 6, 9, 12, 15, 1, 4, 7, 10, 13, 16, 2, 5, 8, 11, 14, 17}},
		{Hex(), "boards", Map{0, 3, 1, 2, 4, 5, 6, 9, 7, 8, 10, 11, 12, 15, 13, 14, 16, 17}},
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
	m.From(legMajor, []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
	if want := []float64{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11}; !slices.Equal(legMajor, want) {
		t.Errorf("a policy's values in leg-major order = %v, want %v", legMajor, want)
	}
	if _, err := Go2().Order("boards"); err == nil || err.Error() != `robot go2: unknown joint order "boards": expected one of sdk, type_major` {
		t.Errorf("unknown order: error = %v", err)
	}
}
