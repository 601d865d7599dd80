package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// startRegistry returns the address of a registry on this machine.
func startRegistry(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// emptyDockerConfig keeps the credentials of whoever runs the test out of it.
func emptyDockerConfig(t *testing.T) []string { return []string{"DOCKER_CONFIG=" + t.TempDir()} }

// pushTarget lays out what Bazel makes of an oci_push.
func pushTarget(t *testing.T, layout string, p pushParams) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "push")
	if err := os.CopyFS(filepath.Join(program+".runfiles", "_main", "robot", "image"), os.DirFS(layout)); err != nil {
		t.Fatal(err)
	}
	p.Label, p.Image = "//robot:push", "_main/robot/image"
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program+".json", data, 0o644); err != nil {
		t.Fatal(err)
	}
	return program
}

func tags(t *testing.T, repository string) []string {
	t.Helper()
	repo, err := name.NewRepository(repository)
	if err != nil {
		t.Fatal(err)
	}
	list, err := remote.List(repo)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

func TestPush_printsDigest(t *testing.T) {
	repository := startRegistry(t) + "/robots/locomotion"
	dir, img := build(t, scratch(t))
	program := pushTarget(t, dir, pushParams{Repository: values(repository), RemoteTags: values("1.2", "latest")})
	r := tool(t, t.TempDir(), emptyDockerConfig(t), program)
	if r.code != 0 {
		t.Fatalf("exit %d: %s", r.code, r.err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if want := repository + "@" + digest.String() + "\n"; r.out != want {
		t.Errorf("stdout %q, want %q", r.out, want)
	}
	if got, want := tags(t, repository), []string{"1.2", "latest"}; !slices.Equal(got, want) {
		t.Errorf("tags %q, want %q", got, want)
	}
}

func TestPush_flags(t *testing.T) {
	address := startRegistry(t)
	dir, r := buildIndex(t, platformImage(t, "arm64"), platformImage(t, "amd64"))
	if r.code != 0 {
		t.Fatalf("exit %d: %s", r.code, r.err)
	}
	program := pushTarget(t, dir, pushParams{Repository: values(address + "/robots/elsewhere"), RemoteTags: values("latest")})
	r = tool(t, t.TempDir(), emptyDockerConfig(t), program, "--repository", address+"/robots/testing", "--tag", "a", "-t", "b")
	if r.code != 0 {
		t.Fatalf("exit %d: %s", r.code, r.err)
	}
	if got, want := tags(t, address+"/robots/testing"), []string{"a", "b", "latest"}; !slices.Equal(got, want) {
		t.Errorf("tags %q, want %q", got, want)
	}
}

func TestPush_files(t *testing.T) {
	repository := startRegistry(t) + "/robots/locomotion"
	dir, _ := build(t, scratch(t))
	program := pushTarget(t, dir, pushParams{Repository: &lines{File: "_main/robot/repository"}, RemoteTags: &lines{File: "_main/robot/tags"}})
	for file, content := range map[string]string{"repository": repository + "\n", "tags": "one\ntwo\n"} {
		if err := os.WriteFile(filepath.Join(program+".runfiles", "_main", "robot", file), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if r := tool(t, t.TempDir(), emptyDockerConfig(t), program); r.code != 0 {
		t.Fatalf("exit %d: %s", r.code, r.err)
	}
	if got, want := tags(t, repository), []string{"one", "two"}; !slices.Equal(got, want) {
		t.Errorf("tags %q, want %q", got, want)
	}
}

func TestPush_failingCredentialHelper(t *testing.T) {
	for name, script := range map[string]string{
		"fails":         "#!/bin/sh\necho no such vault >&2\nexit 1\n",
		"knows nothing": "#!/bin/sh\necho credentials not found in native keychain\nexit 1\n",
		"is missing":    "",
	} {
		t.Run(name, func(t *testing.T) {
			address, home := startRegistry(t), t.TempDir()
			if script != "" {
				if err := os.WriteFile(filepath.Join(home, "docker-credential-vault"), []byte(script), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			config, err := json.Marshal(map[string]any{"credHelpers": map[string]string{address: "vault"}})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(home, "config.json"), config, 0o644); err != nil {
				t.Fatal(err)
			}
			dir, _ := build(t, scratch(t))
			program := pushTarget(t, dir, pushParams{Repository: values(address + "/robot")})
			r := tool(t, t.TempDir(), []string{"DOCKER_CONFIG=" + home, "PATH=" + home + ":/usr/bin:/bin"}, program)
			if r.code != 0 || !strings.HasPrefix(r.out, address+"/robot@sha256:") {
				t.Errorf("exit %d, stdout %q, stderr %q; want 0 and the digest", r.code, r.out, r.err)
			}
			if name != "knows nothing" && !strings.Contains(r.err, "note: no credentials for "+address) {
				t.Errorf("stderr %q, want a note that names %s", r.err, address)
			}
		})
	}
}

func TestPush_badInput(t *testing.T) {
	dir, _ := build(t, scratch(t))
	gone := httptest.NewServer(nil)
	gone.Close()
	address := strings.TrimPrefix(gone.URL, "http://")
	tests := []struct {
		name string
		p    pushParams
		code int
		args []string
		want string
	}{
		{"no repository", pushParams{}, 1, nil, "set the attribute repository"},
		{"a repository with a tag", pushParams{Repository: values("registry.example/robot:1")}, 1, nil, `repository "registry.example/robot:1"`},
		{"a bad tag", pushParams{Repository: values("registry.example/robot"), RemoteTags: values("not a tag")}, 1, nil, `tag "not a tag"`},
		{"a bad --tag", pushParams{Repository: values("registry.example/robot")}, 2, []string{"--tag=not a tag"}, `--tag "not a tag"`},
		{"a bad --repository", pushParams{}, 2, []string{"--repository=registry.example/robot:1"}, `--repository: repository "registry.example/robot:1"`},
		{"nobody there", pushParams{Repository: values(address + "/robot")}, 1, nil, address},
		{"an unknown flag", pushParams{}, 2, []string{"--force"}, "unknown flag --force"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := tool(t, t.TempDir(), emptyDockerConfig(t), pushTarget(t, dir, tt.p), tt.args...)
			if r.code != tt.code || !strings.Contains(r.err, tt.want) || r.out != "" {
				t.Errorf("exit %d, stdout %q, stderr %q; want %d, nothing and %q", r.code, r.out, r.err, tt.code, tt.want)
			}
		})
	}
}
