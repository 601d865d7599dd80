// Package python_test tests Debian's Python in the testing images, with the locked wheels that the layer rule installed.
package python_test

import (
	"archive/tar"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bazelbuild/rules_go/go/runfiles"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"krabby.dev/krabby/oci/container"
)

func TestMain(m *testing.M) {
	container.Main()
	os.Exit(m.Run())
}

// machines are Python's names of the architectures.
var machines = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}

// image is an unpacked image with its expected versions.
type image struct {
	architecture string
	root         string
	image        v1.Image
	config       *v1.ConfigFile
	versions     map[string]string // In the lock.
}

func TestPython(t *testing.T) {
	for _, architecture := range slices.Sorted(maps.Keys(machines)) {
		t.Run(architecture, func(t *testing.T) {
			i := open(t, architecture)
			t.Run("files", func(t *testing.T) { checkFiles(t, i) })
			t.Run("modules", func(t *testing.T) { checkModules(t, i) })
			t.Run("programs", func(t *testing.T) { checkPrograms(t, i) })
			t.Run("pytest", func(t *testing.T) { checkPytest(t, i) })
		})
	}
}

// open unpacks an image, and copies the test programs into it.
func open(t *testing.T, architecture string) image {
	t.Helper()
	img := container.Read(t, runfile(t, os.Getenv("IMAGE_"+architecture)))
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	i := image{architecture: architecture, image: img, root: container.Unpack(t, img), config: config, versions: map[string]string{}}
	data, err := os.ReadFile(runfile(t, os.Getenv("LOCK_"+architecture)))
	if err != nil {
		t.Fatal(err)
	}
	var lock struct {
		Wheels map[string]struct {
			Version string   `json:"version"`
			Groups  []string `json:"groups"`
		} `json:"wheels"`
	}
	if err := json.Unmarshal(data, &lock); err != nil {
		t.Fatal(err)
	}
	for project, entry := range lock.Wheels {
		// These groups are GROUPS["testing"] in config.bzl. Others are for builds.
		if slices.Contains(entry.Groups, "runtime") || slices.Contains(entry.Groups, "test") {
			i.versions[project] = entry.Version
		}
	}
	i.versions["krabby-hal"] = "0.1.0" // Built here, and not in the lock.
	for _, program := range []string{"check.py", "test_messages.py"} {
		content, err := os.ReadFile(filepath.Join("testdata", program))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(i.root, "workspace", program), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return i
}

// run runs a program in the image.
func (i image) run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	out, stderr, code := container.Run(t, container.Command{
		Root: i.root, Config: i.config, Args: args, Tmpfs: []string{"/tmp"}, QEMU: runfile(t, os.Getenv("QEMU")), Timeout: 3 * time.Minute,
	})
	return string(out), stderr, code
}

// checkFiles tests the owners and modes of the installed files, and that there are no compiled modules.
func checkFiles(t *testing.T, i image) {
	files := mutate.Extract(i.image)
	defer files.Close()
	checked := 0
	for reader := tar.NewReader(files); ; {
		h, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := path.Join("/", h.Name)
		if !strings.HasPrefix(name, "/opt/krabby/python/") {
			continue
		}
		checked++
		file := h.Typeflag == tar.TypeReg && (h.Mode == 0o644 || h.Mode == 0o755)
		directory := h.Typeflag == tar.TypeDir && h.Mode == 0o755
		if !file && !directory || h.Uid != 0 || h.Gid != 0 || strings.Contains(name, "__pycache__") || strings.HasSuffix(name, ".pyc") {
			t.Errorf("%s: type %q, mode %o, owner %d:%d; want a file or directory of 0:0 with mode 644 or 755, and no compiled module",
				name, h.Typeflag, h.Mode, h.Uid, h.Gid)
		}
	}
	if checked < 100 {
		t.Errorf("%d files in /opt/krabby/python, want at least 100", checked)
	}
}

// report is the output of testdata/check.py.
type report struct {
	Python      string            `json:"python"`
	Machine     string            `json:"machine"`
	Versions    map[string]string `json:"versions"`
	Installers  []string          `json:"installers"`
	Problems    []string          `json:"problems"`
	Programs    []string          `json:"programs"`
	RoundTrips  map[string]bool   `json:"round_trips"`
	Inverse     [][]float64       `json:"inverse"`
	SameCommand bool              `json:"same_command"`
	KrabbyHAL   krabbyHAL         `json:"krabby_hal"`
}

// krabbyHAL is the result of encoding and decoding a command.
type krabbyHAL struct {
	FrameBytes int       `json:"frame_bytes"`
	TargetRad  []float64 `json:"target_rad"`
	Rejected   string    `json:"rejected"`
	CURVE      bool      `json:"curve"`
}

// checkModules tests the installed modules by a program that uses them.
func checkModules(t *testing.T, i image) {
	stdout, stderr, code := i.run(t, "/usr/bin/python3", "check.py")
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	var got report
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("invalid JSON: %v\n%s", err, stdout)
	}
	t.Logf("report: %s", stdout)
	if !strings.HasPrefix(got.Python, "3.11.") {
		t.Errorf("Python = %s, want 3.11", got.Python)
	}
	versions := map[string]string{}
	for project, version := range got.Versions {
		versions[strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(project))] = version
	}
	if !maps.Equal(versions, i.versions) {
		t.Errorf("installed versions = %v, want those of the lock: %v", versions, i.versions)
	}
	got.Python, got.Versions = "", nil
	want := report{
		Machine:     machines[i.architecture],
		Installers:  []string{"krabby\n"},
		Problems:    []string{},
		Programs:    []string{"f2py", "py.test", "pygmentize", "pytest"},
		RoundTrips:  map[string]bool{"inproc": true, "ipc": true, "tcp": true},
		Inverse:     [][]float64{{1, 0}, {0, 1}},
		SameCommand: true,
		KrabbyHAL:   krabbyHAL{FrameBytes: 64 + 3*64 + 2*64 + 2*8, TargetRad: []float64{0.5, -1.25}, Rejected: "length", CURVE: true},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("report =\n%+v\nwant\n%+v", got, want)
	}
}

// checkPrograms tests that the installed programs start.
func checkPrograms(t *testing.T, i image) {
	for program, want := range map[string]string{
		"pytest --version": "pytest " + i.versions["pytest"],
		"f2py -v":          i.versions["numpy"],
		"pygmentize -V":    "Pygments version " + i.versions["pygments"],
	} {
		args := strings.Fields(program)
		args[0] = "/opt/krabby/python/bin/" + args[0]
		stdout, stderr, code := i.run(t, args...)
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q; want %q", program, code, stdout, stderr, want)
		}
	}
}

// checkPytest tests that pytest runs with its plugins.
func checkPytest(t *testing.T, i image) {
	stdout, stderr, code := i.run(t, "/opt/krabby/python/bin/pytest", "-v", "-p", "no:cacheprovider", "test_messages.py")
	if code != 0 || !strings.Contains(stdout, "3 passed, 1 xfailed") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	for _, plugin := range []string{"asyncio-" + i.versions["pytest-asyncio"], "timeout-" + i.versions["pytest-timeout"]} {
		if !strings.Contains(stdout, plugin) {
			t.Errorf("pytest did not load %s:\n%s", plugin, stdout)
		}
	}
}

// runfile returns the path of a runfile.
func runfile(t *testing.T, path string) string {
	t.Helper()
	file, err := runfiles.Rlocation(path)
	if err != nil {
		t.Fatalf("runfile %q: %v", path, err)
	}
	return file
}
