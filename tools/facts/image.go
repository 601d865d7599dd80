package facts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// Image describes an image of this repository independently of its base. oci/robot_image.bzl writes it.
type Image struct {
	Name        string             `json:"name"`
	Description string             `json:"description"`
	Licenses    string             `json:"licenses"`
	Platform    string             `json:"platform"` // "os/architecture".
	Nvidia      string             `json:"nvidia"`   // Name of its base in the lock, without a release of JetPack.
	JetPacks    map[string]JetPack `json:"jetpacks"` // By release, for a Jetson.
	Python      map[string]string  `json:"python"`   // Python version of the wheels by kind of base, "nvidia" or "slim".
	ZED         bool               `json:"zed"`      // Whether it includes the ZED SDK.
}

// ReadImage reads an Image from a JSON file.
func ReadImage(path string) (Image, error) {
	var image Image
	err := readJSON(path, &image)
	return image, err
}

// Architecture returns the architecture of the platform.
func (i Image) Architecture() string {
	_, architecture, _ := strings.Cut(i.Platform, "/")
	return architecture
}

// readJSON reads a file into v. An unknown field is an error.
func readJSON(path string, v any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
