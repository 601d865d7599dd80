// Package facts describes the base images that NVIDIA publishes and checks whether the parts of an image are compatible
// with one.
//
// It must never reach a network: its data comes from the lock and from configs of images that the caller provides.
package facts

import (
	"cmp"
	"regexp"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Base has the properties of a base image that affect what is built on it. An empty field is unknown.
type Base struct {
	Architecture string `json:"architecture,omitempty"` // As GOARCH has it.
	OS           string `json:"os,omitempty"`           // Distribution and release, such as "Ubuntu 24.04".
	Python       string `json:"python,omitempty"`       // Major and minor, such as "3.12".
	CUDA         string `json:"cuda,omitempty"`
	CuDNN        string `json:"cudnn,omitempty"`
	TensorRT     string `json:"tensorrt,omitempty"`
	PyTorch      string `json:"pytorch,omitempty"`
}

var minor = regexp.MustCompile(`^3\.[0-9]+`)

// FromConfig reads the properties from the config of an image: the environment variables of NVIDIA's images (CUDA_VERSION,
// CUDNN_VERSION, TRT_VERSION, PYTORCH_VERSION, PYVER), PYTHON_VERSION of Python's official images, and the labels of
// Ubuntu's images. Properties that the config does not have stay empty.
func FromConfig(config *v1.ConfigFile) Base {
	env := map[string]string{}
	for _, entry := range config.Config.Env {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	base := Base{
		Architecture: config.Architecture,
		Python:       minor.FindString(cmp.Or(env["PYVER"], env["PYTHON_VERSION"])),
		CUDA:         env["CUDA_VERSION"],
		CuDNN:        env["CUDNN_VERSION"],
		TensorRT:     env["TRT_VERSION"],
		PyTorch:      env["PYTORCH_VERSION"],
	}
	labels := config.Config.Labels
	if distribution := labels["org.opencontainers.image.ref.name"]; distribution != "" {
		distribution = strings.ToUpper(distribution[:1]) + distribution[1:]
		base.OS = strings.TrimSpace(distribution + " " + labels["org.opencontainers.image.version"])
	}
	return base
}

// field is a named field of a Base.
type field struct {
	name string
	get  func(*Base) *string
}

var fields = []field{
	{"architecture", func(b *Base) *string { return &b.Architecture }},
	{"OS", func(b *Base) *string { return &b.OS }},
	{"Python", func(b *Base) *string { return &b.Python }},
	{"CUDA", func(b *Base) *string { return &b.CUDA }},
	{"cuDNN", func(b *Base) *string { return &b.CuDNN }},
	{"TensorRT", func(b *Base) *string { return &b.TensorRT }},
	{"PyTorch", func(b *Base) *string { return &b.PyTorch }},
}

// Merge returns b with its empty fields taken from other.
func (b Base) Merge(other Base) Base {
	for _, f := range fields {
		*f.get(&b) = cmp.Or(*f.get(&b), *f.get(&other))
	}
	return b
}
