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

// header is what the shell script says of what follows it.
type header struct {
	version, label, compression string

	offset, payload int64 // Where the payload begins, and its length, in bytes.
	unpacked        int64 // In bytes; 0 where the header does not say.
	sums            []checksum
}

// maxHeader bounds the script in front of the payload; makeself's own has 17 kB,
// and it may carry a licence.
const maxHeader = 1 << 20

// The lines of the script that tell about the payload. Values are matched
// strictly: a licence text, which the script carries too, has its quotes escaped
// and so cannot pass for one of them.
var (
	versionLine     = regexp.MustCompile(`(?m)^# This script was generated using Makeself (\S+)$`)
	labelLine       = regexp.MustCompile(`(?m)^label="(.*)"$`)
	filesizesLine   = regexp.MustCompile(`(?m)^filesizes="([0-9 ]+)"$`)
	totalsizeLine   = regexp.MustCompile(`(?m)^totalsize="([0-9]+)"$`)
	skipLine        = regexp.MustCompile(`(?m)^skip="([0-9]+)"$`)
	oldSkipLine     = regexp.MustCompile("(?m)^\\s*offset=`head -n ([0-9]+) \"\\$[01]\"") // Older ones have no skip.
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
		return h, fmt.Errorf("compression %q is not known; known: %s", h.compression, strings.Join(slices.Sorted(maps.Keys(decompressors)), ", "))
	}
	h.sums, err = readChecksums(text)
	return h, err
}

// script returns the lines of the archive that are its header.
func script(start []byte, size int64) ([]byte, error) {
	if !bytes.HasPrefix(start, []byte("#!/bin/sh\n")) || !versionLine.Match(start[:min(len(start), 1024)]) {
		return nil, notMakeself(start)
	}
	match := skipLine.FindSubmatch(start)
	if match == nil {
		match = oldSkipLine.FindSubmatch(start)
	}
	if match == nil {
		return nil, errors.New("the header does not say how many lines it has (skip=)")
	}
	lines, err := strconv.Atoi(string(match[1]))
	if err != nil || lines == 0 {
		return nil, fmt.Errorf("the header claims %s lines", match[1])
	}
	end := 0
	for i := range lines {
		n := bytes.IndexByte(start[end:], '\n')
		if n < 0 && size > maxHeader {
			return nil, fmt.Errorf("the header claims %d lines and has only %d in its first %d bytes", lines, i, len(start))
		}
		if n < 0 {
			return nil, fmt.Errorf("the archive is truncated: its header claims %d lines, the whole file has %d", lines, i)
		}
		end += n + 1
	}
	return start[:end], nil
}

func notMakeself(start []byte) error {
	beginning := bytes.ToLower(bytes.TrimSpace(start[:min(len(start), 256)]))
	if bytes.HasPrefix(beginning, []byte("<!doctype")) || bytes.HasPrefix(beginning, []byte("<html")) {
		return errors.New("not a makeself archive but a web page: the download was answered by something else")
	}
	return fmt.Errorf("not a makeself archive: it begins with %q, wanted a shell script generated using Makeself", start[:min(len(start), 24)])
}

func (h *header) readSizes(text []byte, size int64) error {
	sizes, err := one(text, filesizesLine, "filesizes")
	if err != nil {
		return err
	}
	if n := len(strings.Fields(sizes)); n != 1 {
		return fmt.Errorf("the archive has %d payloads, only archives with one are known", n)
	}
	if h.payload, err = strconv.ParseInt(strings.TrimSpace(sizes), 10, 64); err != nil {
		return fmt.Errorf("filesizes: %w", err)
	}
	total, err := optional(text, totalsizeLine, "totalsize")
	if err != nil {
		return err
	}
	if total != "" && total != strconv.FormatInt(h.payload, 10) {
		return fmt.Errorf("the header contradicts itself: filesizes is %d, totalsize %s", h.payload, total)
	}
	switch there := size - h.offset; {
	case there < h.payload:
		return fmt.Errorf("the archive is truncated: %d bytes of payload are there, the header says %d; fetch it again", there, h.payload)
	case there > h.payload:
		return fmt.Errorf("%d bytes follow the payload of %d: the archive was changed after it was made", there-h.payload, h.payload)
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
	if how != "" {
		return fmt.Errorf("the payload is encrypted (%s): a build has no keys, take an archive without encryption", how)
	}
	return nil
}

// one returns the value of a line that is there exactly once.
func one(text []byte, line *regexp.Regexp, name string) (string, error) {
	value, err := optional(text, line, name)
	if err == nil && value == "" {
		err = fmt.Errorf("the header does not say %s", name)
	}
	return value, err
}

// optional returns the value of a line that is there at most once.
func optional(text []byte, line *regexp.Regexp, name string) (string, error) {
	switch found := line.FindAllSubmatch(text, 2); len(found) {
	case 0:
		return "", nil
	case 1:
		return string(found[0][1]), nil
	default:
		return "", fmt.Errorf("the header says %s twice, %q and %q", name, found[0][1], found[1][1])
	}
}
