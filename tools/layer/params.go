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

// params are the parameters of a layer, as layer.bzl writes them.
type params struct {
	Label                  string              `json:"label"`
	Owner                  string              `json:"owner,omitempty"`       // Of files, trees and links: "uid:gid".
	UsrMerge               *bool               `json:"usr_merge,omitempty"`   // Default true.
	Compression            string              `json:"compression,omitempty"` // "", "gzip" or "zstd".
	Files                  []file              `json:"files,omitempty"`
	Trees                  []file              `json:"trees,omitempty"`
	Modes                  []modeRule          `json:"modes,omitempty"`
	Symlinks               []symlink           `json:"symlinks,omitempty"`
	Directories            []directory         `json:"directories,omitempty"`
	Debs                   []source            `json:"debs,omitempty"`
	DebInclude             []string            `json:"deb_include,omitempty"` // Globs that override DebExclude.
	DebExclude             []string            `json:"deb_exclude,omitempty"`
	DebKnownScripts        []string            `json:"deb_known_scripts,omitempty"` // Packages whose maintainer scripts are ignored.
	CABundle               bool                `json:"ca_bundle,omitempty"`         // Writes the bundle that the postinst of ca-certificates writes.
	Wheels                 []source            `json:"wheels,omitempty"`
	WheelExclude           map[string][]string `json:"wheel_exclude,omitempty"`            // Globs of paths in a wheel to leave out, by project.
	WheelLinuxTags         []string            `json:"wheel_linux_tags,omitempty"`         // Projects whose platform tag can lack a glibc version.
	WheelUnverifiedRecords []string            `json:"wheel_unverified_records,omitempty"` // Projects whose RECORD is not compared with the files.
	Archive                *archive            `json:"archive,omitempty"`
	Python                 *python             `json:"python,omitempty"` // Interpreter of the wheels.
}

// python is an interpreter in the image and the destination of its wheels.
type python struct {
	Version      string `json:"version"`
	Architecture string `json:"architecture"`
	Glibc        string `json:"glibc"`
	Prefix       string `json:"prefix"`
	Interpreter  string `json:"interpreter,omitempty"` // Default /usr/bin/python<version>.
}

// source is an input: its path during the build, and the label that produced it for error messages.
type source struct {
	Path  string `json:"path"`
	Label string `json:"label"`
}

// file is a file, or a directory with its contents, and its destination.
type file struct {
	source
	Dest string `json:"dest"`
	Mode string `json:"mode"` // Octal, for files. Directories get 0755.
}

// archive is a self-extracting archive and the destinations of its files. Files without a destination are left out.
type archive struct {
	source
	Files    []placement `json:"files"`
	Optional []string    `json:"optional,omitempty"` // Globs of Files that may match no file.
}

// placement puts the files that match the globs below Dest. If Dest ends in a slash, it puts each file into Dest under its base
// name.
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

// readJSON decodes the JSON file at path. An unknown field is an error: the rule and this tool then differ.
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
		return 0, fmt.Errorf("invalid mode %q: expected an octal number from 0000 to 7777", s)
	}
	return m, nil
}

// parseOwner parses "uid:gid". The empty string is root.
func parseOwner(s string) (tree.Owner, error) {
	if s == "" {
		return tree.Owner{}, nil
	}
	u, g, ok := strings.Cut(s, ":")
	uid, errU := strconv.ParseUint(u, 10, 31)
	gid, errG := strconv.ParseUint(g, 10, 31)
	if !ok || errU != nil || errG != nil {
		return tree.Owner{}, fmt.Errorf("invalid owner %q: expected uid:gid with two numbers", s)
	}
	return tree.Owner{UID: int(uid), GID: int(gid)}, nil
}
