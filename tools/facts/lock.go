package facts

import (
	"fmt"
	"strings"
)

// Where a platform's facts come from.
const (
	FromDocuments = "documents" // NVIDIA's release notes: the image itself was not seen.
	FromImage     = "config"    // The image's own config, read by tools/pin.
)

// Lock is third_party/nvidia/lock.json.
type Lock struct {
	Bases map[string]Pin `json:"bases"`
}

// Pin is one base image. An empty Digest is not known yet.
type Pin struct {
	Image     string              `json:"image"` // Registry and repository.
	Tag       string              `json:"tag"`
	Digest    string              `json:"digest"`    // Of what the tag names: an image, or an index over several.
	Platforms map[string]Platform `json:"platforms"` // By "os/architecture".
}

// Platform is one image of a Pin.
type Platform struct {
	Digest string `json:"digest"` // Of the image's manifest.
	Facts  Base   `json:"facts"`
	Source string `json:"source"`
}

// ReadLock reads the lock at path.
func ReadLock(path string) (*Lock, error) {
	var lock Lock
	if err := readJSON(path, &lock); err != nil {
		return nil, err
	}
	for name, pin := range lock.Bases {
		if pin.Image == "" || pin.Tag == "" || len(pin.Platforms) == 0 {
			return nil, fmt.Errorf("%s: %s: image, tag and platforms are all needed", path, name)
		}
		for platform, p := range pin.Platforms {
			if p.Source != FromDocuments && p.Source != FromImage {
				return nil, fmt.Errorf("%s: %s: %s: source: found %q, expected %q or %q", path, name, platform, p.Source, FromDocuments, FromImage)
			}
		}
	}
	return &lock, nil
}

// Find returns a pin and one of its platforms.
func (l *Lock) Find(name, platform string) (Pin, Platform, error) {
	pin, ok := l.Bases[name]
	if !ok {
		return Pin{}, Platform{}, fmt.Errorf("base %q: expected one of %s", name, strings.Join(sorted(l.Bases), ", "))
	}
	p, ok := pin.Platforms[platform]
	if !ok {
		return Pin{}, Platform{}, fmt.Errorf("base %q is not for %s; the lock has it for %s", name, platform, strings.Join(sorted(pin.Platforms), ", "))
	}
	return pin, p, nil
}

// Contradictions says where an image is not what the lock says of it.
func (p Platform) Contradictions(image Base) []string {
	var found []string
	for _, f := range fields {
		locked, is := *f.get(&p.Facts), *f.get(&image)
		if locked == "" || is == "" || is == locked {
			continue
		}
		// Documents round: 13.0 is 13.0.2.006 there.
		if p.Source == FromDocuments && strings.HasPrefix(is, locked+".") {
			continue
		}
		found = append(found, fmt.Sprintf("%s: the image says %s, the lock %s", f.name, is, locked))
	}
	return found
}
