package importer

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// normalizerEpsilon is added to the standard deviation by rsl_rl's EmpiricalNormalization.
const normalizerEpsilon = 1e-2

// layer is a linear layer.
type layer struct {
	weights []float32 // [outputs][inputs]
	bias    []float32
	inputs  int
}

func (l *layer) outputs() int { return len(l.bias) }

// network is a multi-layer perceptron, with the normalization of its input.
type network struct {
	mean, deviation []float32 // Empty is none. The deviation includes epsilon.
	layers          []layer
	// gaussian is set where the checkpoint has a standard deviation beside the network: then the outputs are the actions.
	gaussian bool
}

// actorReader reads the actor of a checkpoint.
type actorReader struct {
	*checkpoint
	dictionary string // The key of the dictionary of weights.
	weights    pickleDict
	network    network
}

// actorPrefixes are the prefixes of the layers' names by the dictionary that has them: rsl_rl 5 and up to 3.
var actorPrefixes = map[string]string{"actor_state_dict": "mlp.", "model_state_dict": "actor."}

// openCheckpoint reads the network of a checkpoint of rsl_rl.
func (d *draft) openCheckpoint() error {
	d.m.Provenance.Path = filepath.Base(d.o.Checkpoint)
	return openCheckpoint(d.o.Checkpoint, func(c *checkpoint) error {
		a := actorReader{checkpoint: c}
		for _, a.dictionary = range []string{"actor_state_dict", "model_state_dict"} {
			if weights, ok := c.content[a.dictionary].(pickleDict); ok {
				a.weights = weights
				break
			}
		}
		if a.weights == nil {
			return c.wrong("", fmt.Sprintf("the keys %q", slices.Sorted(maps.Keys(c.content))), "actor_state_dict (rsl_rl 5) or model_state_dict (rsl_rl 2)")
		}
		if err := a.read(); err != nil {
			return err
		}
		d.network = &a.network
		sizes := []string{fmt.Sprint(a.network.layers[0].inputs)}
		for i := range a.network.layers {
			sizes = append(sizes, fmt.Sprint(a.network.layers[i].outputs()))
		}
		place := filepath.Base(c.path) + " " + a.dictionary
		d.note("network", strings.Join(sizes, " - "), place)
		if len(a.network.mean) > 0 {
			d.note("network normalization", "mean and deviation of the observation", place)
			d.assume("network epsilon", normalizerEpsilon, "rsl_rl's default, which no checkpoint states")
		}
		return nil
	})
}

// read reads layers and normalizer, and refuses every other weight of the actor.
func (a *actorReader) read() error {
	prefix := actorPrefixes[a.dictionary]
	indices := map[int]bool{}
	normalizer := ""
	for _, name := range slices.Sorted(maps.Keys(a.weights)) {
		rest, own := strings.CutPrefix(name, prefix)
		index, kind, _ := strings.Cut(rest, ".")
		i, err := strconv.Atoi(index)
		switch {
		case own && err == nil && i >= 0 && (kind == "weight" || kind == "bias"):
			indices[i] = true
		case slices.Contains([]string{"std", "log_std", "distribution.std_param", "distribution.log_std_param"}, name):
			a.network.gaussian = true
		case strings.HasPrefix(name, "actor_obs_normalizer.") || strings.HasPrefix(name, "obs_normalizer."):
			normalizer = name[:strings.Index(name, ".")+1]
		case strings.HasPrefix(name, "critic.") || strings.HasPrefix(name, "critic_obs_normalizer."):
		default:
			return a.wrong(a.dictionary, name, "only the weights of a multi-layer perceptron ("+prefix+"0.weight and so on) and its normalizer; export other networks, such as recurrent ones, to ONNX in training")
		}
	}
	if err := a.layers(prefix, slices.Sorted(maps.Keys(indices))); err != nil {
		return err
	}
	if separate, ok := a.content["obs_norm_state_dict"].(pickleDict); ok {
		if normalizer != "" {
			return a.wrong("obs_norm_state_dict", "a second normalizer", "one")
		}
		return a.normalizer(separate, "obs_norm_state_dict", "")
	}
	if normalizer != "" {
		return a.normalizer(a.weights, a.dictionary, normalizer)
	}
	return nil
}

// layers reads the linear layers. Between two of them is an activation, which has no weights.
func (a *actorReader) layers(prefix string, indices []int) error {
	if len(indices) == 0 {
		return a.wrong(a.dictionary, "no layers", prefix+"0.weight and so on")
	}
	for k, index := range indices {
		name := fmt.Sprintf("%s%d.", prefix, index)
		if index != 2*k {
			return a.wrong(a.dictionary, name+"weight", fmt.Sprintf("%s%d.weight: linear layers with one activation between them", prefix, 2*k))
		}
		weights, size, err := a.tensor(a.weights, a.dictionary, name+"weight")
		if err != nil {
			return err
		}
		bias, biasSize, err := a.tensor(a.weights, a.dictionary, name+"bias")
		if err != nil {
			return err
		}
		if len(size) != 2 || len(biasSize) != 1 || size[0] != biasSize[0] {
			return a.wrong(a.dictionary+" "+name+"weight", fmt.Sprintf("size %v with a bias of %v", size, biasSize), "[outputs inputs] and [outputs]")
		}
		if k > 0 && uint64(a.network.layers[k-1].outputs()) != size[1] {
			return a.wrong(a.dictionary+" "+name+"weight", fmt.Sprintf("%d inputs", size[1]), fmt.Sprintf("%d, the outputs of the layer before", a.network.layers[k-1].outputs()))
		}
		a.network.layers = append(a.network.layers, layer{weights, bias, int(size[1])})
	}
	return nil
}

// normalizer reads mean and standard deviation of the observation.
func (a *actorReader) normalizer(weights pickleDict, dictionary, prefix string) error {
	mean, _, err := a.tensor(weights, dictionary, prefix+"_mean")
	if err != nil {
		return err
	}
	deviation, _, err := a.tensor(weights, dictionary, prefix+"_std")
	if err != nil {
		return err
	}
	if n := a.network.layers[0].inputs; len(mean) != n || len(deviation) != n {
		return a.wrong(dictionary+" "+prefix+"_mean, _std", fmt.Sprintf("%d and %d values", len(mean), len(deviation)), fmt.Sprintf("%d, the inputs of the network", n))
	}
	for i := range deviation {
		if deviation[i] += normalizerEpsilon; !(deviation[i] > 0) {
			return a.wrong(dictionary+" "+prefix+"_std", fmt.Sprintf("%v at %d", deviation[i]-normalizerEpsilon, i), "0 or more")
		}
	}
	a.network.mean, a.network.deviation = mean, deviation
	return nil
}

// tensor returns the values and the size of a weight.
func (a *actorReader) tensor(weights pickleDict, dictionary, name string) ([]float32, []uint64, error) {
	field := dictionary + " " + name
	t, ok := weights[name].(tensor)
	if !ok {
		return nil, nil, a.wrong(field, "no tensor", "a tensor of float32")
	}
	values, err := a.floats(field, t)
	return values, t.size, err
}
