package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"krabby.dev/krabby/tools/bench/measure"
	"krabby.dev/krabby/tools/rootfs"
)

const (
	baseName  = "localhost/base"
	imageName = "localhost/image"
)

// buildah runs Debian's buildah in its own root file system with bubblewrap. The storage driver is overlay, or vfs where overlay
// cannot be mounted; vfs copies all files for each layer.
type buildah struct {
	dir     string // Mounted as /work.
	rootFS  string
	driver  string
	version string
}

// newBuildah unpacks buildah below dir and checks that it can build.
func newBuildah(ctx context.Context, archive, dir string) (*buildah, error) {
	b := &buildah{dir: filepath.Join(dir, "work"), rootFS: filepath.Join(dir, "root")}
	for _, path := range []string{b.dir, b.rootFS} {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return nil, err
		}
	}
	if err := rootfs.Unpack(archive, b.rootFS); err != nil {
		return nil, fmt.Errorf("unpacking %s: %w", archive, err)
	}
	for name, content := range map[string]string{"passwd": "root:x:0:0:root:/work:/\n", "group": "root:x:0:\n"} {
		if err := os.WriteFile(filepath.Join(b.rootFS, "etc", name), []byte(content), 0o644); err != nil {
			return nil, err
		}
	}
	// Files of the images have owners, which buildah cannot set in a user namespace with a single user.
	if err := os.WriteFile(filepath.Join(b.dir, "Check"), []byte("FROM scratch\nADD --chown=10001:10001 Check /\n"), 0o644); err != nil {
		return nil, err
	}
	var failures []error
	for _, b.driver = range []string{"overlay", "vfs"} {
		_, err := b.run(ctx, "build", "--isolation=chroot", "--layers", "--file=Check", "--tag=check", ".")
		if err == nil {
			_, out, err := measure.Command(ctx, b.command("--version"))
			b.version = fmt.Sprintf("%s, storage driver %s", strings.TrimSpace(out), b.driver)
			return b, errors.Join(err, b.clearStorage())
		}
		failures = append(failures, fmt.Errorf("storage driver %s: %w", b.driver, err))
		if err := b.clearStorage(); err != nil {
			return nil, err
		}
	}
	return nil, errors.Join(failures...)
}

// clearStorage empties the storage.
func (b *buildah) clearStorage() error {
	return errors.Join(removeAll(filepath.Join(b.dir, "storage")), removeAll(filepath.Join(b.dir, "run")))
}

func (b *buildah) command(args ...string) *exec.Cmd {
	call := []string{
		// As process 1: otherwise bubblewrap ends before it waits for buildah, and the bytes are not counted.
		"--die-with-parent", "--unshare-pid", "--as-pid-1", "--cap-add", "ALL",
		"--bind", b.rootFS, "/", "--bind", b.dir, "/work", "--chdir", "/work",
		"--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/var/tmp",
		"--clearenv", "--setenv", "HOME", "/work", "--setenv", "PATH", "/usr/bin",
	}
	if os.Getuid() != 0 {
		call = append(call, "--unshare-user", "--uid", "0", "--gid", "0")
	}
	call = append(call, "--", "/usr/bin/buildah", "--storage-driver", b.driver, "--root", "/work/storage", "--runroot", "/work/run")
	return rootfs.Command(b.rootFS, "usr/bin/bwrap", append(call, args...)...)
}

func (b *buildah) run(ctx context.Context, args ...string) (measure.Cost, error) {
	cost, _, err := measure.Command(ctx, b.command(args...))
	if err != nil {
		return cost, fmt.Errorf("buildah %s: %w", args[0], err)
	}
	return cost, nil
}

// setBase empties the storage and builds the base image from its layers.
func (b *buildah) setBase(ctx context.Context, architecture string, layers []string) error {
	if err := b.clearStorage(); err != nil {
		return err
	}
	lines := "FROM scratch\n"
	for i, layer := range layers {
		name := fmt.Sprintf("base%d.tar.gz", i)
		if err := copyFile(layer, filepath.Join(b.dir, name)); err != nil {
			return err
		}
		lines += fmt.Sprintf("ADD %s /\n", name)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "Base"), []byte(lines), 0o644); err != nil {
		return err
	}
	_, err := b.run(ctx, "build", "--isolation=chroot", "--layers", "--arch="+architecture, "--file=Base", "--tag="+baseName, ".")
	return err
}

// setLayers copies the layers and writes a Dockerfile with them and the image's configuration.
func (b *buildah) setLayers(p params, layers []file) error {
	var names []string
	for _, layer := range layers {
		names = append(names, filepath.Base(layer.Path))
		if err := copyFile(layer.Path, filepath.Join(b.dir, filepath.Base(layer.Path))); err != nil {
			return err
		}
	}
	lines, err := dockerfile(p, names)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.dir, "Dockerfile"), []byte(lines), 0o644)
}

// dockerfile returns a Dockerfile for the same image as the parameters of the rule oci_image.
func dockerfile(p params, layers []string) (string, error) {
	lines := []string{"FROM " + baseName}
	for _, layer := range layers {
		lines = append(lines, "ADD "+layer+" /")
	}
	var config struct {
		User               string
		WorkDir            struct{ Values []string }
		Entrypoint, Labels struct{ Inline string } // One per line.
	}
	data, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return "", fmt.Errorf("parameters of the image: %w", err)
	}
	if labels := strings.FieldsFunc(config.Labels.Inline, isNewline); len(labels) > 0 {
		for i, label := range labels {
			name, value, _ := strings.Cut(label, "=")
			labels[i] = fmt.Sprintf("%s=%q", name, value)
		}
		lines = append(lines, "LABEL "+strings.Join(labels, " "))
	}
	if config.User != "" {
		lines = append(lines, "USER "+config.User)
	}
	for _, dir := range config.WorkDir.Values {
		lines = append(lines, "WORKDIR "+dir)
	}
	if arguments := strings.FieldsFunc(config.Entrypoint.Inline, isNewline); len(arguments) > 0 {
		entrypoint, err := json.Marshal(arguments)
		if err != nil {
			return "", err
		}
		lines = append(lines, "ENTRYPOINT "+string(entrypoint))
	}
	return strings.Join(lines, "\n") + "\n", nil
}

func isNewline(r rune) bool { return r == '\n' }

// build builds the image of a number.
func (b *buildah) build(ctx context.Context, architecture string, number int) (measure.Cost, error) {
	return b.run(ctx, "build", "--isolation=chroot", "--layers", "--pull=never", "--arch="+architecture, "--tag="+tagged(number), ".")
}

func (b *buildah) push(ctx context.Context, number int, reference string) (measure.Cost, error) {
	return b.run(ctx, "push", "--tls-verify=false", tagged(number), "docker://"+reference)
}

func tagged(number int) string { return fmt.Sprintf("%s:%d", imageName, number) }
