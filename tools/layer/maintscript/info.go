package maintscript

import (
	"io/fs"
	"time"
)

// info describes an entry of the tree as the interpreter expects it.
type info struct {
	name string
	mode fs.FileMode
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return 1 } // Scripts ask whether a file is empty, which packages do not ship.
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return time.Unix(0, 0) }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }
