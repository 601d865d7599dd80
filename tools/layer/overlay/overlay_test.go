package overlay

import (
	"archive/tar"
	"bytes"
	"io"
	"strings"
	"testing"
)

// layerOf returns a layer with entries: "dir/", "file", "link -> target".
func layerOf(t *testing.T, name string, entries ...string) Paths {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e, Typeflag: tar.TypeReg, Mode: 0o755}
		if link, target, ok := strings.Cut(e, " -> "); ok {
			h.Name, h.Linkname, h.Typeflag = link, target, tar.TypeSymlink
		} else if strings.HasSuffix(e, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := Read(Layer{name, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCheck(t *testing.T) {
	base := []string{"lib -> usr/lib", "usr/lib/", "usr/lib/libc.so", "var/run -> /run", "run/", "etc/localtime -> /usr/share/zoneinfo/UTC", "opt/app/x"}
	for name, tc := range map[string]struct {
		layer []string
		want  string
	}{
		"other paths":                     {[]string{"usr/lib/libz.so", "opt/app/y", "srv/"}, ""},
		"directory over a link":           {[]string{"lib/"}, "layer top: /lib is a directory, which hides the link to usr/lib of layer base"},
		"file below a link":               {[]string{"lib/x86_64-linux-gnu/libz.so.1"}, "layer top: /lib is a directory, which hides the link to usr/lib of layer base"},
		"link below a link":               {[]string{"./var/run/app -> /x"}, "/var/run is a directory, which hides the link to /run of layer base"},
		"file over a link to a directory": {[]string{"var/run"}, "/var/run is a file, which hides the link to the directory /run of layer base"},
		"file over a link to a file":      {[]string{"etc/localtime"}, ""},
		"directory over a dead link":      {[]string{"etc/localtime/"}, "/etc/localtime is a directory"},
		"link over a directory":           {[]string{"opt/app -> /srv"}, "layer top: /opt/app is no directory, and hides the directory of layer base"},
		"file over a directory":           {[]string{"usr/lib"}, "/usr/lib is no directory"},
		"equal link":                      {[]string{"lib -> usr/lib", "usr/lib/libz.so"}, ""},
		"other link":                      {[]string{"lib -> usr/lib64"}, ""},
		"removed link":                    {[]string{".wh.lib", "lib/x"}, ""},
		"removed directory":               {[]string{"opt/app/.wh..wh..opq", "opt/app/x/"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := Check([]Paths{layerOf(t, "base", base...), layerOf(t, "middle", "srv/x"), layerOf(t, "top", tc.layer...)})
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestRead_noTar(t *testing.T) {
	broken := Layer{"broken", func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(strings.Repeat("x", 1024))), nil }}
	if _, err := Read(broken); err == nil || !strings.Contains(err.Error(), "layer broken: archive/tar: invalid tar header") {
		t.Errorf("error %v", err)
	}
}
