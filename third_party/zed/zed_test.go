// Package zed_test checks the layer that is made of an archive with the ZED SDK's structure. The SDK's own archive is
// nowhere in this repository.
package zed_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/bazelbuild/rules_go/go/runfiles"

	"krabby.dev/krabby/tools/layer/tree"
)

const golden = "testdata/layer.txt"

func TestLayerIsAsDeclared(t *testing.T) {
	path, err := runfiles.Rlocation(os.Getenv("LAYER"))
	if err != nil {
		t.Fatalf("LAYER: %v: run me with Bazel", err)
	}
	f, err := os.Open(path)
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
		t.Errorf("the layer differs from %s (write it anew with: bazel run //tools/layer -- list LAYER); got:\n%s", golden, &got)
	}
}

// TestLockSaysForWhatAnSDKWasMade holds the facts that others compare with a base image.
func TestLockSaysForWhatAnSDKWasMade(t *testing.T) {
	data, err := os.ReadFile("lock.json")
	if err != nil {
		t.Fatal(err)
	}
	type entry struct {
		Version, L4T, CUDA, OS, Architecture, URL, File, SHA256 string

		Size     int64
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
		t.Fatal("the lock has no archive")
	}
	number := regexp.MustCompile(`^[0-9]+(\.[0-9]+)+$`)
	hash := regexp.MustCompile(`^[0-9a-f]{64}$`)
	for name, e := range lock.Archives {
		if !strings.HasPrefix(name, e.Version) || !number.MatchString(e.Version) || !number.MatchString(e.L4T) || !number.MatchString(e.CUDA) || e.OS == "" || e.Architecture != "arm64" {
			t.Errorf("%s: version %q, L4T %q, CUDA %q, OS %q, architecture %q", name, e.Version, e.L4T, e.CUDA, e.OS, e.Architecture)
		}
		if !strings.HasPrefix(e.URL, "https://") || !strings.HasSuffix(e.File, ".run") || strings.Contains(e.File, "/") {
			t.Errorf("%s: url %q, file %q", name, e.URL, e.File)
		}
		if pinned := hash.MatchString(e.SHA256) && e.Size > 0; !pinned && (e.SHA256 != "" || e.Size != 0) {
			t.Errorf("%s: sha256 %q and size %d: both or neither, by 'pin archive'", name, e.SHA256, e.Size)
		}
	}
}
