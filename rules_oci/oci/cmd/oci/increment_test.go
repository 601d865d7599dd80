package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"krabby.dev/rules_oci/internal/ocidir"
	"krabby.dev/rules_oci/internal/registrytest"
)

// engine is what the fake docker has, in a file of its directory.
type engine struct {
	Driver string // What `docker info` says of its store.
	Images []engineImage
	Whole  bool // Whether it refuses an archive that names layers it does not hold.
}

type engineImage struct {
	ID     string `json:"Id"`
	RootFS struct{ Layers []string }
}

// fakeDocker answers as docker does from the state in dir, and keeps there what it was told and given.
func fakeDocker(dir string, args []string) (code int) {
	data, err := os.ReadFile(filepath.Join(dir, "engine.json"))
	var e engine
	if err == nil {
		err = json.Unmarshal(data, &e)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "Cannot connect to the Docker daemon:", err)
		return 1
	}
	calls, err := os.OpenFile(filepath.Join(dir, "calls"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(calls, strings.Join(args, " "))
	calls.Close()
	switch {
	case args[0] == "version":
		fmt.Println("27.1.1")
	case args[0] == "info":
		fmt.Println(e.Driver)
	case args[0] == "image" && args[1] == "ls":
		for _, img := range e.Images {
			fmt.Println(img.ID)
		}
	case args[0] == "image" && args[1] == "inspect":
		found := []engineImage{}
		for _, id := range args[2:] {
			n := slices.IndexFunc(e.Images, func(img engineImage) bool { return img.ID == id })
			if n < 0 {
				fmt.Fprintln(os.Stderr, "Error: No such image:", id)
				code = 1
				continue
			}
			found = append(found, e.Images[n])
		}
		json.NewEncoder(os.Stdout).Encode(found)
	case args[0] == "load":
		archive, err := io.ReadAll(os.Stdin)
		if err != nil {
			panic(err)
		}
		if e.Whole && blobsIn(archive) < 4 { // Config and three layers.
			fmt.Fprintln(os.Stderr, "open blobs: no such file")
			return 1
		}
		if err := os.WriteFile(filepath.Join(dir, "loaded.tar"), archive, 0o644); err != nil {
			panic(err)
		}
	case args[0] == "tag":
	default:
		fmt.Fprintf(os.Stderr, "unexpected arguments %q\n", args)
		return 1
	}
	return code
}

func blobsIn(archive []byte) (n int) {
	for tr := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := tr.Next()
		if err != nil {
			return n
		}
		if h.Typeflag == tar.TypeReg && strings.HasPrefix(h.Name, "blobs/") {
			n++
		}
	}
}

func TestLoad_sendsMissingLayers(t *testing.T) {
	b, layers := newTestRegistry(t), []registrytest.Blob{registrytest.Random(1, 10_000), registrytest.Random(2, 20_000)}
	b.origin.Image(t, baseRepo, "25.10", "arm64", layers...)
	base := b.pull(baseRepo, "25.10")
	layout := b.image(base, "new")
	config := func(layout string) (v1.Hash, *v1.ConfigFile) {
		img, err := ocidir.Image(layout)
		if err != nil {
			t.Fatal(err)
		}
		id, err := img.ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		cf, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		return id, cf
	}
	holding := func(layout string, layers int) (img engineImage) {
		id, cf := config(layout)
		img.ID = id.String()
		for _, h := range cf.RootFS.DiffIDs[:layers] {
			img.RootFS.Layers = append(img.RootFS.Layers, h.String())
		}
		return img
	}
	older := b.image(base, "old")
	id, _ := config(layout)
	digests := layersOf(t, layout)
	unrelated := engineImage{ID: "sha256:1234"}
	unrelated.RootFS.Layers = []string{"sha256:5678", holding(base, 2).RootFS.Layers[0]}

	tests := []struct {
		name   string
		engine engine
		loaded []v1.Hash // Nil where there is nothing to load.
		said   string
	}{
		{"an engine that has the image", engine{Images: []engineImage{holding(layout, 3)}}, nil, "setting the tags only"},
		{"an engine that has an older program on the same base", engine{Images: []engineImage{unrelated, holding(older, 3)}}, digests[2:], "which has 2 of the layers"},
		{"an engine that has the lowest layer", engine{Images: []engineImage{holding(older, 1)}}, digests[1:], "which has 1 of the layers"},
		{"an engine that has a layer elsewhere in an image", engine{Images: []engineImage{unrelated}}, digests, "loading app:dev, app:1 with"},
		{"an empty engine", engine{}, digests, "loading app:dev, app:1 with"},
		{"an engine with containerd's store", engine{Driver: `[["driver-type","io.containerd.snapshotter.v1"]]`, Images: []engineImage{holding(older, 3)}}, digests, "loading app:dev, app:1 with"},
		{"an engine that wants all after all", engine{Whole: true, Images: []engineImage{holding(older, 3)}}, digests, "retrying with all layers"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b.cache = t.TempDir()
			b.origin.ResetCounts()
			dir, r := b.load(layout, tt.engine)
			if r.code != 0 || !strings.Contains(r.err, tt.said) {
				t.Fatalf("exit %d: %s, want 0 and %q", r.code, r.err, tt.said)
			}

			calls, err := os.ReadFile(filepath.Join(dir, "calls"))
			if err != nil {
				t.Fatal(err)
			}
			archive, err := os.ReadFile(filepath.Join(dir, "loaded.tar"))
			if tt.loaded == nil {
				if err == nil || strings.Contains(string(calls), "load") {
					t.Errorf("%d bytes were loaded of an image that is there", len(archive))
				}
				for _, tag := range []string{"app:dev", "app:1"} {
					if want := "tag " + id.String() + " " + tag; !strings.Contains(string(calls), want) {
						t.Errorf("docker was told %q, want %q", calls, want)
					}
				}
				if n := b.origin.Requests(); n != 0 {
					t.Errorf("the registry was asked %d times", n)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			files := untar(t, bytes.NewReader(archive))
			for _, h := range digests {
				if _, got := files["blobs/sha256/"+h.Hex]; got != slices.Contains(tt.loaded, h) {
					t.Errorf("the archive holds %s: %v, want %v", h, got, !got)
				}
				if got := b.origin.ServedBytes()[h] > 0; got && !slices.Contains(tt.loaded, h) {
					t.Errorf("%s was fetched, and the engine has it", h)
				}
			}
			var manifest []struct{ Layers []string }
			if err := json.Unmarshal([]byte(files["manifest.json"]), &manifest); err != nil || len(manifest[0].Layers) != len(digests) {
				t.Errorf("manifest.json is %s (%v), want it to name all %d layers", files["manifest.json"], err, len(digests))
			}
		})
	}
}

// load loads a layout into an engine that is called docker, and returns where that keeps what it was told and given.
func (b *testRegistry) load(layout string, e engine) (dir string, r result) {
	b.t.Helper()
	bin, dir := b.t.TempDir(), b.t.TempDir()
	self, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "docker")); err != nil {
		b.t.Fatal(err)
	}
	data, err := json.Marshal(e)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "engine.json"), data, 0o644); err != nil {
		b.t.Fatal(err)
	}
	params := writeJSON(b.t, loadParams{Label: "//robot:load", Image: layout, Format: "docker", RepoTags: values("app:dev", "app:1")})
	environ := append(b.environ, "KRABBY_CACHE="+b.cache, "PATH="+bin, "FAKE_DOCKER="+dir)
	return dir, tool(b.t, b.t.TempDir(), environ, "oci", "load", "--params", params)
}

func TestLoad_wrongContent_abortsArchive(t *testing.T) {
	b, good, bad := newTestRegistry(t), registrytest.Random(1, 1_000_000), registrytest.Random(2, 1000)
	b.origin.Image(t, baseRepo, "25.10", "arm64", good, bad)
	layout := b.image(b.pull(baseRepo, "25.10"), "program")
	b.origin.Corrupt(baseRepo, bad.Digest)
	dir, r := b.load(layout, engine{})
	if r.code != 1 || !strings.Contains(r.err, ", expected "+bad.Digest.String()) {
		t.Errorf("exit %d: %q, want 1 and which layer is wrong", r.code, r.err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "loaded.tar")); err == nil {
		t.Errorf("the engine was given %d bytes to the end", len(got))
	}
}

func TestLoad_index_choosesPlatform(t *testing.T) {
	b := newTestRegistry(t)
	arm, x86 := platformImage(t, "arm64"), platformImage(t, "amd64")
	index, r := buildIndex(t, arm, x86)
	if r.code != 0 {
		t.Fatal(r.err)
	}
	for platform, want := range map[string]source{"linux/arm64": arm, "linux/amd64": x86} {
		img, err := ocidir.Image(want.Path)
		if err != nil {
			t.Fatal(err)
		}
		id, err := img.ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		files, r := b.archive(index, "docker", "--platform", platform)
		if r.code != 0 || !strings.Contains(files["manifest.json"], id.Hex) {
			t.Errorf("%s: exit %d: %s: manifest.json is %s, want the config %s", platform, r.code, r.err, files["manifest.json"], id)
		}
	}
	if _, r := b.archive(index, "docker", "--platform", "linux/s390x"); r.code != 1 || !strings.Contains(r.err, "no image for linux/s390x in the index; use --platform with one of linux/arm64, linux/amd64") {
		t.Errorf("exit %d: %q, want 1 and the platforms there are", r.code, r.err)
	}
	if _, r := b.archive(index, "docker", "--offline"); r.code != 1 || !strings.Contains(r.err, `format = "oci"`) {
		t.Errorf("exit %d: %q, want 1 and the format that holds an index", r.code, r.err)
	}
	files, r := b.archive(index, "oci", "--offline")
	if r.code != 0 || !strings.Contains(files["index.json"], "image.index") {
		t.Errorf("exit %d: %s: index.json is %s, want one that names an index", r.code, r.err, files["index.json"])
	}
}
