package compose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"krabby.dev/rules_oci/internal/jsontree"
)

// Media types of bases. An OCI manifest may omit its own.
var (
	manifestTypes = []string{string(types.OCIManifestSchema1), string(types.DockerManifestSchema2), ""}
	configTypes   = []string{string(types.OCIConfigJSON), string(types.DockerConfigJSON)}
)

// parse parses the documents, and checks that they are those of a container image.
func (i Image) parse() (manifest, config *jsontree.Object, err error) {
	if manifest, err = jsontree.ParseObject(i.Manifest); err != nil {
		return nil, nil, fmt.Errorf("manifest of the base: %w", err)
	}
	if err := checkMediaType(manifest, manifestTypes); err != nil {
		return nil, nil, fmt.Errorf("manifest of the base: %w", err)
	}
	descriptor, err := manifest.Object("config")
	if err != nil {
		return nil, nil, fmt.Errorf("manifest of the base: %w", err)
	}
	if err := checkMediaType(descriptor, configTypes); err != nil {
		return nil, nil, fmt.Errorf("config of the base: %w", err)
	}
	if config, err = jsontree.ParseObject(i.Config); err != nil {
		return nil, nil, fmt.Errorf("config of the base: %w", err)
	}
	return manifest, config, nil
}

func checkMediaType(o *jsontree.Object, known []string) error {
	if mediaType := mediaType(o); !slices.Contains(known, mediaType) {
		return fmt.Errorf("found media type %q, expected a container image: %s", mediaType, strings.Trim(strings.Join(known, ", "), ", "))
	}
	return nil
}

func mediaType(o *jsontree.Object) string {
	s, _ := o.Get("mediaType").(string)
	return s
}
