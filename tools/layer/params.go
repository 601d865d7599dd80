package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"krabby.dev/krabby/tools/layer/tree"
)

// params is what layer.bzl writes.
type params struct {
	Label       string      `json:"label"`
	Owner       string      `json:"owner,omitempty"` // Of files, trees and links: "uid:gid".
	UsrMerge    bool        `json:"usr_merge,omitempty"`
	Compression string      `json:"compression,omitempty"` // "", "gzip" or "zstd".
	Files       []file      `json:"files,omitempty"`
	Trees       []file      `json:"trees,omitempty"`
	Modes       []modeRule  `json:"modes,omitempty"`
	Symlinks    []symlink   `json:"symlinks,omitempty"`
	Directories []directory `json:"directories,omitempty"`
	Debs        []source    `json:"debs,omitempty"`
	DebInclude  []string    `json:"deb_include,omitempty"` // Globs that win over DebExclude.
	DebExclude  []string    `json:"deb_exclude,omitempty"`
	CABundle    bool        `json:"ca_bundle,omitempty"` // What ca-certificates' postinst makes.
	Wheels      []source    `json:"wheels,omitempty"`
	Archive     *archive    `json:"archive,omitempty"`
	Python      *python     `json:"python,omitempty"` // What the wheels are for.
}

// python is an interpreter in the image, and where wheels for it go.
type python struct {
	Version      string `json:"version"`
	Architecture string `json:"architecture"`
	Glibc        string `json:"glibc"`
	Prefix       string `json:"prefix"`
	Interpreter  string `json:"interpreter,omitempty"` // /usr/bin/python<version> by default.
}

// source is an input: where it lies now, and the label that made it, which the
// reader of an error message knows.
type source struct {
	Path  string `json:"path"`
	Label string `json:"label"`
}

// file is a file, or a directory with all it holds, and where it goes.
type file struct {
	source
	Dest string `json:"dest"`
	Mode string `json:"mode"` // Octal, of files; directories get 0755.
}

// archive is a self-extracting archive, and which of its files go where. All
// others are left out.
type archive struct {
	source
	Files    []placement `json:"files"`
	Optional []string    `json:"optional,omitempty"` // Globs of Files that need not cover anything.
}

// placement puts what the globs cover below Dest, or, where that ends in a
// slash, each file by its own name into Dest.
type placement struct {
	Dest  string   `json:"dest"`
	Globs []string `json:"globs"`
}

type modeRule struct {
	Pattern string `json:"pattern"`
	Mode    string `json:"mode"`
}

type symlink struct {
	Path   string `json:"path"`
	Target string `json:"target"`
}

type directory struct {
	Path  string `json:"path"`
	Mode  string `json:"mode"`
	Owner string `json:"owner,omitempty"`
}

func readParams(path string) (*params, error) {
	var p params
	if err := readJSON(path, &p); err != nil {
		return nil, err
	}
	return &p, nil
}

// readJSON decodes the JSON at path. A field we do not know means that
// Starlark and this tool have parted, which must not pass in silence.
func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("parameters %s: %w", path, err)
	}
	return nil
}

func parseMode(s string) (int64, error) {
	m, err := strconv.ParseInt(s, 8, 64)
	if err != nil || m < 0 || m > 0o7777 {
		return 0, fmt.Errorf("mode %q is not octal between 0000 and 7777", s)
	}
	return m, nil
}

// parseOwner reads "uid:gid"; "" is root.
func parseOwner(s string) (tree.Owner, error) {
	if s == "" {
		return tree.Owner{}, nil
	}
	u, g, ok := strings.Cut(s, ":")
	uid, errU := strconv.ParseUint(u, 10, 31)
	gid, errG := strconv.ParseUint(g, 10, 31)
	if !ok || errU != nil || errG != nil {
		return tree.Owner{}, fmt.Errorf("owner %q is not of the form uid:gid with two numbers", s)
	}
	return tree.Owner{UID: int(uid), GID: int(gid)}, nil
}
