package makeself

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// header holds the values of the shell script in front of the payload.
type header struct {
	version, label, compression string

	base64 bool // Whether the payload is encoded with base64.

	offset, payload int64 // Position and length of the payload, in bytes.
	unpacked        int64 // Unpacked size in bytes, 0 if the header has none.
	sums            []checksum
}

// maxHeader is the largest size of the script in bytes. The script of makeself has 17 kB and can contain a licence.
const maxHeader = 1 << 20

// Lines of the script that describe the payload. The expressions are strict, so a licence text in the script cannot match: its
// quotes are escaped.
var (
	versionLine     = regexp.MustCompile(`(?m)^# This script was generated using Makeself (\S+)$`)
	labelLine       = regexp.MustCompile(`(?m)^label="(.*)"$`)
	filesizesLine   = regexp.MustCompile(`(?m)^filesizes="([0-9 ]+)"$`)
	totalsizeLine   = regexp.MustCompile(`(?m)^totalsize="([0-9]+)"$`)
	skipLine        = regexp.MustCompile(`(?m)^skip="([0-9]+)"$`)
	oldSkipLine     = regexp.MustCompile("(?m)^\\s*offset=`head -n ([0-9]+) \"\\$[01]\"") // Older versions of makeself write no skip.
	compressionLine = regexp.MustCompile(`(?m)^\s*echo Compression: (\S+)$`)
	unpackedLine    = regexp.MustCompile(`(?m)^\s*echo Uncompressed size: ([0-9]+) KB$`)
	encryptionLine  = regexp.MustCompile(`(?m)^\s*echo Encryption: (\S+)$`)
	decryptLine     = regexp.MustCompile(`(?m)^decrypt_cmd="(.*)"$`)
)

func readHeader(r io.ReaderAt, size int64) (h header, err error) {
	start := make([]byte, min(size, maxHeader))
	if _, err := r.ReadAt(start, 0); err != nil && !errors.Is(err, io.EOF) {
		return h, fmt.Errorf("read the header: %w", err)
	}
	text, err := script(start, size)
	if err != nil {
		return h, err
	}
	h.offset = int64(len(text))
	if h.version, err = one(text, versionLine, "the version of makeself"); err != nil {
		return h, err
	}
	if h.label, err = optional(text, labelLine, "label"); err != nil {
		return h, err
	}
	if err := h.readSizes(text, size); err != nil {
		return h, err
	}
	if err := h.readEncryption(text); err != nil {
		return h, err
	}
	if h.compression, err = one(text, compressionLine, "Compression"); err != nil {
		return h, err
	}
	if _, ok := decompressors[h.compression]; !ok {
		return h, fmt.Errorf("unknown compression %q: expected one of %s", h.compression, strings.Join(slices.Sorted(maps.Keys(decompressors)), ", "))
	}
	h.sums, err = readChecksums(text)
	return h, err
}

// script returns the lines of the archive's header.
func script(start []byte, size int64) ([]byte, error) {
	if !bytes.HasPrefix(start, []byte("#!/bin/sh\n")) || !versionLine.Match(start[:min(len(start), 1024)]) {
		return nil, notMakeself(start)
	}
	match := skipLine.FindSubmatch(start)
	if match == nil {
		match = oldSkipLine.FindSubmatch(start)
	}
	if match == nil {
		return nil, errors.New("no number of lines (skip=) found in the header")
	}
	lines, err := strconv.Atoi(string(match[1]))
	if err != nil || lines == 0 {
		return nil, fmt.Errorf("invalid number of header lines %s", match[1])
	}
	end := 0
	for i := range lines {
		n := bytes.IndexByte(start[end:], '\n')
		if n < 0 && size > maxHeader {
			return nil, fmt.Errorf("the header should have %d lines, found %d in the first %d bytes", lines, i, len(start))
		}
		if n < 0 {
			return nil, fmt.Errorf("the archive is truncated: the header should have %d lines, the file has %d", lines, i)
		}
		end += n + 1
	}
	return start[:end], nil
}

func notMakeself(start []byte) error {
	beginning := bytes.ToLower(bytes.TrimSpace(start[:min(len(start), 256)]))
	if bytes.HasPrefix(beginning, []byte("<!doctype")) || bytes.HasPrefix(beginning, []byte("<html")) {
		return errors.New("not a makeself archive but a web page: check the address of the download")
	}
	return fmt.Errorf("not a makeself archive: it begins with %q, expected a shell script generated using Makeself", start[:min(len(start), 24)])
}

func (h *header) readSizes(text []byte, size int64) error {
	sizes, err := one(text, filesizesLine, "filesizes")
	if err != nil {
		return err
	}
	if n := len(strings.Fields(sizes)); n != 1 {
		return fmt.Errorf("unsupported number of payloads: found %d, expected 1", n)
	}
	if h.payload, err = strconv.ParseInt(strings.TrimSpace(sizes), 10, 64); err != nil {
		return fmt.Errorf("filesizes: %w", err)
	}
	total, err := optional(text, totalsizeLine, "totalsize")
	if err != nil {
		return err
	}
	if total != "" && total != strconv.FormatInt(h.payload, 10) {
		return fmt.Errorf("contradictory header: filesizes is %d, totalsize %s", h.payload, total)
	}
	switch rest := size - h.offset; {
	case rest < h.payload:
		return fmt.Errorf("the archive is truncated: found %d bytes of payload, expected %d; fetch the archive again", rest, h.payload)
	case rest > h.payload:
		return fmt.Errorf("%d bytes follow the payload of %d: the archive was changed; fetch it again", rest-h.payload, h.payload)
	}
	claim, err := optional(text, unpackedLine, "Uncompressed size")
	if err != nil || claim == "" {
		return err
	}
	kilobytes, err := strconv.ParseInt(claim, 10, 53)
	if err != nil {
		return fmt.Errorf("uncompressed size: %w", err)
	}
	h.unpacked = kilobytes << 10
	return nil
}

func (h *header) readEncryption(text []byte) error {
	how, err := optional(text, encryptionLine, "Encryption")
	if err != nil {
		return err
	}
	command, err := optional(text, decryptLine, "decrypt_cmd")
	if err != nil {
		return err
	}
	if how == "" || how == "n" {
		how = command
	}
	// makeself 2.7 writes its option --base64 like an encryption: an encoding of the compressed payload.
	if program, _, _ := strings.Cut(how, " "); program == "base64" {
		h.base64 = true
		return nil
	}
	if how != "" {
		return fmt.Errorf("the payload is encrypted (%s): use an archive without encryption", how)
	}
	return nil
}

// one returns the value of a line that must occur exactly once.
func one(text []byte, line *regexp.Regexp, name string) (string, error) {
	value, err := optional(text, line, name)
	if err == nil && value == "" {
		err = fmt.Errorf("%s not found in the header", name)
	}
	return value, err
}

// optional returns the value of a line that may occur once, or "" if there is none.
func optional(text []byte, line *regexp.Regexp, name string) (string, error) {
	switch found := line.FindAllSubmatch(text, 2); len(found) {
	case 0:
		return "", nil
	case 1:
		return string(found[0][1]), nil
	default:
		return "", fmt.Errorf("%s occurs twice in the header: %q and %q", name, found[0][1], found[1][1])
	}
}
