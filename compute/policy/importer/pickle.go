package importer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

// The values of a pickle that are not Go's own: nil, bool, int64, float64, string, []any for tuples.
type (
	// pickleDict is a dictionary. Keys are texts, or whole numbers as text.
	pickleDict map[string]any
	// pickleList is a list, which operations change in place.
	pickleList struct{ items []any }
	// pickleClass is a name that a pickle may refer to.
	pickleClass string
	// pickleMark is the mark of the stack.
	pickleMark struct{}
)

// The names that a pickle of tensors refers to, beside the classes of storages.
const (
	classOrderedDict   = pickleClass("collections.OrderedDict")
	classRebuildTensor = pickleClass("torch._utils._rebuild_tensor_v2")
)

const maxPickleDepth = 1 << 20 // Values on the stack.

// unpickler is a machine for pickles of tensors in dictionaries, lists and tuples. It calls nothing: it knows two functions, which it
// evaluates itself, and refuses every other name. Opcodes have the names of Python's module pickle.
type unpickler struct {
	in    *bytes.Reader
	stack []any
	memo  map[uint64]any
	// storage returns the value of a persistent id; rebuild a tensor of the arguments of _rebuild_tensor_v2.
	storage, rebuild func(arguments []any) (any, error)
	// class accepts the name of a storage class.
	class func(name string) bool
}

// unpickle returns the value of a pickle.
func (u *unpickler) unpickle() (value any, err error) {
	u.memo = map[uint64]any{}
	for {
		opcode, err := u.in.ReadByte()
		if err != nil {
			return nil, fmt.Errorf("pickle: it ends without STOP")
		}
		if opcode == '.' { // STOP
			return u.pop()
		}
		if err := u.step(opcode); err != nil {
			return nil, err
		}
		if len(u.stack) > maxPickleDepth {
			return nil, fmt.Errorf("pickle: more than %d values", maxPickleDepth)
		}
	}
}

func (u *unpickler) push(v any) error {
	u.stack = append(u.stack, v)
	return nil
}

func (u *unpickler) pop() (any, error) {
	if len(u.stack) == 0 {
		return nil, fmt.Errorf("pickle: the stack is empty")
	}
	v := u.stack[len(u.stack)-1]
	u.stack = u.stack[:len(u.stack)-1]
	return v, nil
}

// popMark returns the values above the last mark and removes them with it.
func (u *unpickler) popMark() ([]any, error) {
	for i := len(u.stack) - 1; i >= 0; i-- {
		if _, ok := u.stack[i].(pickleMark); ok {
			items := append([]any(nil), u.stack[i+1:]...)
			u.stack = u.stack[:i]
			return items, nil
		}
	}
	return nil, fmt.Errorf("pickle: no mark on the stack")
}

// number reads an unsigned little-endian number of 1 to 8 bytes.
func (u *unpickler) number(size int) (uint64, error) {
	var b [8]byte
	if n, _ := u.in.Read(b[:size]); n != size {
		return 0, fmt.Errorf("pickle: it is cut off")
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

// text reads a text after its length of size bytes.
func (u *unpickler) text(size int) (string, error) {
	n, err := u.number(size)
	if err != nil {
		return "", err
	}
	if n > uint64(u.in.Len()) {
		return "", fmt.Errorf("pickle: it is cut off")
	}
	b := make([]byte, n)
	_, err = u.in.Read(b)
	if n == 0 {
		err = nil
	}
	return string(b), err
}

// line reads a text up to a line break.
func (u *unpickler) line() (string, error) {
	var b []byte
	for {
		c, err := u.in.ReadByte()
		if err != nil {
			return "", fmt.Errorf("pickle: it is cut off")
		}
		if c == '\n' {
			return string(b), nil
		}
		b = append(b, c)
	}
}

// step executes an opcode.
func (u *unpickler) step(opcode byte) error {
	switch opcode {
	case 0x80: // PROTO
		_, err := u.number(1)
		return err
	case 0x95: // FRAME
		_, err := u.number(8)
		return err
	case '(': // MARK
		return u.push(pickleMark{})
	case '0': // POP
		_, err := u.pop()
		return err
	case '}': // EMPTY_DICT
		return u.push(pickleDict{})
	case ']': // EMPTY_LIST
		return u.push(&pickleList{})
	case 'N': // NONE
		return u.push(nil)
	case 0x88, 0x89: // NEWTRUE, NEWFALSE
		return u.push(opcode == 0x88)
	case 'q', 'r', 'h', 'j', 0x94: // BINPUT, LONG_BINPUT, BINGET, LONG_BINGET, MEMOIZE
		return u.memory(opcode)
	case 'X', 0x8c, 'U', 'T', 'J', 'K', 'M', 0x8a, 'G': // texts and numbers
		return u.scalar(opcode)
	case ')', 't', 0x85, 0x86, 0x87: // EMPTY_TUPLE, TUPLE, TUPLE1 to TUPLE3
		return u.tuple(opcode)
	case 's', 'u', 'a', 'e': // SETITEM, SETITEMS, APPEND, APPENDS
		return u.add(opcode)
	case 'c', 0x93: // GLOBAL, STACK_GLOBAL
		return u.global(opcode)
	case 'R', 'b', 'Q': // REDUCE, BUILD, BINPERSID
		return u.object(opcode)
	}
	return fmt.Errorf("pickle: found opcode %#x, expected only those of tensors in dictionaries, lists and tuples", opcode)
}

func (u *unpickler) memory(opcode byte) error {
	index, err := uint64(len(u.memo)), error(nil)
	switch opcode {
	case 'q', 'h':
		index, err = u.number(1)
	case 'r', 'j':
		index, err = u.number(4)
	}
	if err != nil {
		return err
	}
	if opcode == 'h' || opcode == 'j' {
		v, ok := u.memo[index]
		if !ok {
			return fmt.Errorf("pickle: no value %d in the memo", index)
		}
		return u.push(v)
	}
	if len(u.stack) == 0 {
		return fmt.Errorf("pickle: the stack is empty")
	}
	u.memo[index] = u.stack[len(u.stack)-1]
	return nil
}

func (u *unpickler) scalar(opcode byte) error {
	switch opcode {
	case 'X', 0x8c, 'U', 'T': // BINUNICODE, SHORT_BINUNICODE, SHORT_BINSTRING, BINSTRING
		text, err := u.text(map[byte]int{'X': 4, 0x8c: 1, 'U': 1, 'T': 4}[opcode])
		return first(err, u.push(text))
	case 'J': // BININT
		n, err := u.number(4)
		return first(err, u.push(int64(int32(uint32(n)))))
	case 'K', 'M': // BININT1, BININT2
		n, err := u.number(map[byte]int{'K': 1, 'M': 2}[opcode])
		return first(err, u.push(int64(n)))
	case 0x8a: // LONG1
		text, err := u.text(1)
		if len(text) > 8 {
			return fmt.Errorf("pickle: found a whole number of %d bytes, expected at most 8", len(text))
		}
		var b [8]byte
		copy(b[:], text)
		n := int64(binary.LittleEndian.Uint64(b[:]))
		if bits := 8 * len(text); bits > 0 && bits < 64 && n>>(bits-1) != 0 {
			n -= 1 << bits // The sign of two's complement.
		}
		return first(err, u.push(n))
	}
	var b [8]byte // BINFLOAT, which is big-endian.
	if n, _ := u.in.Read(b[:]); n != len(b) {
		return fmt.Errorf("pickle: it is cut off")
	}
	return u.push(math.Float64frombits(binary.BigEndian.Uint64(b[:])))
}

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (u *unpickler) tuple(opcode byte) error {
	var items []any
	switch opcode {
	case ')':
		items = []any{}
	case 't':
		var err error
		if items, err = u.popMark(); err != nil {
			return err
		}
	default:
		n := int(opcode) - 0x84
		if len(u.stack) < n {
			return fmt.Errorf("pickle: the stack is empty")
		}
		items = append(items, u.stack[len(u.stack)-n:]...)
		u.stack = u.stack[:len(u.stack)-n]
	}
	return u.push(items)
}

// add adds values to the dictionary or the list below them.
func (u *unpickler) add(opcode byte) (err error) {
	var items []any
	switch opcode {
	case 's', 'a':
		n := map[byte]int{'s': 2, 'a': 1}[opcode]
		if len(u.stack) < n {
			return fmt.Errorf("pickle: the stack is empty")
		}
		items = append(items, u.stack[len(u.stack)-n:]...)
		u.stack = u.stack[:len(u.stack)-n]
	default:
		if items, err = u.popMark(); err != nil {
			return err
		}
	}
	if len(u.stack) == 0 {
		return fmt.Errorf("pickle: the stack is empty")
	}
	switch target := u.stack[len(u.stack)-1].(type) {
	case pickleDict:
		if (opcode != 's' && opcode != 'u') || len(items)%2 != 0 {
			return fmt.Errorf("pickle: found items of a list, expected those of a dictionary")
		}
		for i := 0; i < len(items); i += 2 {
			switch key := items[i].(type) {
			case string:
				target[key] = items[i+1]
			case int64:
				target[fmt.Sprint(key)] = items[i+1]
			default:
				return fmt.Errorf("pickle: found a key of type %T, expected text or a whole number", key)
			}
		}
		return nil
	case *pickleList:
		if opcode == 'a' || opcode == 'e' {
			target.items = append(target.items, items...)
			return nil
		}
	}
	return fmt.Errorf("pickle: found no dictionary or list to add to")
}

// global reads a name and refuses all but those of tensors.
func (u *unpickler) global(opcode byte) error {
	var module, name string
	if opcode == 'c' {
		var err error
		if module, err = u.line(); err != nil {
			return err
		}
		if name, err = u.line(); err != nil {
			return err
		}
	} else {
		second, _ := u.pop()
		head, err := u.pop()
		if err != nil {
			return err
		}
		module, _ = head.(string)
		name, _ = second.(string)
	}
	class := pickleClass(module + "." + name)
	if class != classOrderedDict && class != classRebuildTensor && !u.class(string(class)) {
		return fmt.Errorf("found %q, expected only tensors, numbers and texts in dictionaries, lists and tuples", string(class))
	}
	return u.push(class)
}

// object evaluates REDUCE, BUILD and BINPERSID.
func (u *unpickler) object(opcode byte) error {
	top, err := u.pop()
	if err != nil {
		return err
	}
	if opcode == 'Q' {
		arguments, _ := top.([]any)
		storage, err := u.storage(arguments)
		return first(err, u.push(storage))
	}
	target, err := u.pop()
	if err != nil {
		return err
	}
	if opcode == 'b' { // The attribute _metadata of a dictionary of weights, which has versions of modules.
		if _, ok := target.(pickleDict); !ok {
			return fmt.Errorf("pickle: found a state of %T, expected that of a dictionary", target)
		}
		return u.push(target)
	}
	arguments, ok := top.([]any)
	switch {
	case ok && target == classOrderedDict && len(arguments) == 0:
		return u.push(pickleDict{})
	case ok && target == classRebuildTensor:
		tensor, err := u.rebuild(arguments)
		return first(err, u.push(tensor))
	}
	return fmt.Errorf("pickle: found a call of %T, expected one that makes a tensor or an empty dictionary", target)
}
