// Package zed_test checks the layer of a synthetic archive with the structure of the ZED SDK's archives, and the lock file. This
// repository does not contain the SDK.
package zed_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"krabby.dev/krabby/internal/testfile"
	"krabby.dev/krabby/tools/layer/tree"
)

const golden = "testdata/layer.txt"

func TestLayer_golden(t *testing.T) {
	f, err := os.Open(testfile.Find(t, "LAYER"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := tree.List(&got, plain); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the layer differs from %s (to update the file: bazel run //tools/layer -- list LAYER); got:\n%s", golden, &got)
	}
}

// TestLock checks the form of the entries, whose facts //tools/describe compares with those of base images.
func TestLock(t *testing.T) {
	data, err := os.ReadFile("lock.json")
	if err != nil {
		t.Fatal(err)
	}
	type entry struct {
		Version, L4T, CUDA, OS, Architecture, URL, File, SHA256 string

		Allow    map[string][]string
		Optional []string
	}
	var lock struct{ Archives map[string]entry }
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&lock); err != nil {
		t.Fatal(err)
	}
	if len(lock.Archives) == 0 {
		t.Fatal("no archives found in the lock")
	}
	number := regexp.MustCompile(`^[0-9]+(\.[0-9]+)+$`)
	hash := regexp.MustCompile(`^[0-9a-f]{64}$`)
	for name, e := range lock.Archives {
		jetson := e.Architecture == "arm64" && number.MatchString(e.L4T)
		workstation := e.Architecture == "amd64" && e.L4T == ""
		if !strings.HasPrefix(name, e.Version) || !number.MatchString(e.Version) || !number.MatchString(e.CUDA) || e.OS == "" || !jetson && !workstation {
			t.Errorf("%s: version %q, L4T %q, CUDA %q, OS %q, architecture %q", name, e.Version, e.L4T, e.CUDA, e.OS, e.Architecture)
		}
		if !strings.HasPrefix(e.URL, "https://") || !strings.HasSuffix(e.File, ".run") || strings.Contains(e.File, "/") {
			t.Errorf("%s: url %q, file %q", name, e.URL, e.File)
		}
		if e.SHA256 != "" && !hash.MatchString(e.SHA256) {
			t.Errorf("%s: sha256 %q: expected none or 64 digits, by 'pin archive'", name, e.SHA256)
		}
	}
}
