package wheel

import (
	_ "embed"
	"path"
)

// siteCustomize is a module that Python imports at its start.
//
//go:embed sitecustomize.py
var siteCustomize []byte

// HasPathFile reports whether Python reads one of the files when it starts: a .pth file in the directory of modules.
func (s Scheme) HasPathFile(files []File) bool {
	for _, f := range files {
		if path.Dir(f.Path) == s.sitePackages() && path.Ext(f.Path) == ".pth" {
			return true
		}
	}
	return false
}

// SiteCustomize returns the module that makes the directory of modules a site directory. Python reads .pth files in its own
// directories only, not in those of PYTHONPATH.
func (s Scheme) SiteCustomize() File {
	return inMemory(path.Join(s.sitePackages(), "sitecustomize.py"), false, siteCustomize)
}
