package maintscript

import "sync"

// lockedRoot lets commands of a pipe, which run at the same time, use a tree one after the other.
type lockedRoot struct {
	mu   sync.Mutex
	root Root
}

func (l *lockedRoot) Lookup(name string, follow bool) (Entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.root.Lookup(name, follow)
}

func (l *lockedRoot) Names(dir string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.root.Names(dir)
}

func (l *lockedRoot) Mkdir(name string, mode int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.root.Mkdir(name, mode)
}

func (l *lockedRoot) Symlink(target, name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.root.Symlink(target, name)
}

func (l *lockedRoot) Rename(pkg, from, to string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.root.Rename(pkg, from, to)
}

func (l *lockedRoot) Excluded(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.root.Excluded(name)
}
