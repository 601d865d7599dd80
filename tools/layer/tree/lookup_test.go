package tree

import (
	"slices"
	"testing"
)

func TestLookup(t *testing.T) {
	var tr Tree
	if err := tr.MergeUsr(false); err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]Entry{
		"/lib/x/a.so":       {Kind: File, Content: Bytes(nil)},
		"/opt/link":         {Kind: Symlink, Target: "../usr/lib/x"},
		"/opt/absolute":     {Kind: Symlink, Target: "/lib/x/a.so"},
		"/opt/loop":         {Kind: Symlink, Target: "loop"},
		"/opt/nowhere":      {Kind: Symlink, Target: "nothing"},
		"/opt/root":         {Kind: Symlink, Target: "/"},
		"/opt/out":          {Kind: Symlink, Target: "../../../usr"},
		"/var/lib/":         {Kind: Dir, Mode: 0o700},
		"/var/lib/dir/file": {Kind: File, Content: Bytes(nil)},
	} {
		if err := tr.Add(name, e); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name   string
		follow bool
		path   string
		kind   Kind
		ok     bool
	}{
		{"/", true, "", Dir, true},
		{"/usr/lib/x/a.so", true, "usr/lib/x/a.so", File, true},
		{"/lib/x/a.so", true, "usr/lib/x/a.so", File, true}, // In a merged /usr.
		{"/lib", true, "usr/lib", Dir, true},
		{"/opt/link", false, "opt/link", Symlink, true},
		{"/opt/link", true, "usr/lib/x", Dir, true},
		{"/opt/link/a.so", false, "usr/lib/x/a.so", File, true},
		{"/opt/absolute", true, "usr/lib/x/a.so", File, true},
		{"/opt/loop", true, "opt/loop", Symlink, false},
		{"/opt/nowhere", true, "opt/nothing", Dir, false},
		{"/opt/root", true, "", Dir, true},
		{"/opt/out/lib", true, "usr/lib", Dir, true},
		{"/var/lib/dir", true, "var/lib/dir", Dir, true}, // Not added itself.
		{"/var/lib/di", true, "var/lib/di", Dir, false},
		{"/var/../opt/../lib", true, "usr/lib", Dir, true},
	} {
		path, e, ok := tr.Lookup(tc.name, tc.follow)
		if path != tc.path || ok != tc.ok || ok && e.Kind != tc.kind {
			t.Errorf("Lookup(%s, %v) = %s, %v, %v; want %s, %v, %v", tc.name, tc.follow, path, e.Kind, ok, tc.path, tc.kind, tc.ok)
		}
	}
	if got := tr.Names("var/lib"); !slices.Equal(got, []string{"dir"}) {
		t.Errorf("names in /var/lib are %q", got)
	}
	if got := tr.Names(""); !slices.Equal(got, []string{"opt", "usr", "var"}) {
		t.Errorf("names in / are %q", got)
	}
}
