package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"krabby.dev/krabby/tools/layer/makeself"
	"krabby.dev/krabby/tools/pin/lock"
	"krabby.dev/krabby/tools/program"
)

const (
	zedLock  = "third_party/zed/lock.json"
	archives = "archives"

	// Where archives lie that no package client fetches.
	distFolder = "third_party/dist"
)

type archiveCmd struct {
	Archive []string `arg:"" optional:"" help:"Entries to pin, such as 5.1.1. Without any, every entry is pinned."`
	Replace bool     `help:"Pin what is there even where it is not what was pinned before."`
	Check   bool     `help:"Write and fetch nothing; exit with 1 unless every archive is pinned and is, where it is in ${dist}, what was pinned."`
}

func (*archiveCmd) Help() string {
	return `An archive is taken from ` + distFolder + `, where it can be put by hand; else it is downloaded from the address in the lock
and kept there, so that the build need not download it again. It is read to see that it is whole, and never run.`
}

// pinned is what the lock says of an archive.
type pinned struct {
	file, url, sha256 string
	size              int64
}

func (a *archiveCmd) Run(ctx context.Context, root *cli, c *program.Console) error {
	f, err := root.readLock(zedLock)
	if err != nil {
		return err
	}
	names := a.Archive
	if len(names) == 0 {
		names = f.Names(archives)
	}
	dist := filepath.Join(root.Workspace, distFolder)
	for _, name := range names {
		entry, ok := f.Entry(archives, name)
		if !ok {
			return program.Usagef("%s has no archive %q (known: %s)", zedLock, name, strings.Join(f.Names(archives), ", "))
		}
		p, err := readPinned(entry)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", zedLock, name, err)
		}
		found, err := a.look(ctx, c, dist, name, p)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		f.Set(archives, name, lock.Entry{"sha256": found.sha256, "size": json.Number(strconv.FormatInt(found.size, 10))})
	}
	return finish(c, f, zedLock, a.Check)
}

func readPinned(entry lock.Entry) (p pinned, err error) {
	if p.file, err = entry.String("file"); err != nil {
		return p, err
	}
	if filepath.Base(p.file) != p.file || strings.HasPrefix(p.file, ".") {
		return p, fmt.Errorf("its field \"file\" is %q, not the name of a file", p.file)
	}
	if p.url, err = entry.String("url"); err != nil {
		return p, err
	}
	p.sha256, _ = entry["sha256"].(string) // None: not pinned yet.
	if size, ok := entry["size"].(json.Number); ok {
		p.size, err = size.Int64()
	}
	return p, err
}

// look returns the entry as it would be pinned by the archive that is there.
func (a *archiveCmd) look(ctx context.Context, c *program.Console, dist, name string, p pinned) (pinned, error) {
	path := filepath.Join(dist, p.file)
	_, err := os.Stat(path)
	there := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	if a.Check && (p.sha256 == "" || p.size == 0) {
		return p, fmt.Errorf("%s is not pinned: %s has no sha256 and size of it; run 'pin archive %s'", p.file, zedLock, name)
	}
	if a.Check && !there {
		return p, nil
	}
	if there {
		c.Progress("%s: reading %s", name, filepath.Join(distFolder, p.file))
	} else {
		path, err = fetchArchive(ctx, c, dist, name, p)
		if path != "" {
			defer os.Remove(path) // Under this name nobody wants it, whatever happens.
		}
		if err != nil {
			return p, fmt.Errorf("%w; where there is no network to it, put the file into %s by hand and run the same again", err, filepath.Join(distFolder, p.file))
		}
	}
	found, err := inspect(path)
	if err != nil {
		return p, fmt.Errorf("%s: %w", path, err)
	}
	if p.sha256 != "" && found.sha256 != p.sha256 && !a.Replace {
		return p, fmt.Errorf("%s is not what was pinned: expected sha256 %s, found %s; a version's archive does not change, so ask its vendor which is right; --replace pins this one", path, p.sha256, found.sha256)
	}
	if !there {
		if err := os.Rename(path, filepath.Join(dist, p.file)); err != nil {
			return p, err
		}
	}
	return found, nil
}

// inspect hashes an archive, and reads it as a build will.
func inspect(path string) (p pinned, err error) {
	f, err := os.Open(path)
	if err != nil {
		return p, err
	}
	defer f.Close()
	h := sha256.New()
	if p.size, err = io.Copy(h, f); err != nil {
		return p, err
	}
	p.sha256 = hex.EncodeToString(h.Sum(nil))
	_, err = makeself.Open(f, p.size)
	return p, err
}

// fetchArchive downloads into a file beside the one it is to become, and returns
// its path, with an error too if there is a part of it.
func fetchArchive(ctx context.Context, c *program.Console, dist, name string, p pinned) (path string, err error) {
	c.Progress("%s: downloading %s", name, p.url)
	transport := http.DefaultTransport.(*http.Transport).Clone() // With the proxies of the environment.
	transport.DialContext = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	transport.ResponseHeaderTimeout = 30 * time.Second
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return "", err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return "", fmt.Errorf("download: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("download: %s answers %s", response.Request.URL, response.Status)
	}
	if err := os.MkdirAll(dist, 0o755); err != nil {
		return "", err
	}
	path = filepath.Join(dist, "."+p.file+".partial")
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	meter := &meter{c: c, name: name, total: response.ContentLength}
	_, err = io.Copy(f, io.TeeReader(response.Body, meter))
	if err := errors.Join(err, f.Close()); err != nil {
		return path, fmt.Errorf("download: after %d bytes: %w", meter.done, err)
	}
	return path, nil
}

// meter says how far a download is, not more often than people read.
type meter struct {
	c           *program.Console
	name        string
	done, total int64 // Bytes; a total of -1 is unknown.
	said        time.Time
}

func (m *meter) Write(p []byte) (int, error) {
	m.done += int64(len(p))
	if m.said.IsZero() {
		m.said = time.Now()
	}
	if time.Since(m.said) >= 5*time.Second {
		m.said = time.Now()
		of := ""
		if m.total >= 0 {
			of = fmt.Sprintf(" of %d", m.total>>20)
		}
		m.c.Progress("%s: %d%s MB", m.name, m.done>>20, of)
	}
	return len(p), nil
}
