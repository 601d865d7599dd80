package bus

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pebbe/zmq4"
)

func parts(texts ...string) [][]byte {
	all := make([][]byte, len(texts))
	for i, text := range texts {
		all[i] = []byte(text)
	}
	return all
}

func TestSplitRequest(t *testing.T) {
	for _, tt := range []struct {
		name     string
		parts    [][]byte
		envelope int // Parts of it; 0 for an error.
	}{
		{"REQ", parts("name", "", "request"), 2},
		{"REQ with correlation", parts("name", "id", "", "request"), 3},
		{"an empty request", parts("name", "", ""), 2},
		{"the longest envelope", parts("name", "1", "2", "3", "4", "5", "", "request"), 7},
		{"no parts", parts("name"), 0},
		{"one part", parts("name", "request"), 0},
		{"no empty part", parts("name", "id", "request"), 0},
		{"an empty part too early", parts("name", "", "id", "", "request"), 0},
		{"two parts of a request", parts("name", "", "a", "b"), 0},
		{"two empty parts", parts("name", "", "", "request"), 0},
		{"too many parts", parts("name", "1", "2", "3", "4", "5", "6", "", "request"), 0},
	} {
		envelope, request, err := splitRequest(tt.parts)
		switch {
		case tt.envelope == 0:
			if !errors.Is(err, ErrMultipart) || envelope != nil || request != nil {
				t.Errorf("%s: %q, %q, %v, want ErrMultipart", tt.name, envelope, request, err)
			}
		case err != nil || len(envelope) != tt.envelope || !bytes.Equal(request, tt.parts[tt.envelope]):
			t.Errorf("%s: %q, %q, %v, want an envelope of %d parts", tt.name, envelope, request, err, tt.envelope)
		}
	}
}

func TestZAPReply(t *testing.T) {
	keys, other := newKeys(t), newKeys(t)
	raw := func(k Keys) string { b, _ := decodeKey(k.Public); return string(b[:]) }
	h := &zapHandler{allowed: map[string]map[[32]byte]bool{}}
	mine, others := h.admit([]string{keys.Public}), h.admit([]string{other.Public})
	revoked := h.admit([]string{keys.Public})
	revoked.revoke()
	for _, tt := range []struct {
		name    string
		request [][]byte
		code    string
	}{
		{"an authorized key", parts("1.0", "id", mine.name, "127.0.0.1", "", "CURVE", raw(keys)), "200"},
		{"the key of another domain", parts("1.0", "id", others.name, "127.0.0.1", "", "CURVE", raw(keys)), "400"},
		{"an unknown key", parts("1.0", "id", mine.name, "127.0.0.1", "", "CURVE", raw(other)), "400"},
		{"an unknown domain", parts("1.0", "id", "none", "127.0.0.1", "", "CURVE", raw(keys)), "400"},
		{"a revoked domain", parts("1.0", "id", revoked.name, "127.0.0.1", "", "CURVE", raw(keys)), "400"},
		{"another mechanism", parts("1.0", "id", mine.name, "127.0.0.1", "", "PLAIN", raw(keys)), "400"},
		{"no mechanism", parts("1.0", "id", mine.name, "127.0.0.1", "", "NULL"), "400"},
		{"a short key", parts("1.0", "id", mine.name, "127.0.0.1", "", "CURVE", raw(keys)[:31]), "400"},
		{"a long key", parts("1.0", "id", mine.name, "127.0.0.1", "", "CURVE", raw(keys)+"x"), "400"},
		{"a further part", parts("1.0", "id", mine.name, "127.0.0.1", "", "CURVE", raw(keys), ""), "400"},
		{"two parts", parts("1.0", "id"), "400"},
	} {
		reply := h.reply(tt.request)
		if len(reply) != 6 || string(reply[0]) != "1.0" || string(reply[1]) != "id" || string(reply[2]) != tt.code {
			t.Errorf("%s: reply %q, want code %s", tt.name, reply, tt.code)
		}
	}
}

func newKeys(t *testing.T) Keys {
	t.Helper()
	k, err := NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestMonitorCounter(t *testing.T) {
	for _, tt := range []struct {
		kind  zmq4.Event
		value int
		want  Connections
	}{
		{zmq4.EVENT_ACCEPTED, 0, Connections{Opened: 1}},
		{zmq4.EVENT_CONNECTED, 0, Connections{Opened: 1}},
		{zmq4.EVENT_DISCONNECTED, 0, Connections{Closed: 1}},
		{zmq4.EVENT_CONNECT_RETRIED, 0, Connections{}},
		{zmq4.EVENT_HANDSHAKE_FAILED_AUTH, 400, Connections{Key: 1}},
		{zmq4.EVENT_HANDSHAKE_FAILED_NO_DETAIL, 0, Connections{Protocol: 1}},
		{zmq4.EVENT_HANDSHAKE_FAILED_PROTOCOL, messageSize, Connections{Oversize: 1}},
		{zmq4.EVENT_HANDSHAKE_FAILED_PROTOCOL, cryptographic, Connections{Key: 1}},
		{zmq4.EVENT_HANDSHAKE_FAILED_PROTOCOL, keyExchange, Connections{Key: 1}},
		{zmq4.EVENT_HANDSHAKE_FAILED_PROTOCOL, mechanismMismatch, Connections{Key: 1}},
		{zmq4.EVENT_HANDSHAKE_FAILED_PROTOCOL, 1, Connections{Protocol: 1}},
		{0, 0, Connections{}},
	} {
		m := &monitor{}
		if n := m.counter(tt.kind, tt.value); n != nil {
			n.Add(1)
		}
		if got := m.connections(); got != tt.want {
			t.Errorf("%v with %#x counts %+v, want %+v", tt.kind, tt.value, got, tt.want)
		}
	}
}

func TestConnectionsAdd(t *testing.T) {
	got := Connections{1, 2, 3, 4, 5}.Add(Connections{10, 20, 30, 40, 50})
	if want := (Connections{11, 22, 33, 44, 55}); got != want {
		t.Errorf("sum %+v, want %+v", got, want)
	}
}

func TestConnectionQueues_maximum_oldestReplaced(t *testing.T) {
	q := &connectionQueues{}
	first := q.ring(0)
	for connection := range maxConnectionQueues {
		q.ring(connection)
	}
	if n := len(q.queues.load()); n != maxConnectionQueues || q.ring(0) != first {
		t.Fatalf("%d queues, the first one kept: %v; want %d, true", n, q.ring(0) == first, maxConnectionQueues)
	}
	oldest := q.ring(1)
	for connection := range maxConnectionQueues {
		if connection != 1 {
			q.ring(connection)
		}
	}
	q.ring(maxConnectionQueues) // Takes the queue of 1, which has been silent for longest.
	if n := len(q.queues.load()); n != maxConnectionQueues || q.ring(0) != first {
		t.Errorf("%d queues, the first one kept: %v; want %d, true", n, q.ring(0) == first, maxConnectionQueues)
	}
	if slices.ContainsFunc(q.queues.load(), func(o *tcpQueue) bool { return o.ring == oldest }) {
		t.Error("the oldest queue is still read")
	}
	q.free()
	if first.Pin(0) != nil {
		t.Error("a frame in a queue that was freed")
	}
}

func TestTakeFrom_multipartMessage_droppedOnce(t *testing.T) {
	q := &connectionQueues{}
	store := func(connection int, text string, multipart bool) {
		slot := q.ring(connection).Acquire()
		slot.Value.multipart = multipart
		q.ring(connection).Commit(slot, []byte(text))
	}
	store(1, strings.Repeat("x", 100), true)
	store(2, "good", false)
	r := queueReader[tcpMessage]{queues: &q.queues}
	var frames []string
	multiparts := 0
	for {
		frame, err := r.takeFrom((*tcpMessage).check)
		if errors.Is(err, ErrEmpty) {
			break
		}
		if errors.Is(err, ErrMultipart) {
			multiparts++
		} else {
			frames = append(frames, string(frame))
		}
	}
	if multiparts != 1 || !slices.Equal(frames, []string{"good"}) {
		t.Errorf("frames %q and %d multipart messages, want good and 1", frames, multiparts)
	}
}
