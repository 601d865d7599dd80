package compose

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"krabby.dev/rules_oci/internal/tarlayer"
)

func TestMergeEnv(t *testing.T) {
	base := []string{"PATH=/usr/bin:/bin", "EMPTY=", "URL=a=b"}
	for _, tc := range []struct {
		name    string
		entries []KeyValue
		want    []string
		err     string
	}{
		{"nothing", nil, base, ""},
		{"replaced in place", []KeyValue{{"PATH", "/x"}}, []string{"PATH=/x", "EMPTY=", "URL=a=b"}, ""},
		{"appended in order", []KeyValue{{"Z", "1"}, {"A", "2"}}, append(slices.Clone(base), "Z=1", "A=2"), ""},
		{"both spellings", []KeyValue{{"X", "$URL:${PATH}:end"}}, append(slices.Clone(base), "X=a=b:/usr/bin:/bin:end"), ""},
		{"longest name", []KeyValue{{"X", "$PATHX"}}, nil, "PATHX"},
		{"braces end a name", []KeyValue{{"X", "${EMPTY}X"}}, append(slices.Clone(base), "X=X"), ""},
		{"an earlier entry", []KeyValue{{"H", "/h"}, {"P", "$H/p"}}, append(slices.Clone(base), "H=/h", "P=/h/p"), ""},
		{"a later entry", []KeyValue{{"P", "$H/p"}, {"H", "/h"}}, nil, "neither the base nor an earlier entry"},
		{"no expansion of expansions", []KeyValue{{"A", "$$"}, {"B", "$A"}}, append(slices.Clone(base), "A=$$", "B=$$"), ""},
		{"a lone dollar", []KeyValue{{"A", "5 $ and ${"}}, append(slices.Clone(base), "A=5 $ and ${"), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := mergeEnv(base, tc.entries)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("error %v, want one with %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// farAway is a base whose layers nobody can reach.
type farAway struct{ v1.Image }

var errFar = errors.New("a layer of the base was asked for")

func (farAway) Layers() ([]v1.Layer, error)             { return nil, errFar }
func (farAway) LayerByDigest(v1.Hash) (v1.Layer, error) { return nil, errFar }
func (farAway) LayerByDiffID(v1.Hash) (v1.Layer, error) { return nil, errFar }

// TestImage_readsNoBaseLayer is what keeps the cost of an image independent of the
// size of its base.
func TestImage_readsNoBaseLayer(t *testing.T) {
	base, err := random.Image(64, 3)
	if err != nil {
		t.Fatal(err)
	}
	var data bytes.Buffer
	tw := tar.NewWriter(&data)
	if err := tw.WriteHeader(&tar.Header{Name: "app", Mode: 0o755}); err != nil {
		t.Fatal(err)
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "app.tar")
	if err := os.WriteFile(path, data.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	layer, err := tarlayer.FromFile(path, dir)
	if err != nil {
		t.Fatal(err)
	}

	img, err := Image(farAway{base}, []Addition{{layer, "//app"}}, Config{User: "10001"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	old, err := base.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Layers) != 4 {
		t.Fatalf("%d layers, want the base's 3 and ours", len(m.Layers))
	}
	for i, l := range old.Layers {
		if m.Layers[i].Digest != l.Digest {
			t.Errorf("layer %d is %s, want the base's %s", i, m.Layers[i].Digest, l.Digest)
		}
	}
	// random.Image speaks Docker's types, and a manifest speaks one language.
	if m.MediaType != types.DockerManifestSchema2 || m.Layers[3].MediaType != types.DockerLayer {
		t.Errorf("a base with Docker's types became %s with %s", m.MediaType, m.Layers[3].MediaType)
	}
	cf, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if cf.Config.User != "10001" || len(cf.RootFS.DiffIDs) != 4 {
		t.Errorf("config %+v", cf)
	}
}
