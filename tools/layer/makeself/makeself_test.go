package makeself_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/tools/layer/makeself"
)

// The tests in third_party/makeself read archives of the real makeself. The tests here read archives that makeself does not write.

const noCRC, noMD5 = "0000000000", "00000000000000000000000000000000"

// archive holds the parts of an archive. A field with the zero value gets the value that makeself writes.
type archive struct {
	payload []byte
	lines   string // Additional lines of the header.

	compression, encryption, decrypt string
	crc, md5, sha                    string
	sizes, total, skip, unpackedKB   string
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func (a archive) bytes() []byte {
	size := fmt.Sprint(len(a.payload))
	header := strings.Join([]string{
		"#!/bin/sh",
		"# This script was generated using Makeself 2.4.5",
		fmt.Sprintf("CRCsum=%q", or(a.crc, noCRC)),
		fmt.Sprintf("MD5=%q", or(a.md5, fmt.Sprintf("%x", md5.Sum(a.payload)))),
		fmt.Sprintf("SHA=%q", or(a.sha, fmt.Sprintf("%x", sha256.Sum256(a.payload)))),
		`label="An SDK"`,
		`licensetxt="Say \"yes\".`,
		`filesizes=\"7\"`,
		`"`,
		fmt.Sprintf("filesizes=%q", or(a.sizes, size)),
		fmt.Sprintf("totalsize=%q", or(a.total, size)),
		fmt.Sprintf("decrypt_cmd=%q", a.decrypt),
		"SKIP",
		"	echo Uncompressed size: " + or(a.unpackedKB, "12") + " KB",
		"	echo Compression: " + or(a.compression, "none"),
		"	    echo Encryption: " + or(a.encryption, "n"),
		a.lines + "exit 0",
	}, "\n") + "\n"
	skip := fmt.Sprintf("skip=%q", or(a.skip, fmt.Sprint(strings.Count(header, "\n"))))
	return append([]byte(strings.Replace(header, "SKIP", skip, 1)), a.payload...)
}

// entry is one entry of the tar. body is the content of a file or the target of a link.
type entry struct {
	name string
	typ  byte
	mode int64
	body string
}

func file(name, body string) entry { return entry{name, tar.TypeReg, 0o644, body} }

func tarOf(entries ...entry) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.typ, Mode: e.mode}
		if e.typ == tar.TypeReg {
			h.Size = int64(len(e.body))
		} else {
			h.Linkname = e.body
		}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		if e.typ == tar.TypeReg {
			io.WriteString(w, e.body)
		}
	}
	w.Close()
	return buf.Bytes()
}

// updateChecksum writes the correct checksum into a tar header.
func updateChecksum(header []byte) {
	copy(header[148:], "        ")
	sum := 0
	for _, b := range header[:512] {
		sum += int(b)
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
}

// sparse returns a sparse file of size bytes without stored bytes, as GNU tar writes it.
func sparse(size int) []byte {
	var records string
	for _, record := range []string{"GNU.sparse.numblocks=1", "GNU.sparse.map=0,0", fmt.Sprintf("GNU.sparse.size=%d", size)} {
		records += fmt.Sprintf("%d %s\n", len(record)+4, record) // The length has two digits.
	}
	entries := tarOf(file("records", records), file("sparse", ""))
	entries[156] = 'x'
	updateChecksum(entries)
	return entries[:3*512] // Without the end of the tar.
}

func gzipped(data []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	w.Write(data)
	w.Close()
	return buf.Bytes()
}

// unpack returns the entries of the archive, one line for each.
func unpack(data []byte, limit int64, wanted func(string) bool) (string, error) {
	a, err := makeself.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return "", err
	}
	var lines strings.Builder
	err = a.Walk(limit, wanted, func(h *tar.Header, r io.Reader) error {
		content, err := io.ReadAll(r)
		fmt.Fprintf(&lines, "%s %c %04o %s%s\n", h.Name, h.Typeflag, h.Mode, h.Linkname, content)
		return err
	})
	return lines.String(), err
}

func TestWalk_sparseFile(t *testing.T) {
	got, err := unpack(archive{payload: append(sparse(5), tarOf()...)}.bytes(), limit, everything)
	if want := "sparse 0 0644 \x00\x00\x00\x00\x00\n"; err != nil || got != want {
		t.Errorf("unpacks to %q, %v; want %q", got, err, want)
	}
}

func everything(string) bool { return true }

const limit = 1 << 20

func TestWalk(t *testing.T) {
	data := archive{payload: tarOf(
		entry{"./", tar.TypeDir, 0o755, ""},
		file("./lib/libzed.so.5", "ELF"),
		entry{"./lib/libzed.so", tar.TypeSymlink, 0o777, "libzed.so.5"},
		entry{"./lib/again.so", tar.TypeLink, 0o644, "./lib/libzed.so.5"},
		entry{"./lib/other", tar.TypeSymlink, 0o777, "../tools/run"},
		entry{"./samples/root", tar.TypeReg, 0o4755, "left out"},
		entry{"./samples/etc", tar.TypeSymlink, 0o777, "/etc"},
		entry{"tools/run", tar.TypeReg, 0o755, "ELF 2"},
	)}.bytes()
	got, err := unpack(data, limit, func(name string) bool { return !strings.HasPrefix(name, "samples/") })
	if err != nil {
		t.Fatal(err)
	}
	const want = "lib/libzed.so.5 0 0644 ELF\n" +
		"lib/libzed.so 2 0777 libzed.so.5\n" +
		"lib/again.so 1 0644 lib/libzed.so.5\n" +
		"lib/other 2 0777 ../tools/run\n" +
		"tools/run 0 0755 ELF 2\n"
	if got != want {
		t.Errorf("unpacks to\n%swant\n%s", got, want)
	}
}

func TestWalk_base64(t *testing.T) {
	// base64 breaks lines after 76 characters.
	encoded := func(data []byte) []byte {
		text := base64.StdEncoding.EncodeToString(data)
		return []byte(strings.Join(slices.Collect(func(yield func(string) bool) {
			for ; len(text) > 76 && yield(text[:76]); text = text[76:] {
			}
			yield(text)
		}), "\n") + "\n")
	}
	payload := tarOf(file("a", "b"))
	for name, a := range map[string]archive{
		"before 2.7":                    {payload: encoded(payload), compression: "base64"},
		"since 2.7":                     {payload: encoded(gzipped(payload)), compression: "gzip", encryption: "base64", decrypt: "base64 --decode -i -"},
		"since 2.7, by the command":     {payload: encoded(payload), decrypt: "base64 --decode -i -"},
		"since 2.7, as the compression": {payload: encoded(payload), compression: "base64", encryption: "base64"},
	} {
		if got, err := unpack(a.bytes(), limit, everything); err != nil || got != "a 0 0644 b\n" {
			t.Errorf("%s: unpacks to %q, %v", name, got, err)
		}
	}
	damaged := archive{payload: []byte("no base64!"), compression: "base64"}
	if _, err := unpack(damaged.bytes(), limit, everything); err == nil || !strings.Contains(err.Error(), "payload (base64): tar: illegal base64 data") {
		t.Errorf("error %v", err)
	}
}

func TestOpen(t *testing.T) {
	payload := tarOf(file("a", "b"))
	data := archive{payload: payload}.bytes()
	a, err := makeself.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if a.Version != "2.4.5" || a.Label != "An SDK" || a.Compression != "none" || a.Size != int64(len(payload)) {
		t.Errorf("header is %q %q %q %d", a.Version, a.Label, a.Compression, a.Size)
	}
}

func TestOpen_oldHeader(t *testing.T) {
	data := archive{payload: tarOf(file("a", "b"))}.bytes()
	lines := bytes.Count(data[:bytes.Index(data, []byte("exit 0"))], []byte("\n")) + 1
	old := bytes.Replace(data, fmt.Appendf(nil, "skip=\"%d\"", lines), fmt.Appendf(nil, "	offset=`head -n %d \"$1\" | wc -c`", lines), 1)
	if bytes.Equal(old, data) {
		t.Fatal("the header did not change")
	}
	if got, err := unpack(old, limit, everything); err != nil || got != "a 0 0644 b\n" {
		t.Errorf("unpacks to %q, %v", got, err)
	}
}

func TestOpen_posixCRC(t *testing.T) {
	// printf 123456789 | cksum. The length of an empty payload adds no bytes.
	for payload, crc := range map[string]string{"123456789": "930766865", "": "4294967295"} {
		a := archive{payload: []byte(payload), crc: crc, md5: noMD5, sha: strings.Repeat("0", 64)}
		data := a.bytes()
		if _, err := makeself.Open(bytes.NewReader(data), int64(len(data))); err != nil {
			t.Errorf("%q: %v", payload, err)
		}
	}
}

func TestUnpack_errors(t *testing.T) {
	good := tarOf(file("lib/a", "content"))
	plain := archive{payload: good}.bytes()
	flipped := bytes.Clone(plain)
	flipped[len(flipped)-len(good)+600] ^= 1
	squeezed := gzipped(good)
	bomb := gzipped(tarOf(file("zeros", strings.Repeat("\x00", limit))))
	entries := func(e ...entry) []byte { return archive{payload: tarOf(e...)}.bytes() }
	huge := tarOf(file("huge", "x"))
	copy(huge[124:], "77777777777\x00") // The size field claims 8 GiB.
	updateChecksum(huge)

	for _, tc := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty file", nil, `not a makeself archive: it begins with ""`},
		{"program", []byte("\x7fELF\x02"), `not a makeself archive: it begins with "\x7fELF`},
		{"web page", []byte("\n<!DOCTYPE html><title>Sign in</title>"), "not a makeself archive but a web page"},
		{"other script", []byte("#!/bin/sh\necho installing\n"), "not a makeself archive"},
		{"truncated in the header", plain[:200], "no number of lines (skip=) found"},
		{"truncated before the end of the header", plain[:bytes.Index(plain, []byte("echo Compression"))], "truncated: the header should have 17 lines"},
		{"truncated in the payload", plain[:len(plain)-1], "truncated: found 2047 bytes of payload, expected 2048"},
		{"trailing bytes", append(bytes.Clone(plain), "more"...), "4 bytes follow the payload of 2048"},
		{"flipped byte", flipped, "the payload is damaged: wrong MD5: found "},
		{"false CRC", archive{payload: good, crc: "1"}.bytes(), "the payload is damaged: wrong CRC: found "},
		{"false MD5", archive{payload: good, md5: strings.Repeat("1", 32)}.bytes(), "expected 11111111111111111111111111111111"},
		{"false SHA-256", archive{payload: good, sha: strings.Repeat("1", 64)}.bytes(), "the payload is damaged: wrong SHA-256: found "},
		{"flipped byte, gzip's own checksum only", archive{
			payload: append(bytes.Clone(squeezed[:len(squeezed)-8]), 1, 2, 3, 4, squeezed[len(squeezed)-4], 0, 0, 0),
			md5:     noMD5, sha: strings.Repeat("0", 64), compression: "gzip",
		}.bytes(), "payload (gzip): gzip: invalid checksum"},
		{"unknown compression", archive{payload: good, compression: "lzo"}.bytes(), `unknown compression "lzo": expected one of base64, bzip2, gzip, none, pbzip2, pigz, xz, zstd`},
		{"wrong compression in the header", archive{payload: good, compression: "zstd"}.bytes(), "payload (zstd): "},
		{"encrypted with openssl", archive{payload: good, encryption: "openssl"}.bytes(), "the payload is encrypted (openssl)"},
		{"encrypted by a command", archive{payload: good, decrypt: "gpg -d"}.bytes(), "the payload is encrypted (gpg -d)"},
		{"two payloads", archive{payload: good, sizes: "1000 1048"}.bytes(), "unsupported number of payloads: found 2"},
		{"contradicting sizes", archive{payload: good, total: "5"}.bytes(), "filesizes is 2048, totalsize 5"},
		{"invalid size", archive{payload: good, sizes: "99999999999999999999"}.bytes(), "filesizes: "},
		{"no compression", bytes.Replace(plain, []byte("echo Compression"), []byte("echo"), 1), "Compression not found in the header"},
		{"two compressions", archive{payload: good, lines: "\techo Compression: gzip\n"}.bytes(), `Compression occurs twice in the header: "none" and "gzip"`},
		{"too many lines", archive{payload: good, skip: "9999"}.bytes(), "truncated: the header should have 9999 lines"},
		{"no lines", archive{payload: good, skip: "0"}.bytes(), "invalid number of header lines 0"},
		{"large claim in the header", archive{payload: good, unpackedKB: "1025"}.bytes(), "the header claims 1049600 bytes unpacked, more than the limit of 1048576"},
		{"large claim in the tar", archive{payload: huge}.bytes(), "huge claims 8589934591 bytes"},
		{"sparse files, large together", archive{payload: bytes.Join([][]byte{sparse(limit / 2), sparse(limit / 2), sparse(1), tarOf()}, nil)}.bytes(), "sparse claims 1 bytes: together with earlier files more than the limit"},
		{"decompression bomb", archive{payload: bomb, compression: "gzip"}.bytes(), "the payload unpacks to more than the limit of 1048576 bytes"},
		{"path leads out", entries(file("lib/../../etc/passwd", "x")), `path "lib/../../etc/passwd" contains ".."`},
		{"absolute path", entries(file("/etc/passwd", "x")), `path "/etc/passwd" is absolute`},
		{"link leads out", entries(entry{"lib/x", tar.TypeSymlink, 0o777, "../../etc"}), `lib/x is a link to "../../etc", which leads out`},
		{"absolute link", entries(entry{"lib/x", tar.TypeSymlink, 0o777, "/etc"}), `lib/x is a link to "/etc", which leads out`},
		{"hard link leads out", entries(entry{"x", tar.TypeLink, 0o644, "../etc/shadow"}), `x is a hard link to "../etc/shadow", which leads out`},
		{"absolute hard link", entries(entry{"x", tar.TypeLink, 0o644, "/etc/shadow"}), `x is a hard link to "/etc/shadow", which leads out`},
		{"device node", entries(entry{"dev/mem", tar.TypeChar, 0o600, ""}), "dev/mem is a device node"},
		{"block device", entries(entry{"dev/sda", tar.TypeBlock, 0o600, ""}), "dev/sda is a device node"},
		{"named pipe", entries(entry{"pipe", tar.TypeFifo, 0o600, ""}), "pipe is a named pipe"},
		{"setuid", entries(entry{"tools/root", tar.TypeReg, 0o4755, "x"}), "tools/root has mode 4755: setuid and setgid are not allowed"},
		{"setgid directory", entries(entry{"tools/", tar.TypeDir, 0o2755, ""}), "tools has mode 2755: setuid and setgid are not allowed"},
		{"no tar", archive{payload: bytes.Repeat([]byte("!"), 2048)}.bytes(), "payload (none): tar: "},
		{"tar that ends within a file", archive{payload: good[:515]}.bytes(), "unexpected EOF"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := unpack(tc.data, limit, everything)
			if err == nil {
				t.Fatalf("got no error and %q", got)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %q, want %q in it", err, tc.want)
			}
		})
	}
}

func TestWalk_unwantedEntries(t *testing.T) {
	nothing := func(string) bool { return false }
	for _, e := range []entry{file("../x", ""), file("/x", ""), {"null", tar.TypeChar, 0o666, ""}} {
		if _, err := unpack(archive{payload: tarOf(e)}.bytes(), limit, nothing); err == nil {
			t.Errorf("Walk accepted %s", e.name)
		}
	}
}

func TestWalk_limit(t *testing.T) {
	payload := tarOf(file("a", "b"))
	data := archive{payload: payload, unpackedKB: "1"}.bytes()
	if _, err := unpack(data, int64(len(payload)), everything); err != nil {
		t.Error(err)
	}
	if _, err := unpack(data, int64(len(payload))-1, everything); err == nil {
		t.Error("Walk accepted one byte more than the limit")
	}
}

func TestWalk_callbackError(t *testing.T) {
	data := archive{payload: tarOf(file("a", "1"), file("b", "2"))}.bytes()
	a, err := makeself.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	stop, calls := errors.New("disk full"), 0
	err = a.Walk(limit, everything, func(*tar.Header, io.Reader) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("after %d calls: %v, want the caller's error after one", calls, err)
	}
}
