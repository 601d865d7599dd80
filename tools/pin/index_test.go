package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/internal/testfile"
	"krabby.dev/krabby/tools/layer/wheel"
	"krabby.dev/krabby/tools/layer/wheel/wheeltest"
)

// clearPrograms removes the variables of programs and of proxies, so that the configuration of the machine has no effect on a test.
func clearPrograms(t *testing.T) {
	t.Helper()
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "UV_") || name == "KRABBY_UV" || name == "KRABBY_OCI" || strings.HasSuffix(strings.ToLower(name), "_proxy") {
			t.Setenv(name, value) // Restores it after the test.
			os.Unsetenv(name)
		}
	}
}

// index is a package index on this machine, and the machine whose pip is configured for it.
type index struct {
	*machine
	server *httptest.Server
	files  map[string][]byte
	yanked map[string]string // Reasons by file name.
	bare   bool              // Links have no hashes.
}

// newIndex returns a machine with the real uv.
func newIndex(t *testing.T) *index {
	t.Helper()
	uv := testfile.Find(t, "KRABBY_UV")
	x := &index{machine: newMachine(t, "python3"), files: map[string][]byte{}, yanked: map[string]string{}}
	t.Setenv("KRABBY_UV", uv)
	x.server = httptest.NewServer(x)
	t.Cleanup(x.server.Close)
	x.write(x.answers, "pip-config", ":env:.index-url='"+x.server.URL+"/simple'\n")
	return x
}

// add publishes a wheel with additional fields of METADATA.
func (x *index) add(filename string, fields ...string) {
	x.t.Helper()
	data, err := os.ReadFile(wheeltest.Write(x.t, filename, fields))
	if err != nil {
		x.t.Fatal(err)
	}
	x.files[filename] = data
}

func (x *index) sha256(filename string) string {
	return fmt.Sprintf("%x", sha256.Sum256(x.files[filename]))
}

func (x *index) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if name, found := strings.CutPrefix(r.URL.Path, "/files/"); found {
		if data, ok := x.files[name]; ok {
			http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
			return
		}
	}
	project := path.Base(r.URL.Path)
	var names []string
	for name := range x.files {
		if head, _, _ := strings.Cut(name, "-"); wheel.Normalize(head) == project {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		http.NotFound(w, r)
		return
	}
	slices.Sort(names)
	w.Header().Set("Content-Type", "text/html")
	for _, name := range names {
		hash, attribute := "#sha256="+x.sha256(name), ""
		if x.bare {
			hash = ""
		}
		if reason, ok := x.yanked[name]; ok {
			attribute = fmt.Sprintf(" data-yanked=%q", reason)
		}
		fmt.Fprintf(w, "<a href=\"/files/%s%s\"%s>%s</a>\n", name, hash, attribute, name)
	}
}

// links writes the files into a directory and configures pip for it instead of the index.
func (x *index) links() {
	x.t.Helper()
	dir := x.t.TempDir()
	for name, data := range x.files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			x.t.Fatal(err)
		}
	}
	x.server.Close()
	x.write(x.answers, "pip-config", ":env:.find-links='/nonexistent "+dir+"'\n:env:.no-index='1'\n")
}
