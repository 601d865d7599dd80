package maintscript

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// fakeRoot is a tree: paths of directories end in a slash, "path -> target" is a link. It records what scripts make.
type fakeRoot struct {
	entries map[string]Entry
	made    []string
}

func newRoot(entries ...string) *fakeRoot {
	r := &fakeRoot{entries: map[string]Entry{"/": {Mode: fs.ModeDir | 0o755}}}
	for _, e := range entries {
		name, target, link := strings.Cut(e, " -> ")
		switch {
		case link:
			r.entries[name] = Entry{Mode: fs.ModeSymlink | 0o777, Target: target}
		case strings.HasSuffix(name, "/"):
			r.entries[strings.TrimSuffix(name, "/")] = Entry{Mode: fs.ModeDir | 0o755}
		default:
			r.entries[name] = Entry{Mode: 0o755, Open: func() (io.ReadCloser, error) {
				return io.NopCloser(strings.NewReader("content of " + name + "\n")), nil
			}}
		}
	}
	return r
}

func (r *fakeRoot) Lookup(name string, follow bool) (Entry, bool) {
	e, ok := r.entries[name]
	for links := 0; ok && follow && e.Target != ""; links++ {
		if links == 40 {
			return Entry{}, false // A loop.
		}
		if !path.IsAbs(e.Target) {
			name = path.Join(path.Dir(name), e.Target)
		} else {
			name = e.Target
		}
		e, ok = r.entries[name]
	}
	return e, ok
}

func (r *fakeRoot) Names(dir string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(r.entries)) {
		if name != "/" && path.Dir(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	return names
}

func (r *fakeRoot) Mkdir(name string, mode int64) error {
	r.entries[name] = Entry{Mode: fs.ModeDir | fs.FileMode(mode)}
	r.made = append(r.made, name+"/")
	return nil
}

func (r *fakeRoot) Symlink(target, name string) error {
	r.entries[name] = Entry{Mode: fs.ModeSymlink, Target: target}
	r.made = append(r.made, name+" -> "+target)
	return nil
}

func (r *fakeRoot) Rename(pkg, from, to string) error {
	r.made = append(r.made, pkg+": "+from+" to "+to)
	return nil
}

func (r *fakeRoot) Excluded(name string) bool { return strings.HasPrefix(name, "/usr/share/man/") }

func links(all ...string) []Link {
	var l []Link
	for _, a := range all {
		p, target, _ := strings.Cut(a, " -> ")
		l = append(l, Link{p, target})
	}
	return l
}

func TestPostinst_alternatives(t *testing.T) {
	root := newRoot("/usr/bin/mawk", "/usr/bin/xz", "/usr/bin/xzcat", "/usr/share/man/man1/mawk.1.gz", "/opt/blas", "/opt/openblas")
	for name, tc := range map[string]struct {
		scripts []string
		want    []Link
	}{
		"slaves": {
			[]string{`if [ "$1" = "configure" ] || [ "$1" = "abort-upgrade" ]; then
	update-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5 \
		--slave /usr/share/man/man1/awk.1.gz awk.1.gz /usr/share/man/man1/mawk.1.gz \
		--slave /usr/bin/nawk nawk /usr/bin/mawk --slave /usr/bin/gone gone /usr/bin/not-there
fi`},
			links("/usr/bin/awk -> /etc/alternatives/awk", "/etc/alternatives/awk -> /usr/bin/mawk", "/usr/bin/nawk -> /etc/alternatives/nawk", "/etc/alternatives/nawk -> /usr/bin/mawk"),
		},
		"computed arguments": {
			[]string{`slave () {
	dir=$1 filename=$2 target=$3
	echo "--slave $dir/$filename $filename $dir/$target"
}
update-alternatives --quiet --install /usr/bin/lzma lzma /usr/bin/xz 20 $(
	for util in cat less; do slave /usr/bin lz$util xz$util; done
)`},
			links("/usr/bin/lzma -> /etc/alternatives/lzma", "/etc/alternatives/lzma -> /usr/bin/xz", "/usr/bin/lzcat -> /etc/alternatives/lzcat", "/etc/alternatives/lzcat -> /usr/bin/xzcat"),
		},
		"highest priority": {
			[]string{"update-alternatives --install /lib/libblas.so.3 blas /opt/blas 10", "update-alternatives --install /lib/libblas.so.3 blas /opt/openblas 100"},
			links("/lib/libblas.so.3 -> /etc/alternatives/blas", "/etc/alternatives/blas -> /opt/openblas"),
		},
		"equal priorities": {
			[]string{"update-alternatives --install /l blas /opt/openblas 10", "update-alternatives --install /l blas /opt/blas 10"},
			links("/l -> /etc/alternatives/blas", "/etc/alternatives/blas -> /opt/blas"),
		},
		"chosen": {
			[]string{"update-alternatives --install /l blas /opt/openblas 10; update-alternatives --install /l blas /opt/blas 1; update-alternatives --set blas /opt/blas"},
			links("/l -> /etc/alternatives/blas", "/etc/alternatives/blas -> /opt/blas"),
		},
		"removed": {
			[]string{"update-alternatives --install /l blas /opt/blas 10; update-alternatives --remove blas /opt/blas; update-alternatives --remove-all other"}, nil,
		},
		"excluded":            {[]string{"update-alternatives --install /m m /usr/share/man/x 1"}, nil},
		"only when removed":   {[]string{`case "$1" in remove) update-alternatives --install /l blas /opt/blas 10;; configure) ;; *) exit 1;; esac`}, nil},
		"of an older version": {[]string{`if dpkg --compare-versions "$2" lt-nl 3.7; then update-alternatives --install /l blas /opt/blas 10; fi`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var s State
			for _, script := range tc.scripts {
				if err := s.Postinst(Package{"p", "amd64"}, []byte("#!/bin/sh\nset -e\n"+script+"\n"), root); err != nil {
					t.Fatal(err)
				}
			}
			if got := s.Alternatives(); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("links %v, want %v", got, tc.want)
			}
		})
	}
}

func TestPreinst_diversions(t *testing.T) {
	var s State
	script := `#!/bin/sh -e
if [ "$1" = install ] || [ "$1" = upgrade ]; then
	dpkg-divert --package glx --add --rename --divert /usr/lib/mesa/libGL.so.1 /usr/lib/libGL.so.1
	dpkg-divert --add /etc/x --no-rename
	dpkg-divert --local --add --divert=/etc/z /etc/y
	dpkg-divert --add /etc/gone
	dpkg-divert --remove /etc/gone
	[ "$(dpkg-divert --listpackage /etc/x)" = glx ] && [ "$(dpkg-divert --truename /etc/x)" = /etc/x.distrib ]
fi`
	root := newRoot()
	if err := s.Preinst(Package{"glx", "amd64"}, []byte(script), root); err != nil {
		t.Fatal(err)
	}
	if want := []string{"glx: /usr/lib/libGL.so.1 to /usr/lib/mesa/libGL.so.1"}; !slices.Equal(root.made, want) {
		t.Errorf("renamed %q, want %q", root.made, want)
	}
	want := []Diversion{{"glx", "/etc/x", "/etc/x.distrib"}, {"", "/etc/y", "/etc/z"}, {"glx", "/usr/lib/libGL.so.1", "/usr/lib/mesa/libGL.so.1"}}
	if got := s.Diversions(); !reflect.DeepEqual(got, want) {
		t.Errorf("diversions %v, want %v", got, want)
	}
	for _, tc := range [][3]string{
		{"mesa", "/usr/lib/libGL.so.1", "/usr/lib/mesa/libGL.so.1"}, {"glx", "/usr/lib/libGL.so.1", "/usr/lib/libGL.so.1"},
		{"glx", "/etc/y", "/etc/z"}, {"mesa", "/etc/other", "/etc/other"},
	} {
		if got := s.Divert(tc[0], tc[1]); got != tc[2] {
			t.Errorf("%s of %s goes to %s, want %s", tc[1], tc[0], got, tc[2])
		}
	}
	err := s.Preinst(Package{"other", "amd64"}, []byte("#!/bin/sh\ndpkg-divert --add /etc/x\n"), newRoot())
	if err == nil || !strings.Contains(err.Error(), "/etc/x is already diverted to /etc/x.distrib by glx") {
		t.Errorf("error %v", err)
	}
}

func TestPostinst_tree(t *testing.T) {
	for name, tc := range map[string]struct {
		script string
		want   []string
	}{
		"links and directories": {`
mkdir -p /var/lib/a "$DPKG_ROOT/etc"
mkdir -m 1777 /var/b
ln -sf debian /etc/origin
ln -s /usr/bin/tool /usr/local/
cd /var/b && ln -snf ../lib here`, []string{"/var/lib/a/", "/var/b/", "/etc/origin -> debian", "/usr/local/tool -> /usr/bin/tool", "/var/b/here -> ../lib"}},
		"equal link":             {`ln -sf tool /usr/bin/same`, nil},
		"existing files":         {`[ ! -e /usr/bin/touch ] || exit 0; rm /x`, nil},
		"programs in the tree":   {`if command -v py3compile >/dev/null; then py3compile -p x; fi; if which tool >/dev/null 2>&1; then ln -s a /tool; fi`, []string{"/tool -> a"}},
		"programs of no machine": {`if command -v sysctl > /dev/null || type sh || [ -x /bin/sh ] || [ -d /run/systemd/system ]; then sysctl x; fi`, nil},
		"patterns":               {`for f in /etc/conf.d/*.conf; do ln -s "$f" "/run/$(basename "$f" )"; done`, []string{"/run/a.conf -> /etc/conf.d/a.conf", "/run/b.conf -> /etc/conf.d/b.conf"}},
		"contents":               {`read -r line < /etc/conf.d/a.conf; ln -s "$line" /l; cat /etc/conf.d/b.conf | { read x; ln -s "$x" /m; }`, []string{"/l -> content of /etc/conf.d/a.conf", "/m -> content of /etc/conf.d/b.conf"}},
		"without effect":         {`deb-systemd-helper unmask x >/dev/null || true; systemctl daemon-reload; dpkg-maintscript-helper rm_conffile /etc/x 1 -- "$@"; rm -f /etc/gone; rmdir --ignore-fail-on-non-empty /gone 2>/dev/null || :`, nil},
		"environment":            {`ln -s "$DPKG_MAINTSCRIPT_PACKAGE-$DPKG_MAINTSCRIPT_ARCH-$DPKG_MAINTSCRIPT_NAME-$(dpkg --print-architecture)-$1-$2" /e`, []string{"/e -> p-arm64-postinst-arm64-configure-"}},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRoot("/etc/", "/usr/bin/touch", "/usr/bin/tool", "/usr/bin/same -> tool", "/usr/local/", "/etc/conf.d/", "/etc/conf.d/a.conf", "/etc/conf.d/b.conf", "/etc/conf.d/c.txt")
			var s State
			if err := s.Postinst(Package{"p", "arm64"}, []byte("#!/bin/sh\nset -e\n"+tc.script+"\n"), root); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(root.made, tc.want) {
				t.Errorf("made %q, want %q", root.made, tc.want)
			}
		})
	}
}

// TestPostinst_pipe has commands that run at the same time; the race detector finds what they share.
func TestPostinst_pipe(t *testing.T) {
	var s State
	script := "#!/bin/sh\nln -s a /a | ln -s b /b | update-alternatives --install /l n /x 1 | dpkg-divert --add /y | [ -e /a ] || true\n"
	root := newRoot("/x")
	if err := s.Postinst(Package{"p", "amd64"}, []byte(script), root); err != nil {
		t.Fatal(err)
	}
	if slices.Sort(root.made); !slices.Equal(root.made, []string{"/a -> a", "/b -> b"}) || len(s.Alternatives()) != 2 || len(s.Diversions()) != 1 {
		t.Errorf("made %q, alternatives %v, diversions %v", root.made, s.Alternatives(), s.Diversions())
	}
}

func TestPostinst_ldconfig(t *testing.T) {
	var s State
	if err := s.Postinst(Package{"p", "amd64"}, []byte("#!/bin/bash\nif [ \"$1\" = configure ]; then\n  ldconfig\nfi\n"), newRoot()); err != nil {
		t.Fatal(err)
	}
	if !s.LinkerCache() {
		t.Error("the call of ldconfig is not reported")
	}
}

func TestPostinst_unsupported(t *testing.T) {
	for script, want := range map[string]Unsupported{
		"#!/bin/sh\nset -e\n\nadduser --system robot || true\n":                     {"postinst", 4, "adduser --system robot"},
		"#!/bin/sh\nset -e\nif [ \"$1\" = configure ]; then\n\tchmod 4755 /x\nfi\n": {"postinst", 4, "chmod 4755 /x"},
		"#!/bin/sh\nx=$(sed s/a/b/ /etc/x)\n":                                       {"postinst", 2, "sed s/a/b/ /etc/x"},
		"#!/bin/sh\ntrue\necho x | tee /etc/x\n":                                    {"postinst", 3, "tee /etc/x"},
		"#!/bin/sh\n\necho hosts > /etc/hosts\n":                                    {"postinst", 3, "writes /etc/hosts"},
		"#!/bin/sh\nf=/etc/x\ncat >> \"$f\" <<EOF\ntext\nEOF\n":                     {"postinst", 3, "writes /etc/x"},
		"#!/bin/sh\n. /usr/share/debconf/confmodule\n":                              {"postinst", 2, "asks questions by debconf"},
		"#!/bin/sh\n. /lib/lsb/init-functions\n":                                    {"postinst", 2, "reads /lib/lsb/init-functions"},
		"#!/usr/bin/perl\nprint 1;\n":                                               {"postinst", 1, "a script of perl, not of sh"},
		"\x7fELF":                                                                   {"postinst", 0, "not a script: it does not begin with #!"},
		"#!/bin/sh\nif true; then\n":                                                {"postinst", 0, "syntax error: 2:"},
		"#!/bin/bash\ncat <(ls)\n":                                                  {"postinst", 2, "process substitution"},
		"#!/bin/sh\nexit 3\n":                                                       {"postinst", 2, "the script ends with exit code 3 here"},
		"#!/bin/sh -e\nfalse\ntrue\n":                                               {"postinst", 2, "the script ends with exit code 1 here"},
		"#!/bin/sh\nwhile true; do :; done\n":                                       {"postinst", 2, "more than 100000 commands: an endless loop?"},
		"#!/bin/sh\nupdate-alternatives --install /l n /nothing 1\n":                {"postinst", 2, "update-alternatives --install /l n /nothing 1: /nothing not found in the layer"},
		"#!/bin/sh\nupdate-alternatives --config editor\n":                          {"postinst", 2, `update-alternatives --config editor: unsupported or incomplete argument "--config"`},
		"#!/bin/sh\nrm /usr/bin/tool\n":                                             {"postinst", 2, "rm /usr/bin/tool: /usr/bin/tool exists"},
		"#!/bin/sh\nln -sf other /usr/bin/tool\n":                                   {"postinst", 2, "ln -sf other /usr/bin/tool: /usr/bin/tool exists, and is not this link"},
		"#!/bin/sh\nln /usr/bin/tool /usr/bin/hard\n":                               {"postinst", 2, "ln /usr/bin/tool /usr/bin/hard: expected a symbolic link, with the flags -s, -f, -n, -T and -v only"},
		"#!/bin/sh\ndpkg --compare-versions 1.0 lt 2\n":                             {"postinst", 2, "dpkg --compare-versions 1.0 lt 2: expected the version before the installation, or --print-architecture"},
		"#!/bin/sh\n/usr/bin/tool --now &\nwait\n":                                  {"postinst", 2, "a command in the background"},
	} {
		var s State
		err := s.Postinst(Package{"p", "amd64"}, []byte(script), newRoot("/usr/bin/tool"))
		got, ok := errors.AsType[*Unsupported](err)
		if !ok {
			t.Errorf("%q: error %v, want %v", script, err, want)
			continue
		}
		if got.Script != want.Script || got.Line != want.Line || !strings.HasPrefix(got.What, want.What) {
			t.Errorf("%q: error %v, want %v", script, got, &want)
		}
	}
}
