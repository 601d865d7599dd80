package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/tools/layer/makeself"
	"krabby.dev/krabby/tools/pin/lock"
)

const (
	zedLock  = "third_party/zed/lock.json"
	archives = "archives"

	// Directory of archives that no package client fetches. Files can be put there by hand.
	distDirectory = "third_party/dist"
)

type archiveCmd struct {
	Archive []string `arg:"" optional:"" help:"Entries to pin, such as 5.1.1. Without any, every entry is pinned."`
	Replace bool     `help:"Pin the archive even if its hash differs from the pinned one."`
	Check   bool     `help:"Write and fetch nothing; exit with 1 unless every archive is pinned, and every archive in ${dist} has the pinned hash."`
}

func (*archiveCmd) Help() string {
	return `The archive comes from ` + distDirectory + `, where it can be put by hand, or else from the address in the lock file. A
download is kept there, so that builds do not download it again. The archive is read to verify that it is complete; it never runs.`
}

// archivePin is the entry of an archive in the lock file.
type archivePin struct {
	file, url, sha256 string // sha256 is empty until the archive is pinned.
}

func (a *archiveCmd) Run(ctx context.Context, root *flags, c *cli.Console) error {
	f, err := root.readLock(zedLock)
	if err != nil {
		return err
	}
	names, err := selected(f, zedLock, archives, a.Archive)
	if err != nil {
		return err
	}
	dist := filepath.Join(root.Workspace, distDirectory)
	for _, name := range names {
		entry, _ := f.Entry(archives, name)
		p, err := readArchivePin(entry)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", zedLock, name, err)
		}
		found, err := a.resolve(ctx, c, dist, name, p)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		f.Set(archives, name, lock.Entry{"sha256": found})
	}
	return finish(c, f, zedLock, a.Check)
}

func readArchivePin(entry lock.Entry) (p archivePin, err error) {
	if p.file, err = entry.String("file"); err != nil {
		return p, err
	}
	if filepath.Base(p.file) != p.file || strings.HasPrefix(p.file, ".") {
		return p, fmt.Errorf("field \"file\": found %q, expected a file name without directories", p.file)
	}
	if p.url, err = entry.String("url"); err != nil {
		return p, err
	}
	p.sha256, _ = entry["sha256"].(string)
	return p, nil
}

// resolve returns the hash of the archive in dist. It downloads an archive that is not there, unless --check is set.
func (a *archiveCmd) resolve(ctx context.Context, c *cli.Console, dist, name string, p archivePin) (sha256 string, err error) {
	path := filepath.Join(dist, p.file)
	_, err = os.Stat(path)
	exists := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if a.Check && p.sha256 == "" {
		return "", fmt.Errorf("%s is not pinned: sha256 missing in %s: run 'pin archive %s'", p.file, zedLock, name)
	}
	if a.Check && !exists {
		return p.sha256, nil
	}
	if exists {
		c.Progress("%s: reading %s", name, filepath.Join(distDirectory, p.file))
	} else {
		path, err = downloadArchive(ctx, c, dist, name, p)
		if path != "" {
			defer os.Remove(path) // After success the file has another name.
		}
		if err != nil {
			return "", fmt.Errorf("%w; to pin it without a download, put the file at %s and run the command again", err, filepath.Join(distDirectory, p.file))
		}
	}
	sha256, err = inspect(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	if p.sha256 != "" && sha256 != p.sha256 && !a.Replace {
		return "", fmt.Errorf("%s: wrong sha256: expected %s, found %s; the archive of a version does not change: ask the vendor which one is correct, or pin this one with --replace", path, p.sha256, sha256)
	}
	if !exists {
		if err := os.Rename(path, filepath.Join(dist, p.file)); err != nil {
			return "", err
		}
	}
	return sha256, nil
}

// inspect returns the hash of an archive, and verifies its checksums as a build does.
func inspect(path string) (sha256 string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if sha256, err = lock.SHA256(path); err != nil {
		return "", err
	}
	_, err = makeself.Open(f, info.Size())
	return sha256, err
}

// downloadArchive downloads into a temporary file in dist and returns its path. If a part of the file exists, it returns the path
// with the error.
func downloadArchive(ctx context.Context, c *cli.Console, dist, name string, p archivePin) (path string, err error) {
	c.Progress("%s: downloading %s", name, p.url)
	transport := http.DefaultTransport.(*http.Transport).Clone() // Uses the proxies of the environment.
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
		return "", fmt.Errorf("download: %s: %s", response.Request.URL, response.Status)
	}
	if err := os.MkdirAll(dist, 0o755); err != nil {
		return "", err
	}
	path = filepath.Join(dist, "."+p.file+".partial")
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	meter := &meter{console: c, name: name, total: response.ContentLength}
	_, err = io.Copy(f, io.TeeReader(response.Body, meter))
	if err := errors.Join(err, f.Close()); err != nil {
		return path, fmt.Errorf("download: after %d bytes: %w", meter.done, err)
	}
	return path, nil
}

// meter prints the progress of a download every five seconds.
type meter struct {
	console     *cli.Console
	name        string
	done, total int64 // Bytes. A total of -1 is unknown.
	printed     time.Time
}

func (m *meter) Write(p []byte) (int, error) {
	m.done += int64(len(p))
	if m.printed.IsZero() {
		m.printed = time.Now()
	}
	if time.Since(m.printed) >= 5*time.Second {
		m.printed = time.Now()
		of := ""
		if m.total >= 0 {
			of = fmt.Sprintf(" of %d", m.total>>20)
		}
		m.console.Progress("%s: %d%s MB", m.name, m.done>>20, of)
	}
	return len(p), nil
}
