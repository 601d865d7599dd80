package uv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"krabby.dev/krabby/tools/pin/client"
)

// settings are the settings of pip by name, such as "index-url".
type settings map[string]string

// pipConfig returns the settings that `pip download` has on this machine. uv does not read them.
func pipConfig(ctx context.Context) (settings, error) {
	const advice = "install python3-pip, or run 'python3 -m ensurepip'"
	output, err := client.Run(ctx, client.Command{Name: "python3", Args: []string{"-m", "pip", "config", "list"}})
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of pip: %w: %s", err, advice)
	}
	return parseConfig(output), nil
}

// parseConfig reads lines such as `global.index-url='https://index.example/simple'`. The environment has precedence over the section
// download, and that over the section global, as for pip.
func parseConfig(output string) settings {
	result := settings{}
	for _, section := range []string{"global.", "download.", ":env:."} {
		for line := range strings.Lines(output) {
			name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
			if name, found := strings.CutPrefix(name, section); ok && found {
				// pip prints Python literals; a list is separated by white space.
				value = strings.ReplaceAll(strings.Trim(value, `'"`), `\n`, " ")
				result[name] = strings.TrimSpace(value)
			}
		}
	}
	return result
}

func (s settings) noIndex() bool {
	switch strings.ToLower(s["no-index"]) {
	case "", "0", "no", "off", "false":
		return false
	}
	return true
}

// variables returns the settings as variables of uv, as KEY=VALUE. A variable that the user has set for uv stays.
func (s settings) variables(lookup func(string) (string, bool)) []string {
	var result []string
	set := func(value string, name string, synonyms ...string) {
		for _, n := range append(synonyms, name) {
			if _, ok := lookup(n); ok {
				return
			}
		}
		if value != "" {
			result = append(result, name+"="+value)
		}
	}
	set(s["index-url"], "UV_DEFAULT_INDEX", "UV_INDEX_URL")
	set(s["extra-index-url"], "UV_INDEX", "UV_EXTRA_INDEX_URL")
	if s["extra-index-url"] != "" {
		set("unsafe-best-match", "UV_INDEX_STRATEGY") // pip treats all indexes alike.
	}
	set(strings.Join(existing(strings.Fields(s["find-links"])), ","), "UV_FIND_LINKS")
	set(s["trusted-host"], "UV_INSECURE_HOST")
	set(s["cert"], "SSL_CERT_FILE")
	set(s["client-cert"], "SSL_CLIENT_CERT")
	set(s["proxy"], "ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy")
	set(s["timeout"], "UV_HTTP_TIMEOUT")
	return result
}

// existing leaves out directories that do not exist, which pip ignores and uv rejects. Others get an absolute path.
func existing(links []string) []string {
	var result []string
	for _, link := range links {
		if strings.Contains(link, "://") {
			result = append(result, link)
			continue
		}
		path, err := filepath.Abs(link)
		if err != nil {
			continue
		}
		if _, err := os.Stat(path); err == nil {
			result = append(result, path)
		}
	}
	return result
}
