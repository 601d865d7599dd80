package facts

import (
	"fmt"
	"strings"
)

// Sources of the facts of a platform.
const (
	FromDocuments = "documents" // NVIDIA's release notes, without access to the image.
	FromImage     = "config"    // The config of the image, read by tools/pin.
)

// Lock is third_party/nvidia/lock.json.
type Lock struct {
	Bases map[string]Pin `json:"bases"`
}

// Pin is a base image. An empty Digest is unknown.
type Pin struct {
	Image     string              `json:"image"` // Registry and repository.
	Tag       string              `json:"tag"`
	Digest    string              `json:"digest"`    // Digest of the image or index that the tag names.
	Platforms map[string]Platform `json:"platforms"` // By "os/architecture".
}

// Platform is the image of a Pin for one platform.
type Platform struct {
	Digest string `json:"digest"` // Digest of the manifest.
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
			return nil, fmt.Errorf("%s: %s: missing image, tag or platforms", path, name)
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
		return Pin{}, Platform{}, fmt.Errorf("base %q not found; known: %s", name, strings.Join(sorted(l.Bases), ", "))
	}
	p, ok := pin.Platforms[platform]
	if !ok {
		return Pin{}, Platform{}, fmt.Errorf("base %q: platform %s not found; known: %s", name, platform, strings.Join(sorted(pin.Platforms), ", "))
	}
	return pin, p, nil
}

// Contradictions returns the differences between the lock and the properties of an image.
func (p Platform) Contradictions(image Base) []string {
	var differences []string
	for _, f := range fields {
		locked, found := *f.get(&p.Facts), *f.get(&image)
		if locked == "" || found == "" || found == locked {
			continue
		}
		// Documents shorten versions: 13.0 for 13.0.2.006.
		if p.Source == FromDocuments && strings.HasPrefix(found, locked+".") {
			continue
		}
		differences = append(differences, fmt.Sprintf("%s: found %s in the image, expected %s", f.name, found, locked))
	}
	return differences
}
