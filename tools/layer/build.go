package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"

	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/pgzip"

	"krabby.dev/krabby/tools/layer/glob"
	"krabby.dev/krabby/tools/layer/tree"
)

// The compression levels and the size of blocks determine the bytes and so the digests of all compressed layers.
const (
	gzipLevel = 7
	gzipBlock = 1 << 20
	zstdLevel = zstd.SpeedBetterCompression
)

type buildCmd struct {
	Params string `required:"" placeholder:"FILE" help:"JSON parameters of the layer."`
	Output string `required:"" placeholder:"FILE" help:"Layer to write."`
}

// Run writes the layer. Errors begin with the label of the target.
func (c *buildCmd) Run() error {
	p, err := readParams(c.Params)
	if err != nil {
		return err
	}
	if err := p.write(c.Output); err != nil {
		return fmt.Errorf("%s: %w", p.Label, err)
	}
	return nil
}

func (p *params) write(output string) error {
	// The contents of an archive can exceed the memory, and the tar needs them in another order. The spool lies in the directory
	// of the output because it has about the same size.
	s := &spool{dir: filepath.Dir(output)}
	defer s.close()
	t, done, err := p.tree(s)
	if err != nil {
		return errors.Join(err, done())
	}
	f, err := os.Create(output)
	if err != nil {
		return errors.Join(err, done())
	}
	if err := errors.Join(p.pack(f, t), f.Close(), done()); err != nil {
		os.Remove(output)
		return err
	}
	return nil
}

// pack writes the tree as a tar with the compression of the layer.
func (p *params) pack(w io.Writer, t *tree.Tree) error {
	buffered := bufio.NewWriterSize(w, 1<<20)
	compressed, err := compressor(buffered, p.Compression)
	if err != nil {
		return err
	}
	if err := errors.Join(t.WriteTar(compressed), compressed.Close()); err != nil {
		return err
	}
	return buffered.Flush()
}

// compressor returns a writer whose output depends on its input only.
func compressor(w io.Writer, compression string) (io.WriteCloser, error) {
	switch compression {
	case "":
		return uncompressed{w}, nil
	case "gzip":
		// This writer compresses each block with the end of the one before as its dictionary, so the bytes do not depend on the number
		// of threads. It writes no name or time.
		g, err := pgzip.NewWriterLevel(w, gzipLevel)
		if err != nil {
			return nil, err
		}
		return g, g.SetConcurrency(gzipBlock, runtime.GOMAXPROCS(0))
	case "zstd":
		// With one thread, the blocks do not depend on the number of CPUs.
		return zstd.NewWriter(w, zstd.WithEncoderLevel(zstdLevel), zstd.WithEncoderConcurrency(1))
	default:
		return nil, fmt.Errorf("unknown compression %q: expected \"\", \"gzip\" or \"zstd\"", compression)
	}
}

type uncompressed struct{ io.Writer }

func (uncompressed) Close() error { return nil }

// tree returns the tree of the layer and a function that closes its wheels. The function is never nil; contents of wheels cannot
// be read after its call.
func (p *params) tree(s *spool) (*tree.Tree, func() error, error) {
	t := new(tree.Tree)
	done := func() error { return nil }
	owner, err := parseOwner(p.Owner)
	if err != nil {
		return nil, done, err
	}
	if p.UsrMerge == nil || *p.UsrMerge {
		if err := t.MergeUsr(len(p.Debs) > 0); err != nil {
			return nil, done, err
		}
	}
	debs, err := p.newDebs()
	if err != nil {
		return nil, done, err
	}
	if err := debs.add(t); err != nil {
		return nil, done, err
	}
	if p.Archive != nil {
		if err := p.Archive.add(t, owner, s); err != nil {
			return nil, done, fmt.Errorf("archive %s (%s): %w", p.Archive.Label, p.Archive.Path, err)
		}
	}
	if done, err = p.addWheels(t, owner); err != nil {
		return nil, done, err
	}
	if err := p.addFiles(t, owner); err != nil {
		return nil, done, err
	}
	if err := debs.finish(t); err != nil {
		return nil, done, err
	}
	return t, done, p.setModes(t)
}

// addFiles adds the files, trees, links and directories of the BUILD file.
func (p *params) addFiles(t *tree.Tree, owner tree.Owner) error {
	for _, f := range p.Trees {
		mode, err := parseMode(f.Mode)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Label, err)
		}
		if err := addTree(t, f, tree.Entry{Mode: mode, Owner: owner, Source: f.Label}); err != nil {
			return err
		}
	}
	for _, f := range p.Files {
		mode, err := parseMode(f.Mode)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Label, err)
		}
		content, err := tree.OnDisk(f.Path)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Label, err)
		}
		if err := t.Add(f.Dest, tree.Entry{Kind: tree.File, Mode: mode, Owner: owner, Content: content, Source: f.Label}); err != nil {
			return err
		}
	}
	for _, s := range p.Symlinks {
		if s.Target == "" {
			return fmt.Errorf("symlinks: %s: no target", s.Path)
		}
		if err := t.Add(s.Path, tree.Entry{Kind: tree.Symlink, Owner: owner, Target: s.Target, Source: "symlinks"}); err != nil {
			return err
		}
	}
	return p.addDirectories(t)
}

func (p *params) addDirectories(t *tree.Tree) error {
	for _, d := range p.Directories {
		mode, err := parseMode(d.Mode)
		if err != nil {
			return fmt.Errorf("directories: %s: %w", d.Path, err)
		}
		owner, err := parseOwner(d.Owner)
		if err != nil {
			return fmt.Errorf("directories: %s: %w", d.Path, err)
		}
		if err := t.Add(d.Path, tree.Entry{Kind: tree.Dir, Mode: mode, Owner: owner, Source: "directories", Override: true}); err != nil {
			return err
		}
	}
	return nil
}

func (p *params) setModes(t *tree.Tree) error {
	for _, m := range p.Modes {
		mode, err := parseMode(m.Mode)
		if err != nil {
			return fmt.Errorf("modes: %s: %w", m.Pattern, err)
		}
		set, err := glob.Compile([]string{m.Pattern})
		if err != nil {
			return fmt.Errorf("modes: %w", err)
		}
		if err := t.SetModes(set.Match, mode); err != nil {
			return fmt.Errorf("modes: %s: %w", m.Pattern, err)
		}
	}
	return nil
}

// addTree adds the contents of a directory. It follows symbolic links: in Bazel's sandbox every input is one, and a link that a
// rule created looks the same.
func addTree(t *tree.Tree, f file, file tree.Entry) error {
	entries, err := os.ReadDir(f.Path)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Label, err)
	}
	if err := t.Add(f.Dest, tree.Entry{Kind: tree.Dir, Mode: 0o755, Owner: file.Owner, Source: f.Label}); err != nil {
		return err
	}
	for _, e := range entries {
		child := f
		child.Path, child.Dest = filepath.Join(f.Path, e.Name()), path.Join(f.Dest, e.Name())
		info, err := os.Stat(child.Path)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Label, err)
		}
		if info.IsDir() {
			if err := addTree(t, child, file); err != nil {
				return err
			}
			continue
		}
		entry := file
		entry.Kind = tree.File
		if entry.Content, err = tree.OnDisk(child.Path); err != nil {
			return fmt.Errorf("%s: %w", f.Label, err)
		}
		if err := t.Add(child.Dest, entry); err != nil {
			return err
		}
	}
	return nil
}
