package main

import (
	"errors"
	"io"
	"os"

	"krabby.dev/krabby/tools/layer/tree"
)

// spool is a temporary file without a name that holds contents until the layer is written.
type spool struct {
	dir  string
	file *os.File
	size int64
}

// add copies r to the end of the spool.
func (s *spool) add(r io.Reader) (*tree.Content, error) {
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, ".layer-*")
		if err != nil {
			return nil, err
		}
		s.file = f
		// The file system frees the file when the process ends, also after a crash.
		if err := os.Remove(f.Name()); err != nil {
			return nil, err
		}
	}
	begin := s.size
	n, err := io.Copy(s.file, r)
	s.size += n
	if err != nil {
		return nil, err
	}
	return &tree.Content{Size: n, Open: func() (io.ReadCloser, error) {
		if s.file == nil {
			return nil, errors.New("read of a spooled file after the layer was written")
		}
		return io.NopCloser(io.NewSectionReader(s.file, begin, n)), nil
	}}, nil
}

func (s *spool) close() {
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
}
