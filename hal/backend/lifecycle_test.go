package backend_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"krabby.dev/krabby/hal/backend"
	"krabby.dev/krabby/hal/message"
)

var errBroken = errors.New("broken")

// recorder is a backend that records the calls it gets, and fails or panics in some of them.
type recorder struct {
	calls  []string
	fail   map[string]int // How many calls of a method fail; -1 is all of them.
	panics bool           // Fail by a panic.
	ctxErr error          // Of the last Deactivate.
	left   time.Duration  // Until the deadline of the last Deactivate.
}

func (r *recorder) call(name string) error {
	r.calls = append(r.calls, name)
	if r.fail[name] == 0 {
		return nil
	}
	r.fail[name]--
	if r.panics {
		panic(name)
	}
	return errBroken
}

func (r *recorder) Configure(context.Context) error                    { return r.call("configure") }
func (r *recorder) Activate(context.Context) error                     { return r.call("activate") }
func (r *recorder) Read(context.Context, *message.Observation) error   { return r.call("read") }
func (r *recorder) Write(context.Context, *message.JointCommand) error { return r.call("write") }
func (r *recorder) Close() error                                       { return r.call("close") }
func (r *recorder) Deactivate(ctx context.Context) error {
	r.ctxErr = ctx.Err()
	if deadline, ok := ctx.Deadline(); ok {
		r.left = time.Until(deadline)
	}
	return r.call("deactivate")
}

func (r *recorder) Health() backend.Health {
	if r.fail["health"] != 0 {
		panic("health")
	}
	return backend.Health{Condition: backend.Degraded, Reason: "no camera"}
}

// do makes one call by its name.
func do(ctx context.Context, l *backend.Lifecycle, call string) error {
	switch call {
	case "configure":
		return l.Configure(ctx)
	case "activate":
		return l.Activate(ctx)
	case "read":
		return l.Read(ctx, &message.Observation{})
	case "write":
		return l.Write(ctx, &message.JointCommand{})
	case "deactivate":
		return l.Deactivate(ctx)
	case "close":
		return l.Close()
	}
	panic("unknown call " + call)
}

// in returns a life cycle in a state, and its backend with no calls recorded.
func in(t *testing.T, s backend.State, r *recorder) *backend.Lifecycle {
	t.Helper()
	l := backend.NewLifecycle(r)
	fail := r.fail
	r.fail = nil
	path := map[backend.State][]string{
		backend.Inactive:  {"configure"},
		backend.Active:    {"configure", "activate"},
		backend.Finalized: {"close"},
	}[s]
	for _, call := range path {
		if err := do(t.Context(), l, call); err != nil {
			t.Fatal(err)
		}
	}
	if l.State() != s {
		t.Fatalf("state = %s, want %s", l.State(), s)
	}
	r.calls, r.fail = nil, fail
	return l
}

// TestLifecycle_table checks every call in every state, with and without an error, against the package's table.
func TestLifecycle_table(t *testing.T) {
	const refused = "refused" // A StateError; the backend is not called.
	type outcome struct {
		state backend.State
		calls []string
	}
	u, i, a, f := backend.Unconfigured, backend.Inactive, backend.Active, backend.Finalized
	calls := func(names ...string) []string { return names }
	for _, test := range []struct {
		call   string
		from   backend.State
		ok     outcome
		failed outcome // Every call of the method fails.
		result string
	}{
		{"configure", u, outcome{i, calls("configure")}, outcome{f, calls("configure", "close")}, ""},
		{"configure", i, outcome{i, nil}, outcome{i, nil}, refused},
		{"configure", a, outcome{a, nil}, outcome{a, nil}, refused},
		{"configure", f, outcome{f, nil}, outcome{f, nil}, refused},
		{"activate", u, outcome{u, nil}, outcome{u, nil}, refused},
		{"activate", i, outcome{a, calls("activate")}, outcome{i, calls("activate", "deactivate")}, ""},
		{"activate", a, outcome{a, nil}, outcome{a, nil}, refused},
		{"activate", f, outcome{f, nil}, outcome{f, nil}, refused},
		{"read", u, outcome{u, nil}, outcome{u, nil}, refused},
		{"read", i, outcome{i, calls("read")}, outcome{i, calls("read")}, ""},
		{"read", a, outcome{a, calls("read")}, outcome{a, calls("read")}, ""},
		{"read", f, outcome{f, nil}, outcome{f, nil}, refused},
		{"write", u, outcome{u, nil}, outcome{u, nil}, refused},
		{"write", i, outcome{i, nil}, outcome{i, nil}, refused},
		{"write", a, outcome{a, calls("write")}, outcome{a, calls("write")}, ""},
		{"write", f, outcome{f, nil}, outcome{f, nil}, refused},
		{"deactivate", u, outcome{u, nil}, outcome{u, nil}, refused},
		{"deactivate", i, outcome{i, nil}, outcome{i, nil}, "nothing"},
		{"deactivate", a, outcome{i, calls("deactivate")}, outcome{f, calls("deactivate", "deactivate", "deactivate", "close")}, ""},
		{"deactivate", f, outcome{f, nil}, outcome{f, nil}, refused},
		{"close", u, outcome{f, calls("close")}, outcome{f, calls("close")}, ""},
		{"close", i, outcome{f, calls("close")}, outcome{f, calls("close")}, ""},
		{"close", a, outcome{f, calls("deactivate", "close")}, outcome{f, calls("deactivate", "close")}, ""},
		{"close", f, outcome{f, nil}, outcome{f, nil}, "nothing"},
	} {
		for _, how := range []string{"ok", "error", "panic"} {
			t.Run(fmt.Sprintf("%s in %s, %s", test.call, test.from, how), func(t *testing.T) {
				want := test.ok
				r := &recorder{panics: how == "panic"}
				if how != "ok" {
					r.fail = map[string]int{test.call: -1}
					want = test.failed
				}
				l := in(t, test.from, r)
				err := do(t.Context(), l, test.call)
				_, wrongState := errors.AsType[*backend.StateError](err)
				_, panicked := errors.AsType[*backend.PanicError](err)
				switch {
				case test.result == refused && !wrongState:
					t.Errorf("error = %v, want a StateError", err)
				case test.result == "" && how == "error" && !errors.Is(err, errBroken):
					t.Errorf("error = %v, want the backend's", err)
				case test.result == "" && how == "panic" && !panicked:
					t.Errorf("error = %v, want a PanicError", err)
				case (test.result == "nothing" || how == "ok" && test.result == "") && err != nil:
					t.Errorf("error = %v, want none", err)
				}
				if l.State() != want.state || !slices.Equal(r.calls, want.calls) {
					t.Errorf("state %s after calls %q, want %s after %q", l.State(), r.calls, want.state, want.calls)
				}
			})
		}
	}
}

func TestLifecycleDeactivate_retriesWithItsOwnDeadline(t *testing.T) {
	r := &recorder{fail: map[string]int{"deactivate": 2}}
	l := in(t, backend.Active, r)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // As at the end of a server's loop.
	if err := l.Deactivate(ctx); err != nil || l.State() != backend.Inactive || len(r.calls) != 3 {
		t.Errorf("error %v, state %s, calls %q; want none, inactive, three attempts", err, l.State(), r.calls)
	}
	if r.ctxErr != nil || r.left <= 0 || r.left > 100*time.Millisecond {
		t.Errorf("context error %v, deadline in %v; want none, at most 100ms", r.ctxErr, r.left)
	}
}

func TestLifecycleActivate_failedDeactivateCloses(t *testing.T) {
	r := &recorder{fail: map[string]int{"activate": -1, "deactivate": -1}}
	l := in(t, backend.Inactive, r)
	err := l.Activate(t.Context())
	want := []string{"activate", "deactivate", "deactivate", "deactivate", "close"}
	if err == nil || l.State() != backend.Finalized || !slices.Equal(r.calls, want) {
		t.Errorf("error %v, state %s, calls %q; want finalized after %q", err, l.State(), r.calls, want)
	}
}

func TestLifecycleHealth(t *testing.T) {
	for _, test := range []struct {
		name  string
		state backend.State
		fail  map[string]int
		want  backend.Health
	}{
		{"reported", backend.Active, nil, backend.Health{Condition: backend.Degraded, Reason: "no camera"}},
		{"finalized", backend.Finalized, nil, backend.Health{Condition: backend.Failed, Reason: "closed"}},
		{"panic", backend.Active, map[string]int{"health": -1}, backend.Health{Condition: backend.Failed, Reason: "backend: panic: health"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := in(t, test.state, &recorder{fail: test.fail}).Health(); got != test.want {
				t.Errorf("Health = %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestLifecycle_readAndWriteDoNotAllocate(t *testing.T) {
	l := backend.NewLifecycle(idle{})
	if err := errors.Join(l.Configure(t.Context()), l.Activate(t.Context())); err != nil {
		t.Fatal(err)
	}
	ctx, o, c := t.Context(), &message.Observation{}, &message.JointCommand{}
	if n := testing.AllocsPerRun(100, func() {
		_ = l.Read(ctx, o)
		_ = l.Write(ctx, c)
	}); n != 0 {
		t.Errorf("%v allocations per step, want 0", n)
	}
}

type idle struct{ backend.Stateless }

func (idle) Read(context.Context, *message.Observation) error   { return nil }
func (idle) Write(context.Context, *message.JointCommand) error { return nil }
