package oci_test

import (
	"os"
	"testing"
)

func TestVersions_current(t *testing.T) {
	read := func(variable string) string {
		content, err := os.ReadFile(runfile(t, os.Getenv(variable)))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	if made := read("MADE_VERSIONS"); read("COMMITTED_VERSIONS") != made {
		t.Errorf("docs/versions.md does not match the locks: run ./tools/bazel build //oci:versions && cp -f bazel-bin/oci/versions.md docs/; expected\n%s", made)
	}
}
