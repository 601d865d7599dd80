package apt

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"krabby.dev/krabby/tools/pin/apt/apttest"
)

// insecureHost makes the real apt of this machine accept unsigned package lists, unless another configuration says otherwise.
func insecureHost(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("apt-config"); err != nil {
		t.Skip("apt-config not found")
	}
	conf := filepath.Join(t.TempDir(), "apt.conf")
	if err := os.WriteFile(conf, []byte(apttest.InsecureHost()+"Acquire::http::Proxy \"http://proxy.test\";\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("APT_CONFIG", conf)
	dump, err := exec.Command("apt-config", "dump").Output()
	if err != nil || len(apttest.AcceptsUnsigned(string(dump))) != 4 {
		t.Fatalf("apt-config dump of the insecure host: %v\n%s", err, dump)
	}
}

// TestConfig reads the printed configuration with the real apt.
func TestConfig(t *testing.T) {
	insecureHost(t)
	dir := t.TempDir()
	config, err := runScript(t.Context(), "config", dir, "arm64", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "apt.conf")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("APT_CONFIG", path)
	output, err := exec.Command("apt-config", "dump").Output()
	if err != nil {
		t.Fatal(err)
	}
	dump := string(output)
	if accepted := apttest.AcceptsUnsigned(dump); len(accepted) > 0 {
		t.Errorf("apt accepts unsigned package lists: %q", accepted)
	}
	for _, want := range []string{
		`Acquire::http::Proxy "http://proxy.test";`,
		`APT::Architecture "arm64";`,
		`APT::Architectures:: "arm64";`,
		`APT::Architectures:: "amd64";`,
		`APT::Update::Error-Mode "any";`,
		`Dir::State "` + dir + `";`,
		`Dir::Etc::parts "/dev/null";`,
		`Dir::Cache::pkgcache "";`,
	} {
		if !strings.Contains(dump, want+"\n") {
			t.Errorf("the configuration has no %s:\n%s", want, dump)
		}
	}
}

func TestScript_usage(t *testing.T) {
	for _, args := range [][]string{{}, {"config"}, {"config", "/x"}, {"mirror", "x"}, {"other"}} {
		output, err := runScript(t.Context(), args...)
		if err == nil || !strings.Contains(err.Error(), "apt.sh: usage: apt.sh mirror | apt.sh config") || output != "" {
			t.Errorf("apt.sh %q: output %q, error %v, want usage", args, output, err)
		}
	}
}
