package npz

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/rollout"
	"krabby.dev/krabby/internal/testfile"
)

// count returns an array as fixtures.py fills it.
func count(steps, columns int, first float32) rollout.Array {
	a := rollout.NewArray(steps, columns)
	for i := range a.Values {
		a.Values[i] = first + float32(i)/8
	}
	return a
}

// sample returns the rollout of fixtures.py.
func sample() *rollout.Rollout {
	r := &rollout.Rollout{
		JointNames:        []string{"hip", "thigh", "calf"},
		TimeS:             []float64{0, 0.02, 0.04, 0.06, 0.08},
		PositionRad:       count(5, 3, 1),
		VelocityRadPerSec: count(5, 3, 2),
		Orientation:       rollout.NewArray(5, 4), AngularVelocityRadPerSec: count(5, 3, 3),
		Command: count(5, 3, 4), Observation: count(5, 7, 5), Action: count(5, 3, 6),
	}
	for t := range 5 {
		r.Orientation.Row(t)[0] = 1
	}
	return r
}

// withOptional adds the arrays of optional.npz.
func withOptional(r *rollout.Rollout) *rollout.Rollout {
	r.FootNames, r.Contacts = []string{"left", "right"}, rollout.NewArray(5, 2)
	for t := range 5 {
		r.Contacts.Row(t)[0] = 1
	}
	r.EpisodeStart = []bool{true, false, false, true, false}
	r.BaseVelocityMps, r.LinearAccelerationMps2 = r.Command.Clone(), r.Command.Clone()
	return r
}

// same compares rollouts, with the times up to rounding.
func same(t *testing.T, name string, got, want *rollout.Rollout) {
	t.Helper()
	for i, s := range got.TimeS {
		if math.Abs(s-want.TimeS[i]) > 1e-6 {
			t.Errorf("%s: time_s[%d] = %v, want %v", name, i, s, want.TimeS[i])
		}
	}
	copied := *got
	copied.TimeS, copied.Rounding = want.TimeS, want.Rounding
	if !reflect.DeepEqual(&copied, want) {
		t.Errorf("%s = %+v\nwant %+v", name, got, want)
	}
}

func TestRead_numpyFiles(t *testing.T) {
	dir := testfile.Find(t, "KRABBY_ROLLOUTS")
	const f4, f2 = 1.0 / (1 << 24), 1.0 / (1 << 11)
	for name, test := range map[string]struct {
		want     *rollout.Rollout
		rounding float64
	}{
		"float32":            {sample(), f4},
		"float64_compressed": {sample(), 0},
		"float16":            {sample(), f2},
		"big_endian":         {sample(), f4},
		"fortran":            {sample(), f4},
		"optional":           {withOptional(sample()), f4},
	} {
		got, err := Read(filepath.Join(dir, name+".npz"))
		if err != nil {
			t.Error(err)
			continue
		}
		same(t, name, got, test.want)
		if got.Rounding != test.rounding {
			t.Errorf("%s: rounding = %v, want %v", name, got.Rounding, test.rounding)
		}
	}
}

// withEpisodes adds the starts of episodes in fixtures.py.
func withEpisodes(r *rollout.Rollout) *rollout.Rollout {
	r.EpisodeStart = []bool{true, false, false, true, false}
	return r
}

func TestReadEnvironment_trainingLoops(t *testing.T) {
	dir := testfile.Find(t, "KRABBY_ROLLOUTS")
	for name, test := range map[string]struct {
		environment int
		want        *rollout.Rollout
	}{
		"one_environment":          {-1, sample()},
		"two_environments":         {1, sample()},
		"two_environments_fortran": {1, sample()},
		"isaac_lab":                {-1, sample()},
		"episodes":                 {-1, withEpisodes(sample())},
	} {
		got, err := ReadEnvironment(filepath.Join(dir, name+".npz"), Options{test.environment})
		if err != nil {
			t.Error(err)
			continue
		}
		same(t, name, got, test.want)
	}
	for name, test := range map[string]struct {
		environment int
		want        string
	}{
		"two_environments": {-1, "joint_position_rad: found shape [5 2 3], expected 2 dimensions: the second one of 2 looks like environments; say which with --environment=0 to 1"},
		"restarted":        {-1, "time_s[3]: found 0, expected a time after that of the step before, 0.04, or an array episode_start that is nonzero in this step"},
	} {
		if _, err := Read(filepath.Join(dir, name+".npz")); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	if _, err := ReadEnvironment(filepath.Join(dir, "two_environments.npz"), Options{2}); err == nil || !strings.Contains(err.Error(), "more than 2 environments") {
		t.Errorf("environment 2 of 2: %v", err)
	}
}

func TestRead_severalNames(t *testing.T) {
	f := &file{path: "r.npz", entries: map[string]*zip.File{"obs": nil, "policy": nil}}
	want := "obs: found also policy, expected one array for observation"
	if _, err := f.nameOf("observation"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestRead_writtenFiles(t *testing.T) {
	for name, want := range map[string]*rollout.Rollout{"required arrays": sample(), "all arrays": withOptional(sample())} {
		dir := t.TempDir()
		path := filepath.Join(dir, "r.npz")
		for range 2 { // The second write replaces a file.
			if err := want.Write(path); err != nil {
				t.Fatal(err)
			}
		}
		got, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		same(t, name, got, want)
		if files, _ := os.ReadDir(dir); len(files) != 1 {
			t.Errorf("%s: directory has %v, want only the file", name, files)
		}
	}
}

func TestWrite_failureLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	bad := sample()
	bad.Action.Values[4] = float32(math.NaN())
	if err := bad.Write(filepath.Join(dir, "r.npz")); err == nil || !strings.Contains(err.Error(), "action[1, 1]: found NaN") {
		t.Errorf("Write = %v, want the error to name the value", err)
	}
	directory := filepath.Join(dir, "directory")
	if err := os.Mkdir(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := sample().Write(directory); err == nil {
		t.Error("Write replaced a directory")
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("directory has %v, want only the subdirectory", files)
	}
	for _, path := range []string{directory, filepath.Join(dir, "no", "r.npz")} {
		if err := rollout.CheckPath(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("rollout.CheckPath(%s) = %v, want an error", path, err)
		}
	}
	if err := rollout.CheckPath(filepath.Join(dir, "r.npz")); err != nil {
		t.Error(err)
	}
}

// invalid is a file that Read must reject.
type invalid struct {
	write func(t *testing.T, path string)
	want  string // A part of the error.
}

// changed writes a changed sample.
func changed(change func(*rollout.Rollout)) func(t *testing.T, path string) {
	return func(t *testing.T, path string) {
		r := withOptional(sample())
		change(r)
		var b bytes.Buffer
		if err := r.Encode(&b); err != nil { // Write rejects it.
			t.Fatal(err)
		}
		writeFile(t, path, b.Bytes())
	}
}

// replace writes the sample with another content of an array, without the array if content is nil.
func replace(name string, content func() []byte) func(t *testing.T, path string) {
	return func(t *testing.T, path string) { writeFile(t, path, replaced(t, name, content)) }
}

// checkRejected checks that Read rejects files with a *rollout.Error.
func checkRejected(t *testing.T, files map[string]invalid) {
	t.Helper()
	for name, test := range files {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "r.npz")
			test.write(t, path)
			r, err := Read(path)
			if e, ok := errors.AsType[*rollout.Error](err); !ok || e.File != path || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Read = %v, %v; want an *Error of one line with %q", r, err, test.want)
			}
		})
	}
}

func TestRead_invalidFile(t *testing.T) {
	checkRejected(t, map[string]invalid{
		"no file":           {func(*testing.T, string) {}, "no such file or directory"},
		"directory":         {func(t *testing.T, path string) { _ = os.Mkdir(path, 0o755) }, "not a regular file"},
		"not a zip archive": {func(t *testing.T, path string) { writeFile(t, path, []byte("robot")) }, "not a zip archive as numpy.savez writes it: zip: not a valid zip file"},
		"half an archive":   {func(t *testing.T, path string) { b := replaced(t, "", nil); writeFile(t, path, b[:len(b)/2]) }, "not a zip archive"},
		"missing array":     {replace("action", nil), "action: array not found"},
		"no names":          {replace("joint_names", nil), "joint_names: array not found"},
		"no time":           {replace("time_s", nil), "time_s: array not found"},
	})
	if _, err := Read("/nope.npz"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read = %v, want fs.ErrNotExist", err)
	}
}

func TestRead_invalidArray(t *testing.T) {
	checkRejected(t, map[string]invalid{
		"names of numbers": {replace("joint_names", numpyArray("<f4", "(3,)", 12)), "joint_names: found type '<f4' of shape [3], expected text"},
		"numbers of text":  {replace("action", numpyArray("<U2", "(5, 3)", 120)), "action: found type '<U2', expected float16, float32"},
		"complex numbers":  {replace("action", numpyArray("<c8", "(5, 3)", 120)), "action: found type '<c8'"},
		"objects":          {replace("action", numpyArray("|O", "(5, 3)", 40)), "action: found type '|O'"},
		"too few bytes":    {replace("action", numpyArray("<f4", "(5, 3)", 59)), "action: found 59 bytes, expected 60, for shape [5 3] of '<f4'"},
		"huge shape":       {replace("action", numpyArray("<f4", "(99999999, 99999999)", 8)), "action: found shape [99999999 99999999], expected at most 536870912 bytes"},
		"negative shape":   {replace("action", numpyArray("<f4", "(-5, 3)", 8)), "action: found shape [-5 3]"},
		"truncated header": {replace("action", func() []byte { return []byte("\x93NUMPY\x01\x00") }), "action: not an array as numpy.save writes it: 8 bytes"},
		"long header":      {replace("action", func() []byte { return []byte("\x93NUMPY\x02\x00\xff\xff\xff\xff\n") }), "action: not an array as numpy.save writes it: header of "},
		"invalid header":   {replace("action", func() []byte { return []byte("\x93NUMPY\x01\x00\x04\x00abcd") }), "action: not an array as numpy.save writes it: "},
		"quoted type":      {replace("action", numpyArray("<f4'", "5", 0)), "action: not an array as numpy.save writes it: malformed header"},
		"another magic":    {replace("action", func() []byte { return []byte("PK\x03\x04  \x01\x00\x01\x00      ") }), "action: not an array as numpy.save writes it"},
		"one dimension":    {replace("action", numpyArray("<f4", "(5,)", 20)), "action: found shape [5], expected 2 dimensions"},
		"rows":             {replace("action", numpyArray("<f4", "(4, 3)", 48)), "action: found shape [4 3], expected 5 rows, one for each time, and columns: any number above 0"},
		"no columns":       {replace("action", numpyArray("<f4", "(5, 0)", 0)), "action: found shape [5 0]"},
		"columns":          {replace("orientation_wxyz", numpyArray("<f4", "(5, 3)", 60)), "orientation_wxyz: found shape [5 3], expected 5 rows, one for each time, and columns: 4"},
		"joints":           {replace("joint_position_rad", numpyArray("<f4", "(5, 2)", 40)), "joint_position_rad: found shape [5 2], expected 5 rows, one for each time, and columns: 3"},
		"feet":             {replace("contacts", numpyArray("|b1", "(5, 4)", 20)), "contacts: found shape [5 4], expected 5 rows, one for each time, and columns: 2"},
		"starts":           {replace("episode_start", numpyArray("|b1", "(4,)", 4)), "episode_start: found shape [4], expected shape [5]"},
	})
}

func TestRead_invalidValue(t *testing.T) {
	nan := float32(math.NaN())
	checkRejected(t, map[string]invalid{
		"NaN":                {changed(func(r *rollout.Rollout) { r.VelocityRadPerSec.Values[7] = nan }), "joint_velocity_rad_per_s[2, 1]: found NaN, expected a finite number"},
		"infinite":           {changed(func(r *rollout.Rollout) { r.Contacts.Values[0] = float32(math.Inf(1)) }), "contacts[0, 0]: found +Inf"},
		"invalid quaternion": {changed(func(r *rollout.Rollout) { r.Orientation.Row(3)[0] = 0 }), "orientation_wxyz[3]: found [0 0 0 0], expected a unit quaternion"},
		"constant time":      {changed(func(r *rollout.Rollout) { r.TimeS[2] = r.TimeS[1] }), "time_s[2]: found 0.02, expected a time after that of the step before"},
		"duplicate joint":    {changed(func(r *rollout.Rollout) { r.JointNames = []string{"hip", "hip", "calf"} }), `joint_names[1]: found "hip", expected unique names`},
	})
}

func TestRead_wrongChecksum(t *testing.T) {
	b := replaced(t, "", nil)
	at := bytes.Index(b, []byte("action.npy")) + 200
	b[at] ^= 1
	path := filepath.Join(t.TempDir(), "r.npz")
	writeFile(t, path, b)
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("Read = %v, want a checksum error", err)
	}
}

func TestRead_tooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.npz")
	writeFile(t, path, replaced(t, "action", func() []byte { return make([]byte, MaxBytes) }))
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "action: too large: all arrays together may have 536870912 bytes") {
		t.Errorf("Read = %v, want an error", err)
	}
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// numpyArray returns the content of an array with the given header, and size zero bytes of values.
func numpyArray(kind, shape string, size int) func() []byte {
	return func() []byte {
		header := "{'descr': '" + kind + "', 'fortran_order': False, 'shape': " + shape + ", }\n"
		b := append([]byte("\x93NUMPY\x01\x00"), binary.LittleEndian.AppendUint16(nil, uint16(len(header)))...)
		return append(append(b, header...), make([]byte, size)...)
	}
}

// replaced returns the file of the sample with another content of the array name, without the array if content is nil.
func replaced(t *testing.T, name string, content func() []byte) []byte {
	t.Helper()
	var b, out bytes.Buffer
	if err := withOptional(sample()).Encode(&b); err != nil {
		t.Fatal(err)
	}
	in, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(&out)
	for _, entry := range in.File {
		if entry.Name != name+".npy" {
			if err := z.Copy(entry); err != nil {
				t.Fatal(err)
			}
		}
	}
	if content != nil {
		w, err := z.Create(name + ".npy")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content()); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
