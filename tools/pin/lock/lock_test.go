package lock_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"krabby.dev/krabby/tools/pin/lock"
)

func read(t *testing.T, content string) (*lock.File, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lock.json")
	if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
		t.Fatal(err)
	}
	f, err := lock.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return f, path
}

func TestWrite(t *testing.T) {
	f, path := read(t, `{"s": {"b": {"z": 1.50, "a": "<&>"}}}`)
	f.Set("s", "a", lock.Entry{"k": "v"})
	if err := f.Write(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "s": {
    "a": {
      "k": "v"
    },
    "b": {
      "a": "<&>",
      "z": 1.50
    }
  }
}
`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("files in the directory: %v %v, want one", entries, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v %v, want 0640", info.Mode(), err)
	}
}

func TestWrite_failure(t *testing.T) {
	f, path := read(t, `{}`)
	f.Set("s", "a", lock.Entry{"k": "v"})
	// A rename cannot replace a directory.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := f.Write(); err == nil {
		t.Error("Write replaced a directory")
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("files left behind: %v %v", entries, err)
	}
}

func TestDiff(t *testing.T) {
	f, _ := read(t, `{"s": {"a": {"same": ["x"], "old": "1"}}}`)
	f.Set("s", "a", lock.Entry{"old": "2", "new": []any{"<y>"}})
	got, err := f.Diff()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`+ s a: new ["<y>"]`, `- s a: old "1"`, `+ s a: old "2"`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDiff_layout(t *testing.T) {
	f, _ := read(t, `{"s": {"a": {"k": "v"}}}`)
	got, err := f.Diff()
	if err != nil || len(got) != 1 || got[0] != "~ layout only: order of keys or white space" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := f.Write(); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Diff(); err != nil || len(got) != 0 {
		t.Errorf("after Write: %q, %v", got, err)
	}
}

func TestEntry_copy(t *testing.T) {
	f, _ := read(t, `{"s": {"a": {"k": "v"}}}`)
	e, _ := f.Entry("s", "a")
	e["k"] = "changed"
	if again, _ := f.Entry("s", "a"); again["k"] != "v" {
		t.Errorf("the lock file has %q", again["k"])
	}
}
