package deb

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	arMagic      = "!<arch>\n"
	arHeaderSize = 60
	arHeaderEnd  = "`\n"
)

// arReader reads the members of an ar archive in order. The existing Go packages for the format read damaged headers as zeros.
type arReader struct {
	r    io.Reader
	body *io.LimitedReader // The unread rest of the current member.
	pad  int64
}

func newArReader(r io.Reader) (*arReader, error) {
	magic := make([]byte, len(arMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != arMagic {
		return nil, fmt.Errorf("not a Debian package: it begins with %q, expected %q", magic, arMagic)
	}
	return &arReader{r: r}, nil
}

// next returns the next member, or io.EOF after the last.
func (a *arReader) next() (name string, body io.Reader, err error) {
	if a.body != nil {
		if _, err := io.CopyN(io.Discard, a.r, a.body.N+a.pad); err != nil {
			return "", nil, truncated(err)
		}
	}
	header := make([]byte, arHeaderSize)
	if _, err := io.ReadFull(a.r, header); err != nil {
		if errors.Is(err, io.EOF) {
			return "", nil, io.EOF
		}
		return "", nil, truncated(err)
	}
	h := string(header)
	if h[58:] != arHeaderEnd {
		return "", nil, fmt.Errorf("damaged member header: %q", h)
	}
	name = strings.TrimSuffix(strings.TrimRight(h[:16], " "), "/")
	size, err := strconv.ParseInt(strings.TrimRight(h[48:58], " "), 10, 64)
	if err != nil || size < 0 {
		return "", nil, fmt.Errorf("damaged size %q of member %q", h[48:58], name)
	}
	a.body = &io.LimitedReader{R: a.r, N: size}
	a.pad = size % 2
	return name, memberReader{a.body}, nil
}

// memberReader reads the body of a member. A body that ends early is an error.
type memberReader struct{ l *io.LimitedReader }

func (m memberReader) Read(p []byte) (int, error) {
	n, err := m.l.Read(p)
	if errors.Is(err, io.EOF) && m.l.N > 0 {
		err = truncated(io.ErrUnexpectedEOF)
	}
	return n, err
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the file is truncated")
	}
	return err
}
