package measure

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestParse(t *testing.T) {
	for name, test := range map[string]struct {
		data  string
		want  Bytes
		fails string
	}{
		"both":         {data: "rchar: 6976\nwchar: 12\nsyscr: 10\n", want: Bytes{Read: 6976, Written: 12}},
		"only one":     {data: "rchar: 6976\n", fails: "expected rchar and wchar"},
		"not a number": {data: "rchar: many\nwchar: 12\n", fails: `rchar: found "many", expected a number`},
		"empty":        {data: "", fails: "expected rchar and wchar"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse([]byte(test.data))
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("parse = %v, %v, want an error with %q", got, err, test.fails)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("parse = %v, %v, want %v", got, err, test.want)
			}
		})
	}
}

// TestMain makes this program the command that the tests run.
func TestMain(m *testing.M) {
	switch args := os.Args[1:]; {
	case len(args) == 3 && args[0] == "copy":
		data, err := os.ReadFile(args[1])
		if err == nil {
			err = os.WriteFile(args[2], data, 0o644)
		}
		if err != nil {
			panic(err)
		}
		os.Exit(0)
	case len(args) > 1 && args[0] == "parent":
		cmd := exec.Command(os.Args[0], args[1:]...)
		if err := cmd.Run(); err != nil {
			panic(err)
		}
		os.Exit(0)
	case len(args) == 1 && args[0] == "fail":
		os.Stderr.WriteString("disk full\n")
		os.Exit(3)
	case len(args) == 1 && args[0] == "hang":
		time.Sleep(time.Minute)
	}
	os.Exit(m.Run())
}

func TestCommand_bytes(t *testing.T) {
	const size = 3 << 20
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	if err := os.WriteFile(source, make([]byte, size), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"itself": {"copy", source, filepath.Join(dir, "itself")},
		"child":  {"parent", "copy", source, filepath.Join(dir, "child")},
	} {
		t.Run(name, func(t *testing.T) {
			cost, _, err := Command(t.Context(), exec.Command(os.Args[0], args...))
			if err != nil {
				t.Fatal(err)
			}
			// Go's runtime reads far less at its start.
			if cost.Read < size || cost.Read > size+size/2 || cost.Written < size || cost.Written > size+size/2 {
				t.Errorf("read %d and wrote %d, want a little over %d", cost.Read, cost.Written, size)
			}
			if cost.Time <= 0 {
				t.Errorf("took %v", cost.Time)
			}
		})
	}
}

func TestCommand_failure(t *testing.T) {
	_, _, err := Command(t.Context(), exec.Command(os.Args[0], "fail"))
	if err == nil || !strings.Contains(err.Error(), "exit status 3: disk full") {
		t.Errorf("err = %v, want the exit status and the program's output", err)
	}
}

func TestCommand_contextDone(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := Command(ctx, exec.Command(os.Args[0], "hang")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v, want the context's", err)
	}
}

func TestRegistry_counts(t *testing.T) {
	r := StartRegistry()
	defer r.Close()
	img, err := random.Image(100_000, 2)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(r.Host() + "/a:b")
	if err != nil {
		t.Fatal(err)
	}
	want := int64(0)
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		size, err := layer.Size()
		if err != nil {
			t.Fatal(err)
		}
		want += size
	}
	for _, part := range []func() ([]byte, error){img.RawConfigFile, img.RawManifest} {
		data, err := part()
		if err != nil {
			t.Fatal(err)
		}
		want += int64(len(data))
	}
	if err := remote.Write(tag, img, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := r.Received(); got != want {
		t.Errorf("received %d bytes, want %d: layers, config and manifest, once each", got, want)
	}

	before := r.Served()
	answer, err := http.Get("http://" + r.Host() + "/v2/a/manifests/b")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Served() - before; got != int64(len(body)) || len(body) == 0 {
		t.Errorf("served %d bytes, want the manifest's %d", got, len(body))
	}
}

func TestRegistry_syntheticBlob(t *testing.T) {
	const size = 3_000_000
	digest := "sha256:" + strings.Repeat("ab", 32)
	r := StartRegistry()
	defer r.Close()
	r.AddSyntheticBlob(digest, size)
	for _, test := range []struct {
		method, path string
		status       int
		served       int64
	}{
		{http.MethodHead, "/v2/a/blobs/" + digest, http.StatusOK, 0},
		{http.MethodPost, "/v2/b/blobs/uploads/?from=a&mount=" + digest, http.StatusCreated, 0},
		{http.MethodGet, "/v2/a/blobs/" + digest, http.StatusOK, size},
	} {
		request, err := http.NewRequestWithContext(t.Context(), test.method, "http://"+r.Host()+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		before := r.Served()
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if served := r.Served() - before; err != nil || answer.StatusCode != test.status || served != test.served {
			t.Errorf("%s: status %d, %d bytes served, %v, want %d and %d", test.method, answer.StatusCode, served, err, test.status, test.served)
		}
	}
}
