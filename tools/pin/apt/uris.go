package apt

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// file is a line of `apt-get --print-uris`. Its version is not filled in: how
// name has it depends on the kind of file.
type file struct {
	Archive
	name string // As apt would store it: an epoch's colon is %3a.
}

// parse reads what --print-uris printed; lines that are no URIs are apt's talk:
//
//	'http://mirror/debian/pool/main/t/tzdata/tzdata_2026b-0%2bdeb12u1_all.deb' tzdata_2026b-0+deb12u1_all.deb 304148 SHA256:0edb...
func parse(output string) ([]file, error) {
	var files []file
	for line := range strings.Lines(output) {
		quoted, ok := strings.CutPrefix(strings.TrimSpace(line), "'")
		if !ok {
			continue
		}
		uri, rest, ok := strings.Cut(quoted, "' ")
		fields := strings.Fields(rest)
		if !ok || len(fields) < 2 {
			return nil, fmt.Errorf("apt-get answers with a line that is not URI, name, size and hash: %q", strings.TrimSpace(line))
		}
		f := file{name: fields[0]}
		_, path, ok := strings.Cut(uri, "/pool/main/")
		if !ok {
			return nil, fmt.Errorf("apt-get answers with %s, which is not in Debian's main component", uri)
		}
		f.Path = "pool/main/" + path
		for _, hash := range fields[2:] {
			if sha256, ok := strings.CutPrefix(hash, "SHA256:"); ok {
				f.SHA256 = sha256
			}
		}
		if sum, err := hex.DecodeString(f.SHA256); err != nil || len(sum) != 32 {
			return nil, fmt.Errorf("apt-get gives no sha256 of %s: %q", f.name, strings.TrimSpace(line))
		}
		files = append(files, f)
	}
	return files, nil
}
