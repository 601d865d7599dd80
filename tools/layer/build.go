package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"krabby.dev/krabby/tools/layer/glob"
	"krabby.dev/krabby/tools/layer/tree"
	"krabby.dev/krabby/tools/program"
)

// The levels decide on the bytes of every compressed layer; others mean other
// digests.
const (
	gzipLevel = 6
	zstdLevel = zstd.SpeedBetterCompression
)

type buildCmd struct {
	Params string `required:"" placeholder:"FILE" help:"JSON that describes the layer."`
	Output string `required:"" placeholder:"FILE" help:"The tar to write."`
}

// Run makes the layer. Errors begin with the label, since the reader knows
// their BUILD file and not our paths.
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
	// What an archive holds can be larger than memory, and is wanted in another
	// order. Beside the output there is room for it, and nobody else.
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

func (p *params) pack(w io.Writer, t *tree.Tree) error {
	buffered := bufio.NewWriterSize(w, 1<<20)
	switch p.Compression {
	case "":
		if err := t.WriteTar(buffered); err != nil {
			return err
		}
	case "gzip":
		// One thread, and no name or time in the header.
		zw, err := gzip.NewWriterLevel(buffered, gzipLevel)
		if err != nil {
			return err
		}
		if err := errors.Join(t.WriteTar(zw), zw.Close()); err != nil {
			return err
		}
	case "zstd":
		// With one thread, blocks do not depend on how many could be had.
		zw, err := zstd.NewWriter(buffered, zstd.WithEncoderLevel(zstdLevel), zstd.WithEncoderConcurrency(1))
		if err != nil {
			return err
		}
		if err := errors.Join(t.WriteTar(zw), zw.Close()); err != nil {
			return err
		}
	default:
		return fmt.Errorf("compression %q is not known; known: \"\", \"gzip\" and \"zstd\"", p.Compression)
	}
	return buffered.Flush()
}

// tree gathers everything the parameters name. Contents of wheels can be read
// until the returned function is called, which is never nil.
func (p *params) tree(s *spool) (*tree.Tree, func() error, error) {
	t := new(tree.Tree)
	done := func() error { return nil }
	owner, err := parseOwner(p.Owner)
	if err != nil {
		return nil, done, err
	}
	if p.UsrMerge {
		if err := t.MergeUsr(); err != nil {
			return nil, done, err
		}
	}
	if err := p.addDebs(t); err != nil {
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
	if err := p.addOwn(t, owner); err != nil {
		return nil, done, err
	}
	return t, done, p.setModes(t)
}

// addOwn adds what a BUILD file places itself.
func (p *params) addOwn(t *tree.Tree, owner tree.Owner) error {
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
			return fmt.Errorf("symlinks: %s has no target", s.Path)
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

// addTree adds all that lies below a directory. Links are followed: in Bazel's
// sandbox every input is a link, and one made by a rule cannot be told from it.
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

type listCmd struct {
	Layer string `arg:"" placeholder:"FILE" help:"A tar, plain, gzip or zstd."`
}

// Run lists the layer.
func (c *listCmd) Run(console *program.Console) error {
	f, err := os.Open(c.Layer)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	magic, err := r.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var plain io.Reader = r
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		if plain, err = gzip.NewReader(r); err != nil {
			return fmt.Errorf("%s: %w", c.Layer, err)
		}
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		zr, err := zstd.NewReader(r)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Layer, err)
		}
		defer zr.Close()
		plain = zr
	}
	return tree.List(console.Out, plain)
}
