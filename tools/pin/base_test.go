package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bazelbuild/buildtools/build"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"krabby.dev/krabby/internal/testfile"
	"krabby.dev/krabby/tools/facts"
)

// serveBase serves repository/base: the tag "one" is an image for arm64, the tag "both" an index with two platforms. It counts the
// GET requests for blobs.
func serveBase(t *testing.T) (host string, blobs *int) {
	blobs = new(int)
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			*blobs++
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	host = strings.TrimPrefix(server.URL, "http://")

	arm, amd := baseImage(t, "arm64", "CUDA_VERSION=13.0.2.006"), baseImage(t, "amd64", "CUDA_VERSION=13.0.2.007", "PYVER=3.12")
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: arm, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}},
		mutate.IndexAddendum{Add: amd, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
	)
	push := func(tag string) name.Reference {
		ref, err := name.ParseReference(host + "/repository/base:" + tag)
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	if err := remote.Write(push("one"), arm); err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(push("both"), index); err != nil {
		t.Fatal(err)
	}
	bare := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: amd, Descriptor: v1.Descriptor{}}, mutate.IndexAddendum{Add: arm, Descriptor: v1.Descriptor{}})
	if err := remote.WriteIndex(push("bare"), bare); err != nil {
		t.Fatal(err)
	}
	variant := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: arm, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}}})
	if err := remote.WriteIndex(push("v8"), variant); err != nil {
		t.Fatal(err)
	}
	*blobs = 0
	return host, blobs
}

func baseImage(t *testing.T, architecture string, env ...string) v1.Image {
	image, err := random.Image(1024, 3)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config.OS, config.Architecture, config.Config.Env = "linux", architecture, env
	image, err = mutate.ConfigFile(image, config)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

const (
	baseLockBefore = `{"bases": {"base": {"image": "HOST/repository/base", "tag": "one", "digest": "", "platforms": {
  "linux/arm64": {"digest": "", "facts": {"cuda": "13.0", "python": "3.12"}, "source": "documents"}}}}}`
	moduleBefore = `# A comment.
oci.pull(
    name = "base",
    image = "HOST/repository/base",
    tag = "one",
)
`
)

// withBase returns a machine whose lock file and MODULE.bazel have one base image.
func withBase(t *testing.T, host string) *machine {
	oci := testfile.Find(t, "KRABBY_OCI")
	m := newMachine(t)
	t.Setenv("KRABBY_OCI", oci)
	m.write(m.workspace, baseLock, strings.ReplaceAll(baseLockBefore, "HOST", host))
	m.write(m.workspace, moduleFile, strings.ReplaceAll(moduleBefore, "HOST", host))
	return m
}

func TestBase(t *testing.T) {
	host, blobs := serveBase(t)
	m := withBase(t, host)
	m.pin(0, "base")
	lock, err := facts.ReadLock(filepath.Join(m.workspace, baseLock))
	if err != nil {
		t.Fatal(err)
	}
	pin, platform, err := lock.Find("base", "linux/arm64")
	if err != nil {
		t.Fatal(err)
	}
	// Values of the config win over documents; documents fill in values that the config does not have.
	if want := (facts.Base{Architecture: "arm64", CUDA: "13.0.2.006", Python: "3.12"}); platform.Facts != want || platform.Source != facts.FromImage {
		t.Errorf("found facts %+v from %s, expected %+v from %s", platform.Facts, platform.Source, want, facts.FromImage)
	}
	if pin.Digest == "" || pin.Digest != platform.Digest {
		t.Errorf("found digests %q and %q, expected the image's", pin.Digest, platform.Digest)
	}
	want := strings.ReplaceAll(strings.Replace(moduleBefore, "    image", "    digest = \""+pin.Digest+"\",\n    image", 1), "HOST", host)
	if got := m.read(m.workspace, moduleFile); got != want {
		t.Errorf("MODULE.bazel is\n%s\nexpected\n%s", got, want)
	}
	if *blobs != 1 {
		t.Errorf("%d blobs were fetched, expected only the config", *blobs)
	}
	if _, last := m.pin(0, "base", "--check"); !strings.HasSuffix(last, "is up to date") {
		t.Errorf("--check of a new lock file: last line %q", last)
	}
	m.pin(0, "base", "--pinned")
}

func TestBase_index(t *testing.T) {
	host, _ := serveBase(t)
	m := withBase(t, host)
	m.pin(0, "base", "base", "--tag=both")
	lock, err := facts.ReadLock(filepath.Join(m.workspace, baseLock))
	if err != nil {
		t.Fatal(err)
	}
	pin, platform, err := lock.Find("base", "linux/arm64")
	if err != nil {
		t.Fatal(err)
	}
	if pin.Tag != "both" || pin.Digest == platform.Digest || platform.Facts.CUDA != "13.0.2.006" {
		t.Errorf("found tag %s, index %s, image %s, %+v; expected the arm64 image of the index", pin.Tag, pin.Digest, platform.Digest, platform.Facts)
	}
}

// linux/arm64 is linux/arm64/v8, and an entry of an index without platform has that of its config.
func TestBase_platforms(t *testing.T) {
	host, _ := serveBase(t)
	for _, platform := range []string{"linux/arm64", "linux/arm64/v8"} {
		for _, tag := range []string{"one", "both", "bare", "v8"} {
			t.Run(platform+" of "+tag, func(t *testing.T) {
				m := withBase(t, host)
				m.write(m.workspace, baseLock, strings.Replace(m.read(m.workspace, baseLock), "linux/arm64", platform, 1))
				m.pin(0, "base", "base", "--tag="+tag)
				lock, err := facts.ReadLock(filepath.Join(m.workspace, baseLock))
				if err != nil {
					t.Fatal(err)
				}
				if _, found, err := lock.Find("base", platform); err != nil || found.Facts.CUDA != "13.0.2.006" {
					t.Errorf("found %+v, error %v; expected the image for arm64", found, err)
				}
			})
		}
	}
}

// The certificate of a registry is verified unless --insecure is set.
func TestBase_insecure(t *testing.T) {
	server := httptest.NewTLSServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	host := strings.TrimPrefix(server.URL, "https://")
	ref, err := name.ParseReference(host + "/repository/base:one")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, baseImage(t, "arm64"), remote.WithTransport(server.Client().Transport)); err != nil {
		t.Fatal(err)
	}
	withBase(t, host).fails(1, "certificate", "base")
	withBase(t, host).pin(0, "base", "--insecure")
}

func TestBase_failure(t *testing.T) {
	host, _ := serveBase(t)
	for _, tc := range []struct {
		name     string
		old, new string // In the lock file.
		args     []string
		code     int
		want     string
	}{
		{name: "no such tag", args: []string{"--tag=none", "base"}, code: 1, want: "MANIFEST_UNKNOWN"},
		{name: "no such base", args: []string{"other"}, code: 2, want: `"other" not found in bases of third_party/nvidia/lock.json (known: base)`},
		{name: "another platform", old: "linux/arm64", new: "linux/amd64", code: 1, want: "found platform linux/arm64, expected linux/amd64 of the lock file"},
		{name: "not in the index", old: "linux/arm64", new: "linux/s390x", args: []string{"base", "--tag=both"}, code: 1, want: "no image for linux/s390x in the index (found linux/arm64, linux/amd64)"},
		{name: "another variant", old: "linux/arm64", new: "linux/arm64/v9", args: []string{"base", "--tag=v8"}, code: 1, want: "no image for linux/arm64/v9 in the index (found linux/arm64/v8)"},
		{name: "not in MODULE.bazel", old: `"base"`, new: `"lost"`, code: 1, want: `oci.pull(name = "lost") not found in MODULE.bazel`},
		{name: "not pinned", args: []string{"--pinned"}, code: 1, want: "third_party/nvidia/lock.json: no digest of base (" + host + "/repository/base:one)"},
		{name: "check", args: []string{"--check"}, code: 1, want: "is out of date: run the command without --check"},
		{name: "tag without a base", args: []string{"--tag=one"}, code: 2, want: "--tag requires BASE"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := withBase(t, host)
			m.write(m.workspace, baseLock, strings.Replace(m.read(m.workspace, baseLock), tc.old, tc.new, 1))
			m.fails(tc.code, tc.want, append([]string{"base"}, tc.args...)...)
		})
	}
}

// TestModule_matchesLockFile compares the two files of this repository, because MODULE.bazel cannot read the lock file.
func TestModule_matchesLockFile(t *testing.T) {
	root := "../.." // Tests start in the directory of their package.
	pins, err := facts.ReadLock(filepath.Join(root, baseLock))
	if err != nil {
		t.Fatal(err)
	}
	module, err := readModule(filepath.Join(root, moduleFile))
	if err != nil {
		t.Fatal(err)
	}
	pulls := map[string]*build.Rule{}
	for _, rule := range module.file.Rules("oci.pull") {
		pulls[rule.Name()] = rule
	}
	for name, pin := range pins.Bases {
		pull, ok := pulls[name]
		if !ok {
			t.Errorf("oci.pull(name = %q) not found in MODULE.bazel", name)
			continue
		}
		delete(pulls, name)
		for attribute, want := range map[string]string{"image": pin.Image, "tag": pin.Tag, "digest": pin.Digest} {
			if got := pull.AttrString(attribute); got != want {
				t.Errorf("oci.pull(name = %q): %s: found %q, expected %q of %s: run 'pin base %s'", name, attribute, got, want, baseLock, name)
			}
		}
		for platform := range pin.Platforms {
			if got := pull.AttrStrings("platforms"); len(got) != 1 || got[0] != platform {
				t.Errorf("oci.pull(name = %q): platforms: found %q, expected %q", name, got, platform)
			}
		}
	}
	for name := range pulls {
		t.Errorf("oci.pull(name = %q) of MODULE.bazel not found in %s", name, baseLock)
	}
}
