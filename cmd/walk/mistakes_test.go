package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/internal/testfile"
)

// guide returns docs/policies.md.
func guide(t *testing.T) string {
	t.Helper()
	path := filepath.Join("..", "..", "docs", "policies.md")
	if os.Getenv("TEST_TARGET") != "" {
		path = testfile.Find(t, "POLICIES_MD")
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// metadata returns an entry of metadata as the end of an ONNX file.
func metadata(key, value string) []byte {
	field := func(tag byte, content string) []byte {
		length := []byte{byte(len(content)&0x7f | 0x80), byte(len(content) >> 7)}
		return append(append([]byte{tag<<3 | 2}, length...), content...)
	}
	return field(14, string(field(1, key))+string(field(2, value)))
}

// The messages in docs/policies.md are those of the program. Each mistake is a change of the Go2's policy, in a directory of its name.
func TestMistakes(t *testing.T) {
	type object = map[string]any
	observation := func(m object) object { return m["observation"].(object) }
	terms := func(m object) []any { return observation(m)["terms"].([]any) }
	withoutLast := func(m object) { observation(m)["terms"] = terms(m)[:5] }
	mistakes := map[string]struct {
		change   func(m object)
		appended []byte // To the model.
	}{
		"m_stiff": {appended: metadata("joint_stiffness", "40.000"+strings.Repeat(",40.000", 11))},
		"m_scale": {appended: metadata("action_scale", "0.25")},
		"m_order": {appended: metadata("joint_names", "FL_hip_joint,FL_thigh_joint,FL_calf_joint,FR_hip_joint,FR_thigh_joint,FR_calf_joint,RL_hip_joint,RL_thigh_joint,RL_calf_joint,RR_hip_joint,RR_thigh_joint,RR_calf_joint")},
		"size":    {change: withoutLast},
		"size2":   {change: func(m object) { withoutLast(m); observation(m)["size"] = 33 }},
		"term":    {change: func(m object) { terms(m)[1].(object)["term"] = "gravity_projected" }},
		"joint":   {change: func(m object) { m["joint_order"].([]any)[0] = "FR_hip" }},
		"nogains": {change: func(m object) { delete(m, "gains") }},
		"gains":   {change: func(m object) { m["gains"].(object)["kp"] = []int{20, 20, 20} }},
		"unknown": {change: func(m object) { m["stiffness"] = 20 }},
		"pose":    {change: func(m object) { m["default_pose_rad"].([]any)[2] = 1.5 }},
		"robot":   {change: func(m object) { m["robot"] = "my_go2" }},
		"missing": {change: func(m object) {
			m["joint_order"], m["default_pose_rad"] = m["joint_order"].([]any)[:11], m["default_pose_rad"].([]any)[:11]
			action := m["action"].(object)
			action["scale"] = action["scale"].([]any)[:11]
		}},
		"input": {change: func(m object) {
			g := m["graphs"].(object)["policy"].(object)
			g["inputs"].([]any)[0].(object)["name"] = "observation"
		}},
	}
	source := policytest.Directory(t, "KRABBY_GO2_POLICY")
	model, err := os.ReadFile(filepath.Join(source, policy.ModelFile))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile(filepath.Join(source, policy.ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--onnxruntime=" + policytest.Library(t), "--mujoco=" + testfile.Find(t, "KRABBY_MUJOCO"), "--model=" + testfile.Find(t, "KRABBY_GO2_MODEL")}
	text := guide(t)
	t.Chdir(t.TempDir())
	for name, mistake := range mistakes {
		t.Run(name, func(t *testing.T) {
			var m object
			if err := json.Unmarshal(manifest, &m); err != nil {
				t.Fatal(err)
			}
			if mistake.change != nil {
				mistake.change(m)
			}
			files := map[string][]byte{policy.ModelFile: append(append([]byte{}, model...), mistake.appended...)}
			m["files"] = policytest.Checksums(files)
			if err := os.Mkdir(name, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := policytest.Write(name, m, files); err != nil {
				t.Fatal(err)
			}
			message := regexp.MustCompile("`(policy: " + name + "/[^`]*)`").FindStringSubmatch(text)
			if message == nil {
				t.Fatal("no message in docs/policies.md")
			}
			_, stderr := walkWith(t, cli.ExitUsage, append(args, "--policy="+name)...)
			rest := stderr
			for part := range strings.SplitSeq(message[1], "...") { // Lists are shortened.
				_, after, found := strings.Cut(rest, part)
				if !found {
					t.Fatalf("stderr %q, the message in docs/policies.md is %q", stderr, message[1])
				}
				rest = after
			}
		})
	}
}
