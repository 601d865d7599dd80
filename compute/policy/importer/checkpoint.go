package importer

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

const (
	maxCheckpointBytes = 4 << 30
	maxPickleBytes     = 64 << 20
	maxTensorValues    = 64 << 20
)

// storageSizes are the sizes of the elements of torch's storages, in bytes.
var storageSizes = map[string]uint64{
	"torch.FloatStorage": 4, "torch.DoubleStorage": 8, "torch.HalfStorage": 2, "torch.BFloat16Storage": 2, "torch.LongStorage": 8,
	"torch.IntStorage": 4, "torch.ShortStorage": 2, "torch.CharStorage": 1, "torch.ByteStorage": 1, "torch.BoolStorage": 1,
}

// storage is the data of tensors: an entry of the checkpoint.
type storage struct {
	class, key string
	elements   uint64
}

// tensor is a view into a storage.
type tensor struct {
	storage      storage
	offset       uint64
	size, stride []uint64
}

// checkpoint is a file of torch.save: a zip archive of a pickle and of storages.
type checkpoint struct {
	path    string
	entries map[string]*zip.File // By the name without the archive's own directory.
	content pickleDict
}

func (c *checkpoint) wrong(field, found, expected string) error {
	return &Error{File: c.path, Field: field, Found: found, Expected: expected}
}

// openCheckpoint reads the structure of a checkpoint. It reads no tensors yet; read keeps the archive open while it runs.
func openCheckpoint(path string, read func(*checkpoint) error) (err error) {
	archive, err := zip.OpenReader(path)
	if err != nil {
		if strings.Contains(err.Error(), "not a valid zip file") {
			return &Error{File: path, Found: "no zip archive", Expected: "a checkpoint of PyTorch 1.6 or newer"}
		}
		return err
	}
	defer archive.Close()
	c := &checkpoint{path: path, entries: map[string]*zip.File{}}
	total := uint64(0)
	for _, f := range archive.File {
		_, name, _ := strings.Cut(f.Name, "/")
		if f.Method != zip.Store {
			return c.wrong(f.Name, "a compressed entry", "an uncompressed one, as torch writes")
		}
		total += f.UncompressedSize64
		c.entries[name] = f
	}
	if total > maxCheckpointBytes {
		return c.wrong("", fmt.Sprintf("%d bytes", total), fmt.Sprintf("at most %d", int64(maxCheckpointBytes)))
	}
	if f := c.entries["byteorder"]; f != nil {
		if order, err := c.readEntry("byteorder", 16); err != nil || string(order) != "little" {
			return c.wrong("byteorder", quote(string(order)), "little")
		}
	}
	text, err := c.readEntry("data.pkl", maxPickleBytes)
	if err != nil {
		return err
	}
	u := unpickler{
		in: bytes.NewReader(text), storage: c.storage, rebuild: c.rebuild,
		class: func(name string) bool { return storageSizes[name] > 0 },
	}
	value, err := u.unpickle()
	if _, ok := errors.AsType[*Error](err); err != nil && !ok {
		return fmt.Errorf("%s: data.pkl: %w", path, err)
	} else if err != nil {
		return err
	}
	content, ok := value.(pickleDict)
	if !ok {
		return c.wrong("data.pkl", fmt.Sprintf("a value of type %T", value), "a dictionary")
	}
	c.content = content
	return read(c)
}

// readEntry returns the content of an entry.
func (c *checkpoint) readEntry(name string, maxBytes uint64) ([]byte, error) {
	f := c.entries[name]
	if f == nil {
		return nil, c.wrong(name, "no such entry", "a checkpoint of PyTorch 1.6 or newer")
	}
	if f.UncompressedSize64 > maxBytes {
		return nil, c.wrong(name, fmt.Sprintf("%d bytes", f.UncompressedSize64), fmt.Sprintf("at most %d", maxBytes))
	}
	r, err := f.Open()
	if err != nil {
		return nil, c.wrong(name, err.Error(), "a readable entry")
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, int64(maxBytes)+1))
	if err != nil {
		return nil, c.wrong(name, err.Error(), "a readable entry")
	}
	return content, nil
}

// storage returns the storage of a persistent id: ("storage", class, key, device, elements).
func (c *checkpoint) storage(id []any) (any, error) {
	if len(id) == 5 && id[0] == "storage" {
		class, isClass := id[1].(pickleClass)
		key, isKey := id[2].(string)
		elements, isNumber := id[4].(int64)
		if isClass && isKey && isNumber && elements >= 0 {
			return storage{string(class), key, uint64(elements)}, nil
		}
	}
	return nil, c.wrong("data.pkl", "a reference of another form", "references to storages")
}

// rebuild returns a tensor of (storage, offset, size, stride, ...).
func (c *checkpoint) rebuild(arguments []any) (any, error) {
	if len(arguments) < 4 {
		return nil, c.wrong("data.pkl", fmt.Sprintf("a tensor of %d arguments", len(arguments)), "4 or more")
	}
	s, isStorage := arguments[0].(storage)
	offset, isOffset := arguments[1].(int64)
	size, isSize := unsigned(arguments[2])
	stride, isStride := unsigned(arguments[3])
	if !isStorage || !isOffset || offset < 0 || !isSize || !isStride || len(size) != len(stride) || len(size) > 8 {
		return nil, c.wrong("data.pkl", "a tensor of other arguments", "storage, offset, size and stride")
	}
	return tensor{s, uint64(offset), size, stride}, nil
}

// unsigned returns a tuple of numbers from 0 to 2^31.
func unsigned(v any) ([]uint64, bool) {
	items, ok := v.([]any)
	var all []uint64
	for _, item := range items {
		n, isNumber := item.(int64)
		if !isNumber || n < 0 || n > 1<<31 {
			return nil, false
		}
		all = append(all, uint64(n))
	}
	return all, ok
}

// floats returns the values of a tensor of float32 in the order of its indices. They are finite. field names it in errors.
func (c *checkpoint) floats(field string, t tensor) ([]float32, error) {
	if t.storage.class != "torch.FloatStorage" {
		return nil, c.wrong(field, t.storage.class, "torch.FloatStorage: float32")
	}
	count, last := uint64(1), t.offset
	for i, n := range t.size {
		if count *= n; count > maxTensorValues || n == 0 {
			return nil, c.wrong(field, fmt.Sprintf("a tensor of size %v", t.size), fmt.Sprintf("1 to %d values", maxTensorValues))
		}
		last += (n - 1) * t.stride[i]
	}
	if t.storage.elements > maxTensorValues || last >= t.storage.elements {
		return nil, c.wrong(field, fmt.Sprintf("a tensor that ends at %d of a storage of %d values", last, t.storage.elements), fmt.Sprintf("one within its storage, of at most %d values", maxTensorValues))
	}
	content, err := c.readEntry("data/"+t.storage.key, 4*maxTensorValues)
	if err != nil {
		return nil, err
	}
	if found := uint64(len(content)); found != 4*t.storage.elements {
		return nil, c.wrong("data/"+t.storage.key, fmt.Sprintf("%d bytes", found), fmt.Sprint(4*t.storage.elements))
	}
	values, index := make([]float32, count), make([]uint64, len(t.size))
	for i := range values {
		at := t.offset
		for k, n := range index {
			at += n * t.stride[k]
		}
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(content[4*at:]))
		if x := float64(values[i]); math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, c.wrong(field, fmt.Sprint(x), "finite numbers")
		}
		for k := len(index) - 1; k >= 0; k-- {
			if index[k]++; index[k] < t.size[k] {
				break
			}
			index[k] = 0
		}
	}
	return values, nil
}
