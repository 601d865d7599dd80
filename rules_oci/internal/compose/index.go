package compose

import (
	"encoding/json"
	"fmt"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"krabby.dev/rules_oci/internal/jsontree"
)

// IndexEntry is an image of an index.
type IndexEntry struct {
	Descriptor *jsontree.Object // Of the manifest.
	Config     []byte
}

// Index returns the document of an index over images, with the platforms of their configs. annotations has lines name=value, and is nil
// if not set.
func Index(entries []IndexEntry, annotations *string) ([]byte, error) {
	manifests := []any{}
	for _, entry := range entries {
		config, err := jsontree.ParseObject(entry.Config)
		if err != nil {
			return nil, fmt.Errorf("config: %w", err)
		}
		platform := &jsontree.Object{}
		for _, key := range []string{"os", "architecture", "variant", "os.version", "os.features"} {
			if value := config.Get(key); value != nil {
				platform.Set(key, value)
			}
		}
		descriptor := &jsontree.Object{}
		descriptor.Merge(entry.Descriptor)
		descriptor.Set("platform", platform)
		manifests = append(manifests, descriptor)
	}
	index := object("schemaVersion", json.Number("2"), "mediaType", string(types.OCIImageIndex), "manifests", manifests)
	if annotations != nil {
		index.Set("annotations", dictionary(*annotations))
	}
	return append(jsontree.Format(index), '\n'), nil
}
