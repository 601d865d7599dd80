package wheel

import (
	"regexp"
	"strings"
)

// headers are the fields of a metadata file: values by names in lower case, in the order of the file.
type headers map[string][]string

var (
	// headerLine matches a line that belongs to the fields: the first line of a field, or the continuation of one.
	headerLine = regexp.MustCompile(`^(?:[\x21-\x39\x3b-\x7e]*:|[\t ]|From )`)
	lineEnd    = regexp.MustCompile(`\r\n|\r|\n`)
)

// parseHeaders reads the fields at the beginning of a metadata file as Python's email parser does, which pip, uv and importlib use:
// the first line that is no field ends them, with or without an empty line before. Any other byte can be in a value.
func parseHeaders(data []byte) headers {
	fields := headers{}
	var name string
	var value []string
	end := func() {
		if name != "" {
			fields[name] = append(fields[name], strings.Trim(strings.Join(value, " "), " \t"))
		}
		name, value = "", nil
	}
	for _, line := range lineEnd.Split(string(data), -1) {
		if !headerLine.MatchString(line) {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			value = append(value, strings.TrimLeft(line, " \t"))
			continue
		}
		end()
		// A line "From " without a colon is the envelope of a mail, and a line without a name is ignored.
		if before, after, _ := strings.Cut(line, ":"); !strings.HasPrefix(line, "From ") {
			name, value = strings.ToLower(before), []string{after}
		}
	}
	end()
	return fields
}
