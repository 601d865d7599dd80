package apt

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// file is one line of `apt-get --print-uris`. Its Version is empty: the form of the name depends on the kind of file.
type file struct {
	Archive
	name string // The name under which apt stores the file; %3a stands for the colon of an epoch.
}

// parse reads the output of --print-uris and skips all lines without a quoted address:
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
			return nil, fmt.Errorf("apt-get printed %q, expected 'URI' NAME SIZE HASH", strings.TrimSpace(line))
		}
		f := file{name: fields[0]}
		_, path, ok := strings.Cut(uri, "/pool/main/")
		if !ok {
			return nil, fmt.Errorf("apt-get printed %s, expected an address in Debian's component main", uri)
		}
		f.Path = "pool/main/" + path
		for _, hash := range fields[2:] {
			if sha256, ok := strings.CutPrefix(hash, "SHA256:"); ok {
				f.SHA256 = sha256
			}
		}
		if sum, err := hex.DecodeString(f.SHA256); err != nil || len(sum) != 32 {
			return nil, fmt.Errorf("apt-get printed no valid sha256 of %s: %q", f.name, strings.TrimSpace(line))
		}
		files = append(files, f)
	}
	return files, nil
}
