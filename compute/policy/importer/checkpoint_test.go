package importer_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/onnx"
	"krabby.dev/krabby/compute/onnx/onnxtest"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/importer"
	"krabby.dev/krabby/hal/robot"
)

// weight is a tensor of a checkpoint. Class is that of its storage; empty is torch.FloatStorage.
type weight struct {
	values []float32
	size   []int
	class  string
	// transposed writes the values of a matrix column by column, with strides for it.
	transposed bool
}

// torchFile writes a checkpoint as torch.save does: a pickle of protocol 2, and a storage for each tensor.
type torchFile struct {
	pickle   bytes.Buffer
	storages [][]byte
}

func (f *torchFile) text(s string) {
	f.pickle.WriteByte('X')
	f.pickle.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(s))))
	f.pickle.WriteString(s)
}

func (f *torchFile) number(n int) {
	f.pickle.WriteByte('J')
	f.pickle.Write(binary.LittleEndian.AppendUint32(nil, uint32(n)))
}

// value writes a value: a map is an OrderedDict with _metadata, as state_dict returns.
func (f *torchFile) value(v any) {
	switch v := v.(type) {
	case map[string]any:
		f.pickle.WriteString("ccollections\nOrderedDict\n)R(")
		for _, key := range slices.Sorted(maps.Keys(v)) {
			f.text(key)
			f.value(v[key])
		}
		f.pickle.WriteString("u}(")
		f.text("_metadata")
		f.pickle.WriteString("ccollections\nOrderedDict\n)Rub")
	case weight:
		f.tensor(v)
	case int:
		f.number(v)
	case float64:
		f.pickle.WriteByte('G')
		f.pickle.Write(binary.BigEndian.AppendUint64(nil, math.Float64bits(v)))
	case string:
		f.pickle.WriteString(v) // Opcodes.
	default:
		f.pickle.WriteByte('N')
	}
}

func (f *torchFile) tensor(w weight) {
	class := w.class
	if class == "" {
		class = "torch.FloatStorage"
	}
	module, name, _ := strings.Cut(class, ".")
	values, stride := w.values, make([]int, len(w.size))
	for i := range stride {
		stride[i] = 1
	}
	if len(w.size) == 2 {
		stride = []int{w.size[1], 1}
		if w.transposed {
			stride = []int{1, w.size[0]}
			values = make([]float32, len(w.values))
			for i, x := range w.values {
				values[i%w.size[1]*w.size[0]+i/w.size[1]] = x
			}
		}
	}
	f.pickle.WriteString("ctorch._utils\n_rebuild_tensor_v2\n((")
	f.text("storage")
	fmt.Fprintf(&f.pickle, "c%s\n%s\n", module, name)
	f.text(fmt.Sprint(len(f.storages)))
	f.text("cpu")
	f.number(len(values))
	f.pickle.WriteString("tQK\x00(")
	for _, n := range w.size {
		f.number(n)
	}
	f.pickle.WriteString("t(")
	for _, n := range stride {
		f.number(n)
	}
	f.pickle.WriteString("t\x89ccollections\nOrderedDict\n)RtR")
	var data []byte
	for _, x := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
	}
	f.storages = append(f.storages, data)
}

// writeCheckpoint writes a checkpoint and returns its path.
func writeCheckpoint(t *testing.T, content map[string]any) string {
	t.Helper()
	f := &torchFile{}
	f.pickle.WriteString("\x80\x02")
	f.value(content)
	f.pickle.WriteByte('.')
	path := filepath.Join(t.TempDir(), "model_1500.pt")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	archive := zip.NewWriter(file)
	add := func(name string, data []byte) {
		w, err := archive.CreateHeader(&zip.FileHeader{Name: "model_1500/" + name, Method: zip.Store})
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	add("data.pkl", f.pickle.Bytes())
	add("byteorder", []byte("little"))
	for i, data := range f.storages {
		add(fmt.Sprintf("data/%d", i), data)
	}
	add("version", []byte("3\n"))
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// randomWeight returns a tensor of random values.
func randomWeight(r *rand.Rand, size ...int) weight {
	n := 1
	for _, d := range size {
		n *= d
	}
	w := weight{size: size}
	for range n {
		w.values = append(w.values, float32(r.NormFloat64()*0.3))
	}
	return w
}

// checkpoint5 returns a checkpoint in the form of rsl_rl 5: 45 - 32 - 16 - outputs, with a normalizer.
func checkpoint5(outputs int) map[string]any {
	r := rand.New(rand.NewPCG(1, 2))
	first := randomWeight(r, 32, 45)
	first.transposed = true
	mean, deviation := randomWeight(r, 1, 45), randomWeight(r, 1, 45)
	for i, x := range deviation.values {
		deviation.values[i] = float32(math.Abs(float64(x)))
	}
	return map[string]any{
		"actor_state_dict": map[string]any{
			"mlp.0.weight": first, "mlp.0.bias": randomWeight(r, 32), "mlp.2.weight": randomWeight(r, 16, 32), "mlp.2.bias": randomWeight(r, 16),
			"mlp.4.weight": randomWeight(r, outputs, 16), "mlp.4.bias": randomWeight(r, outputs),
			"obs_normalizer._mean": mean, "obs_normalizer._std": deviation, "obs_normalizer._var": randomWeight(r, 1, 45),
			"obs_normalizer.count":   weight{values: []float32{0, 0}, size: []int{}, class: "torch.LongStorage"},
			"distribution.std_param": randomWeight(r, 12),
		},
		"critic_state_dict": map[string]any{}, "optimizer_state_dict": map[string]any{"state": map[string]any{"lr": 0.001}}, "iter": 1500, "infos": nil,
	}
}

// checkpoint2 returns the same network in the form of rsl_rl 2.
func checkpoint2() map[string]any {
	five := checkpoint5(12)
	actor := five["actor_state_dict"].(map[string]any)
	model := map[string]any{"std": actor["distribution.std_param"], "critic.0.weight": randomWeight(rand.New(rand.NewPCG(3, 4)), 2, 2)}
	for _, name := range []string{"0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"} {
		model["actor."+name] = actor["mlp."+name]
	}
	return map[string]any{
		"model_state_dict": model, "iter": 1500,
		"obs_norm_state_dict": map[string]any{"_mean": actor["obs_normalizer._mean"], "_std": actor["obs_normalizer._std"], "_var": actor["obs_normalizer._var"]},
	}
}

// checkpointOptions are those of a Go2 policy with the observation of rl_sar's configuration.
func checkpointOptions(t *testing.T, content map[string]any) importer.Options {
	t.Helper()
	dir := t.TempDir()
	return importer.Options{
		Checkpoint: writeCheckpoint(t, content), Source: "a test", Activation: "elu",
		Configs: []string{write(t, dir, "base.yaml", rlSarBase), write(t, dir, "config.yaml", rlSarConfig)},
	}
}

// reference computes the outputs of the network's last layer in float64.
func reference(t *testing.T, content map[string]any, observation []float32, activation func(float64) float64) []float64 {
	t.Helper()
	actor := content["actor_state_dict"].(map[string]any)
	x := make([]float64, len(observation))
	for i, v := range observation {
		x[i] = (float64(v) - float64(actor["obs_normalizer._mean"].(weight).values[i])) / (float64(actor["obs_normalizer._std"].(weight).values[i]) + 0.01)
	}
	for _, index := range []int{0, 2, 4} {
		w, b := actor[fmt.Sprintf("mlp.%d.weight", index)].(weight), actor[fmt.Sprintf("mlp.%d.bias", index)].(weight)
		y := make([]float64, w.size[0])
		for row := range y {
			y[row] = float64(b.values[row])
			for column, v := range x {
				y[row] += v * float64(w.values[row*w.size[1]+column])
			}
			if index < 4 {
				y[row] = activation(y[row])
			}
		}
		x = y
	}
	return x
}

var testActivations = map[string]func(float64) float64{
	"elu":      elu,
	"crelu":    elu,
	"relu":     func(x float64) float64 { return max(x, 0) },
	"lrelu":    func(x float64) float64 { return max(x, 0.01*x) },
	"tanh":     math.Tanh,
	"sigmoid":  sigmoid,
	"softplus": softplus,
	"swish":    func(x float64) float64 { return x * sigmoid(x) },
	"silu":     func(x float64) float64 { return x * sigmoid(x) },
	"gelu":     func(x float64) float64 { return x / 2 * (1 + math.Erf(x/math.Sqrt2)) },
	"mish":     func(x float64) float64 { return x * math.Tanh(softplus(x)) },
	"identity": func(x float64) float64 { return x },
	"selu": func(x float64) float64 {
		const alpha, gamma = 1.6732632423543772, 1.0507009873554805
		if x > 0 {
			return gamma * x
		}
		return gamma * alpha * math.Expm1(x)
	},
}

func elu(x float64) float64 {
	if x > 0 {
		return x
	}
	return math.Expm1(x)
}
func sigmoid(x float64) float64  { return 1 / (1 + math.Exp(-x)) }
func softplus(x float64) float64 { return math.Log1p(math.Exp(x)) }

// checkActions runs the policy and compares its actions.
func checkActions(t *testing.T, r *onnx.Runtime, p *policy.Policy, observation []float32, want []float64) {
	t.Helper()
	session := onnxtest.NewSession(t, r, p)
	copy(session.Input(), observation)
	if err := session.Run(); err != nil {
		t.Fatal(err)
	}
	for i, got := range session.Output() {
		if math.Abs(float64(got)-want[i]) > 1e-4*(1+math.Abs(want[i])) {
			t.Errorf("action %d = %v, want %v", i, got, want[i])
		}
	}
}

func TestImport_checkpointActivations(t *testing.T) {
	runtime := onnxtest.Open(t)
	observation := randomWeight(rand.New(rand.NewPCG(5, 6)), 45).values
	for _, name := range importer.Activations() {
		t.Run(name, func(t *testing.T) {
			o := checkpointOptions(t, checkpoint5(12))
			o.Activation = name
			p, _ := imported(t, o)
			checkActions(t, runtime, p, observation, reference(t, checkpoint5(12), observation, testActivations[name]))
		})
	}
}

func TestImport_checkpointVersion2(t *testing.T) {
	runtime := onnxtest.Open(t)
	observation := randomWeight(rand.New(rand.NewPCG(5, 6)), 45).values
	p, result := imported(t, checkpointOptions(t, checkpoint2()))
	checkActions(t, runtime, p, observation, reference(t, checkpoint5(12), observation, elu))
	if p.Provenance.Path != "model_1500.pt" || !slices.ContainsFunc(result.Notes, func(n importer.Note) bool { return n.Value == "45 - 32 - 16 - 12" }) {
		t.Errorf("path %q, notes %v", p.Provenance.Path, result.Notes)
	}
}

func TestImport_checkpointDistributions(t *testing.T) {
	runtime := onnxtest.Open(t)
	observation := randomWeight(rand.New(rand.NewPCG(5, 6)), 45).values
	content := checkpoint5(24)
	delete(content["actor_state_dict"].(map[string]any), "distribution.std_param")
	outputs := reference(t, content, observation, elu)
	o := checkpointOptions(t, content)
	checkError(t, o, "distribution of the actions, which decides what the network's outputs mean: give --distribution")

	o.Distribution = "heteroscedastic"
	p, _ := imported(t, o)
	checkActions(t, runtime, p, observation, outputs[:12])

	o.Distribution = "beta:-2,3"
	p, _ = imported(t, o)
	beta := make([]float64, 12)
	for i := range beta {
		a, b := softplus(outputs[i])+1, softplus(outputs[i+12])+1
		beta[i] = a/(a+b)*5 - 2
	}
	checkActions(t, runtime, p, observation, beta)

	o.Distribution = "beta"
	checkError(t, o, `--distribution: found "beta:", expected beta:LOW,HIGH`)
	o.Distribution = "gaussian"
	checkError(t, o, "last layer: found 24 outputs, expected 12 for 12 joints")
	o.Distribution = "laplace"
	checkError(t, o, "last layer: found 24 outputs")
}

func TestImport_agentYAML(t *testing.T) {
	runtime := onnxtest.Open(t)
	o := checkpointOptions(t, checkpoint5(12))
	o.Activation = ""
	checkError(t, o, "activation of the network: give --activation")
	agent := "seed: 42\nclip_actions: 10.0\nactor:\n  class_name: rsl_rl.models:MLPModel\n  activation: tanh\n  distribution_cfg:\n    class_name: GaussianDistribution\nalgorithm: {class_name: PPO}\n"
	o.Configs = append(o.Configs, write(t, t.TempDir(), "agent.yaml", agent))
	p, result := imported(t, o)
	observation := randomWeight(rand.New(rand.NewPCG(5, 6)), 45).values
	checkActions(t, runtime, p, observation, reference(t, checkpoint5(12), observation, math.Tanh))
	if got := p.Action.Clip.String(); got != "±10" {
		t.Errorf("clip = %s, want ±10", got)
	}
	for _, want := range []string{"agent.yaml: seed", "agent.yaml: algorithm"} {
		if !slices.Contains(result.Unused, want) {
			t.Errorf("unused = %q, want %s", result.Unused, want)
		}
	}
	o.Configs[2] = write(t, t.TempDir(), "agent.yaml", strings.Replace(agent, "tanh", "tahn", 1))
	checkError(t, o, `actor.activation: found "tahn", expected "tanh", which is nearest`)
}

func TestImport_checkpointInvalid(t *testing.T) {
	actor := func(content map[string]any) map[string]any { return content["actor_state_dict"].(map[string]any) }
	for name, test := range map[string]struct {
		change func(content map[string]any)
		want   []string
	}{
		"code":         {func(c map[string]any) { c["infos"] = "cos\nsystem\nX\x04\x00\x00\x00true\x85R" }, []string{`found "os.system", expected only tensors, numbers and texts`}},
		"class":        {func(c map[string]any) { c["infos"] = "cnumpy.core.multiarray\nscalar\n" }, []string{`found "numpy.core.multiarray.scalar"`}},
		"other opcode": {func(c map[string]any) { c["infos"] = "]\x93" }, []string{"model_1500.pt: ", "found"}},
		"object":       {func(c map[string]any) { c["infos"] = ")\x81" }, []string{"pickle: found opcode 0x81"}},
		"empty stack":  {func(c map[string]any) { c["infos"] = "00000000" }, []string{"pickle: "}},
		"recurrent":    {func(c map[string]any) { actor(c)["rnn.weight_ih_l0"] = randomWeight(rand.New(rand.NewPCG(1, 1)), 3, 3) }, []string{"actor_state_dict: found rnn.weight_ih_l0, expected only the weights of a multi-layer perceptron", "recurrent"}},
		"half": {func(c map[string]any) {
			actor(c)["mlp.2.bias"] = weight{make([]float32, 16), []int{16}, "torch.HalfStorage", false}
		}, []string{"actor_state_dict mlp.2.bias: found torch.HalfStorage, expected torch.FloatStorage"}},
		"NaN":            {func(c map[string]any) { actor(c)["mlp.2.bias"].(weight).values[3] = float32(math.NaN()) }, []string{"actor_state_dict mlp.2.bias: found NaN, expected finite numbers"}},
		"beyond storage": {func(c map[string]any) { actor(c)["mlp.2.bias"] = weight{make([]float32, 3), []int{16}, "", false} }, []string{"mlp.2.bias: found a tensor that ends at 15 of a storage of 3 values"}},
		"missing":        {func(c map[string]any) { delete(actor(c), "mlp.2.bias") }, []string{"actor_state_dict mlp.2.bias: found no tensor"}},
		"other layers":   {func(c map[string]any) { delete(actor(c), "mlp.0.weight"); delete(actor(c), "mlp.0.bias") }, []string{"found mlp.2.weight, expected mlp.0.weight"}},
		"layer norm":     {func(c map[string]any) { actor(c)["mlp.2.weight"] = weight{make([]float32, 16), []int{16}, "", false} }, []string{"mlp.2.weight: found size [16] with a bias of [16], expected [outputs inputs]"}},
		"sizes": {func(c map[string]any) {
			actor(c)["mlp.2.weight"] = weight{make([]float32, 16*30), []int{16, 30}, "", false}
		}, []string{"mlp.2.weight: found 30 inputs, expected 32, the outputs of the layer before"}},
		"normalizer": {func(c map[string]any) {
			actor(c)["obs_normalizer._mean"] = weight{make([]float32, 44), []int{1, 44}, "", false}
		}, []string{"found 44 and 45 values, expected 45"}},
		"no actor": {func(c map[string]any) { delete(c, "actor_state_dict") }, []string{`found the keys ["critic_state_dict" "infos" "iter" "optimizer_state_dict"], expected actor_state_dict`}},
	} {
		t.Run(name, func(t *testing.T) {
			content := checkpoint5(12)
			test.change(content)
			checkError(t, checkpointOptions(t, content), test.want...)
		})
	}
	o := checkpointOptions(t, checkpoint5(13))
	checkError(t, o, "last layer: found 13 outputs, expected 12 for 12 joints")
	o.Activation = "gelo"
	checkError(t, o, `--activation: found "gelo", expected "gelu", which is nearest`)
	o.Checkpoint = write(t, t.TempDir(), "old.pt", "\x80\x02}.")
	checkError(t, o, "old.pt: found no zip archive, expected a checkpoint of PyTorch 1.6 or newer")
	checkError(t, importer.Options{Robot: robot.Go2()}, "--model, --checkpoint: found both or neither, expected one of them")
}

func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte("\x80\x02}(X\x01\x00\x00\x00aK\x01u."))
	f.Add([]byte("\x80\x02ccollections\nOrderedDict\n)R."))
	f.Fuzz(func(t *testing.T, pickle []byte) {
		path := filepath.Join(t.TempDir(), "a.pt")
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		archive := zip.NewWriter(file)
		w, err := archive.CreateHeader(&zip.FileHeader{Name: "a/data.pkl", Method: zip.Store})
		if err == nil {
			_, err = w.Write(pickle)
		}
		if err != nil || archive.Close() != nil || file.Close() != nil {
			t.Fatal(err)
		}
		if _, err := importer.Import(importer.Options{Checkpoint: path, Robot: robot.Go2()}); err == nil {
			t.Error("no error for a checkpoint without an actor")
		}
	})
}
