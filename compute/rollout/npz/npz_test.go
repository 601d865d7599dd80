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
	"krabby.dev/krabby/hal/testfile"
)

// count is an array as fixtures.py fills it.
func count(steps, columns int, first float32) rollout.Array {
	a := rollout.NewArray(steps, columns)
	for i := range a.Values {
		a.Values[i] = first + float32(i)/8
	}
	return a
}

// sample is the rollout of fixtures.py.
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

// withOptional adds what optional.npz has.
func withOptional(r *rollout.Rollout) *rollout.Rollout {
	r.FootNames, r.Contacts = []string{"left", "right"}, rollout.NewArray(5, 2)
	for t := range 5 {
		r.Contacts.Row(t)[0] = 1
	}
	r.EpisodeStart = []bool{true, false, false, true, false}
	r.BaseVelocityMps, r.LinearAccelerationMps2 = r.Command.Clone(), r.Command.Clone()
	return r
}

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

func TestWhatNumpyWritesIsRead(t *testing.T) {
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

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	for name, want := range map[string]*rollout.Rollout{"least": sample(), "all": withOptional(sample())} {
		dir := t.TempDir()
		path := filepath.Join(dir, "r.npz")
		for range 2 { // It may be there already.
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
			t.Errorf("%s: left %v, want the file alone", name, files)
		}
	}
}

func TestWhatCannotBeWrittenLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	bad := sample()
	bad.Action.Values[4] = float32(math.NaN())
	if err := bad.Write(filepath.Join(dir, "r.npz")); err == nil || !strings.Contains(err.Error(), "action[1, 1]: found NaN") {
		t.Errorf("Write = %v, want it to name the value", err)
	}
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := sample().Write(folder); err == nil {
		t.Error("a folder was replaced by a file")
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("left %v, want the folder alone", files)
	}
	for _, path := range []string{folder, filepath.Join(dir, "no", "r.npz")} {
		if err := rollout.CheckPath(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("rollout.CheckPath(%s) = %v, want an error", path, err)
		}
	}
	if err := rollout.CheckPath(filepath.Join(dir, "r.npz")); err != nil {
		t.Error(err)
	}
}

func TestRefusalsNameFileArrayFoundAndExpected(t *testing.T) {
	nan := float32(math.NaN())
	// change writes what sample has, changed.
	change := func(change func(*rollout.Rollout)) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			r := withOptional(sample())
			change(r)
			var b bytes.Buffer
			if err := r.Encode(&b); err != nil { // Write would refuse it.
				t.Fatal(err)
			}
			writeFile(t, path, b.Bytes())
		}
	}
	// replace writes what sample has, but one entry, which is content, or none.
	replace := func(name string, content func() []byte) func(t *testing.T, path string) {
		return func(t *testing.T, path string) { writeFile(t, path, replaced(t, name, content)) }
	}
	for name, test := range map[string]struct {
		write func(t *testing.T, path string)
		want  string
	}{
		"nothing":           {func(*testing.T, string) {}, "found no such file"},
		"a folder":          {func(t *testing.T, path string) { _ = os.Mkdir(path, 0o755) }, "found something that is not a regular file"},
		"no zip":            {func(t *testing.T, path string) { writeFile(t, path, []byte("robot")) }, "found no zip archive (zip: not a valid zip file), expected what numpy.savez writes"},
		"half a zip":        {func(t *testing.T, path string) { b := replaced(t, "", nil); writeFile(t, path, b[:len(b)/2]) }, "found no zip archive"},
		"an array missing":  {replace("action", nil), "action: found no such array, expected one"},
		"no names":          {replace("joint_names", nil), "joint_names: found no such array"},
		"no time":           {replace("time_s", nil), "time_s: found no such array"},
		"names of numbers":  {replace("joint_names", numpyArray("<f4", "(3,)", 12)), "joint_names: found type '<f4' of shape [3], expected text"},
		"numbers of text":   {replace("action", numpyArray("<U2", "(5, 3)", 120)), "action: found type '<U2', expected float16, float32"},
		"complex numbers":   {replace("action", numpyArray("<c8", "(5, 3)", 120)), "action: found type '<c8'"},
		"objects":           {replace("action", numpyArray("|O", "(5, 3)", 40)), "action: found type '|O'"},
		"too few bytes":     {replace("action", numpyArray("<f4", "(5, 3)", 59)), "action: found 59 bytes, expected 60, for shape [5 3] of '<f4'"},
		"a huge shape":      {replace("action", numpyArray("<f4", "(99999999, 99999999)", 8)), "action: found shape [99999999 99999999], expected at most 536870912 bytes"},
		"a negative shape":  {replace("action", numpyArray("<f4", "(-5, 3)", 8)), "action: found shape [-5 3]"},
		"a header cut off":  {replace("action", func() []byte { return []byte("\x93NUMPY\x01\x00") }), "action: found no .npy array (8 bytes)"},
		"a header too long": {replace("action", func() []byte { return []byte("\x93NUMPY\x02\x00\xff\xff\xff\xff\n") }), "action: found no .npy array (a header of "},
		"a header of junk":  {replace("action", func() []byte { return []byte("\x93NUMPY\x01\x00\x04\x00abcd") }), "action: found no .npy array ("},
		"a quoted junk":     {replace("action", numpyArray("<f4'", "5", 0)), "action: found "},
		"another magic":     {replace("action", func() []byte { return []byte("PK\x03\x04  \x01\x00\x01\x00      ") }), "action: found no .npy array"},
		"one dimension":     {replace("action", numpyArray("<f4", "(5,)", 20)), "action: found shape [5], expected 2 dimensions"},
		"rows":              {replace("action", numpyArray("<f4", "(4, 3)", 48)), "action: found shape [4 3], expected 5 rows, as many as times, and columns: any number above 0"},
		"no columns":        {replace("action", numpyArray("<f4", "(5, 0)", 0)), "action: found shape [5 0]"},
		"columns":           {replace("orientation_wxyz", numpyArray("<f4", "(5, 3)", 60)), "orientation_wxyz: found shape [5 3], expected 5 rows, as many as times, and columns: 4"},
		"joints":            {replace("joint_position_rad", numpyArray("<f4", "(5, 2)", 40)), "joint_position_rad: found shape [5 2], expected 5 rows, as many as times, and columns: 3"},
		"feet":              {replace("contacts", numpyArray("|b1", "(5, 4)", 20)), "contacts: found shape [5 4], expected 5 rows, as many as times, and columns: 2"},
		"starts":            {replace("episode_start", numpyArray("|b1", "(4,)", 4)), "episode_start: found shape [4], expected shape [5]"},
		"NaN":               {change(func(r *rollout.Rollout) { r.VelocityRadPerSec.Values[7] = nan }), "joint_velocity_rad_per_s[2, 1]: found NaN, expected a finite number"},
		"infinite":          {change(func(r *rollout.Rollout) { r.Contacts.Values[0] = float32(math.Inf(1)) }), "contacts[0, 0]: found +Inf"},
		"no quaternion":     {change(func(r *rollout.Rollout) { r.Orientation.Row(3)[0] = 0 }), "orientation_wxyz[3]: found [0 0 0 0], expected a quaternion of length 1"},
		"time stands still": {change(func(r *rollout.Rollout) { r.TimeS[2] = r.TimeS[1] }), "time_s[2]: found 0.02, expected a time after that of the step before"},
		"a joint twice":     {change(func(r *rollout.Rollout) { r.JointNames = []string{"hip", "hip", "calf"} }), `joint_names[1]: found "hip", expected a name, each once`},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "r.npz")
			test.write(t, path)
			r, err := Read(path)
			if e, ok := errors.AsType[*rollout.Error](err); !ok || e.File != path || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Read = %v, %v; want an *Error on one line with %q", r, err, test.want)
			}
		})
	}
	if _, err := Read("/nope.npz"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read = %v, want fs.ErrNotExist", err)
	}
}

func TestABrokenChecksumIsRefused(t *testing.T) {
	b := replaced(t, "", nil)
	at := bytes.Index(b, []byte("action.npy")) + 200
	b[at] ^= 1
	path := filepath.Join(t.TempDir(), "r.npz")
	writeFile(t, path, b)
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("Read = %v, want it to complain of the checksum", err)
	}
}

func TestAnArchiveThatUnpacksToTooMuchIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.npz")
	writeFile(t, path, replaced(t, "action", func() []byte { return make([]byte, MaxBytes) }))
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "action: found more than the") {
		t.Errorf("Read = %v, want a refusal", err)
	}
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// numpyArray returns what makes an array of zeros whose header says what it says.
func numpyArray(kind, shape string, size int) func() []byte {
	return func() []byte {
		header := "{'descr': '" + kind + "', 'fortran_order': False, 'shape': " + shape + ", }\n"
		b := append([]byte("\x93NUMPY\x01\x00"), binary.LittleEndian.AppendUint16(nil, uint16(len(header)))...)
		return append(append(b, header...), make([]byte, size)...)
	}
}

// replaced returns the file of sample with another content of one array, or without it.
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
