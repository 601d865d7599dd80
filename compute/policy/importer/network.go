package importer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/graph"
)

// activations are ONNX's operators for rsl_rl's names of activations, with the default parameters of torch and ONNX, which agree.
var activations = map[string]string{
	"elu": "Elu", "crelu": "Elu", // rsl_rl's crelu is torch's CELU, which is ELU for its default alpha of 1.
	"selu": "Selu", "relu": "Relu", "lrelu": "LeakyRelu", "tanh": "Tanh", "sigmoid": "Sigmoid", "softplus": "Softplus", "gelu": "Gelu",
	"mish": "Mish", "swish": "Swish", "silu": "Swish", "identity": "Identity",
}

// Activations returns the names of the activations that a checkpoint's network can have.
func Activations() []string { return slices.Sorted(maps.Keys(activations)) }

// buildNetwork makes the ONNX model of a checkpoint.
func (d *draft) buildNetwork() error {
	if d.network == nil {
		return nil
	}
	operator, ok := activations[d.o.Activation]
	if !ok {
		return wrongFlag("--activation", quote(d.o.Activation), oneOf(d.o.Activation, Activations()))
	}
	w := &onnxWriter{}
	x := "obs"
	if len(d.network.mean) > 0 {
		n := len(d.network.mean)
		x = w.node("Sub", x, w.weight("mean", d.network.mean, 1, n))
		x = w.node("Div", x, w.weight("deviation", d.network.deviation, 1, n))
	}
	last := len(d.network.layers) - 1
	for i := range d.network.layers[:last] {
		x = w.activation(operator, w.linear(x, fmt.Sprintf("layer%d", i), &d.network.layers[i]))
	}
	if err := d.actions(w, x, &d.network.layers[last]); err != nil {
		return err
	}
	d.model = w.model(d.network.layers[0].inputs, d.joints())
	sum := sha256.Sum256(d.model)
	d.m.Files = map[string]string{policy.ModelFile: hex.EncodeToString(sum[:])}
	var err error
	d.metadata, err = graph.Parse(d.model)
	return err
}

// actions adds the last layer and the deterministic action of its distribution.
func (d *draft) actions(w *onnxWriter, x string, l *layer) error {
	name, bounds, _ := strings.Cut(d.o.Distribution, ":")
	n := d.joints()
	if name == "" && d.network.gaussian {
		name = "gaussian"
		d.note("network distribution", name, "the standard deviation in the checkpoint")
	} else if name != "" && d.agent == nil {
		d.note("network distribution", d.o.Distribution, "--distribution")
	}
	want := n
	if name == "heteroscedastic" || name == "beta" {
		want = 2 * n
	}
	if l.outputs() != want && !(name == "" && l.outputs() == 2*n) {
		return &Error{File: d.o.Checkpoint, Field: "last layer", Found: fmt.Sprintf("%d outputs", l.outputs()), Expected: fmt.Sprintf("%d for %d joints and the distribution %q", want, n, name)}
	}
	switch name {
	case "gaussian":
		w.output(w.linear(x, "actions", l))
	case "heteroscedastic": // The second half are deviations.
		mean := l.rows(0, n)
		w.output(w.linear(x, "actions", &mean))
	case "beta":
		low, high, err := betaRange(bounds)
		if err != nil {
			return err
		}
		first, second := l.rows(0, n), l.rows(n, 2*n)
		one := w.weight("one", []float32{1}, 1, 1)
		alpha := w.node("Add", w.node("Softplus", w.linear(x, "alpha", &first)), one)
		beta := w.node("Add", w.node("Softplus", w.linear(x, "beta", &second)), one)
		mean := w.node("Div", alpha, w.node("Add", alpha, beta))
		w.output(w.node("Add", w.node("Mul", mean, w.weight("range", []float32{float32(high - low)}, 1, 1)), w.weight("low", []float32{float32(low)}, 1, 1)))
	case "":
		d.ask("distribution of the actions, which decides what the network's outputs mean", "--distribution gaussian, heteroscedastic or beta:LOW,HIGH")
		return &MissingError{d.missing}
	default:
		return wrongFlag("--distribution", quote(d.o.Distribution), oneOf(name, []string{"gaussian", "heteroscedastic", "beta:LOW,HIGH"}))
	}
	return nil
}

// betaRange reads the range of the actions of a Beta distribution.
func betaRange(text string) (low, high float64, err error) {
	first, second, _ := strings.Cut(text, ",")
	low, lowErr := strconv.ParseFloat(first, 64)
	high, highErr := strconv.ParseFloat(second, 64)
	if lowErr != nil || highErr != nil || !(low < high) || isInfinite(low) || isInfinite(high) {
		return 0, 0, wrongFlag("--distribution", quote("beta:"+text), "beta:LOW,HIGH, the action_range of the training; rsl_rl's default is beta:-1,1")
	}
	return low, high, nil
}

// rows returns the layer with the outputs from one to another only.
func (l *layer) rows(from, to int) layer {
	return layer{l.weights[from*l.inputs : to*l.inputs], l.bias[from:to], l.inputs}
}

// onnxWriter encodes an ONNX model. Comments at field numbers have the names in the format's definition, onnx.proto.
type onnxWriter struct {
	nodes, weights []byte
	count          int
}

// The formats of the models, which ONNX Runtime has read since version 1.18.
const (
	writtenIR    = 10
	writtenOpset = 20
)

// node adds an operator of one output and returns the output's name.
func (w *onnxWriter) node(operator string, inputs ...string) string {
	return w.nodeWith(operator, nil, inputs...)
}

func (w *onnxWriter) nodeWith(operator string, attribute []byte, inputs ...string) string {
	w.count++
	output := fmt.Sprintf("%s_%d", strings.ToLower(operator), w.count)
	w.addNode(operator, output, attribute, inputs...)
	return output
}

func (w *onnxWriter) addNode(operator, output string, attribute []byte, inputs ...string) {
	var b []byte
	for _, input := range inputs {
		b = appendText(b, 1, input) // input
	}
	b = appendText(appendText(b, 2, output), 4, operator) // output, op_type
	if attribute != nil {
		b = appendText(b, 5, string(attribute)) // attribute
	}
	w.nodes = appendText(w.nodes, 1, string(b)) // node
}

// linear adds a layer: weights transposed, times the input, plus bias.
func (w *onnxWriter) linear(x, name string, l *layer) string {
	transposed := appendNumber(appendNumber(appendText(nil, 1, "transB"), 3, 1), 20, 2) // name, i, type INT
	return w.nodeWith("Gemm", transposed, x, w.weight(name+".weight", l.weights, l.outputs(), l.inputs), w.weight(name+".bias", l.bias, l.outputs()))
}

// activation adds an activation. ONNX has no Swish before operator set 24.
func (w *onnxWriter) activation(operator, x string) string {
	if operator == "Swish" {
		return w.node("Mul", x, w.node("Sigmoid", x))
	}
	return w.node(operator, x)
}

// output names a value as the output of the model.
func (w *onnxWriter) output(x string) { w.addNode("Identity", "actions", nil, x) }

// weight adds a tensor and returns its name.
func (w *onnxWriter) weight(name string, values []float32, shape ...int) string {
	var b []byte
	for _, n := range shape {
		b = appendNumber(b, 1, uint64(n)) // dims
	}
	data := make([]byte, 0, 4*len(values))
	for _, x := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
	}
	b = appendText(appendNumber(b, 2, 1), 8, name)                               // data_type FLOAT, name
	w.weights = appendText(w.weights, 5, string(appendText(b, 9, string(data)))) // initializer, raw_data
	return name
}

// model returns the encoded model.
func (w *onnxWriter) model(inputs, outputs int) []byte {
	b := append(appendText(slices.Clone(w.nodes), 2, "policy"), w.weights...) // name
	b = appendText(b, 11, string(valueInfo("obs", inputs)))                   // input
	b = appendText(b, 12, string(valueInfo("actions", outputs)))              // output
	m := appendText(appendText(appendNumber(nil, 1, writtenIR), 2, "krabby policy-import"), 7, string(b))
	return appendText(m, 8, string(appendNumber(nil, 2, writtenOpset))) // opset_import
}

// valueInfo encodes the declaration of a tensor of shape [1 n].
func valueInfo(name string, n int) []byte {
	var shape []byte
	for _, d := range []int{1, n} {
		shape = appendText(shape, 1, string(appendNumber(nil, 1, uint64(d)))) // dim, dim_value
	}
	tensor := appendText(appendNumber(nil, 1, 1), 2, string(shape))                            // elem_type FLOAT, shape
	return appendText(appendText(nil, 1, name), 2, string(appendText(nil, 1, string(tensor)))) // name, type, tensor_type
}

func appendNumber(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func appendText(b []byte, field protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), v)
}
