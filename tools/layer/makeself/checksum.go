package makeself

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"hash/crc32"
	"io"
	"math/bits"
	"regexp"
	"strconv"
	"strings"
)

// checksum is a checksum of the header. The embedded writer computes the checksum of the written bytes, which found returns.
type checksum struct {
	io.Writer
	name, expected string
	found          func() string
}

// checksumLines are the lines of checksums in the header. A value of zeros stands for no checksum.
var checksumLines = []struct {
	name string
	line *regexp.Regexp
	new  func() (io.Writer, func() string)
}{
	{"CRC", regexp.MustCompile(`(?m)^CRCsum="([0-9 ]*)"$`), func() (io.Writer, func() string) {
		crc := &posixCRC{crc: ^uint32(0)}
		return crc, crc.String
	}},
	{"MD5", regexp.MustCompile(`(?m)^MD5="([0-9a-f ]*)"$`), func() (io.Writer, func() string) { return hexadecimal(md5.New()) }},
	{"SHA-256", regexp.MustCompile(`(?m)^SHA="([0-9a-f ]*)"$`), func() (io.Writer, func() string) { return hexadecimal(sha256.New()) }},
}

func hexadecimal(h hash.Hash) (io.Writer, func() string) {
	return h, func() string { return hex.EncodeToString(h.Sum(nil)) }
}

func readChecksums(text []byte) ([]checksum, error) {
	var sums []checksum
	for _, c := range checksumLines {
		value, err := optional(text, c.line, c.name)
		if err != nil {
			return nil, err
		}
		value = strings.TrimSpace(value)
		if strings.Trim(value, "0") == "" {
			continue
		}
		w, found := c.new()
		sums = append(sums, checksum{Writer: w, name: c.name, expected: value, found: found})
	}
	return sums, nil
}

// posixCRC is the checksum of cksum(1). It has the polynomial of crc32.IEEE, but reads the bits of each byte in the opposite order,
// starts with zero and adds the length at the end. Reversing the bytes' bits makes the standard library compute it.
type posixCRC struct {
	crc      uint32
	length   uint64
	reversed []byte
}

func (c *posixCRC) Write(p []byte) (int, error) {
	c.length += uint64(len(p))
	c.update(p)
	return len(p), nil
}

func (c *posixCRC) update(p []byte) {
	c.reversed = c.reversed[:0]
	for _, b := range p {
		c.reversed = append(c.reversed, bits.Reverse8(b))
	}
	c.crc = crc32.Update(c.crc, crc32.IEEETable, c.reversed)
}

func (c *posixCRC) String() string {
	end := posixCRC{crc: c.crc}
	for n := c.length; n > 0; n >>= 8 {
		end.update([]byte{byte(n)})
	}
	return strconv.FormatUint(uint64(bits.Reverse32(end.crc)), 10)
}
