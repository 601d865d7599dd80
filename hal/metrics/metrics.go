// Package metrics exports the counters of a hardware abstraction layer to Prometheus: those of the server and its safety gate, those
// of the client, and histograms of ages and latencies. Counters are read at each scrape.
//
// It must not import concrete backends or inference.
package metrics

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"krabby.dev/krabby/hal/backend"
	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/safety"
	"krabby.dev/krabby/hal/server"
)

// Server provides the counters of a server; *server.Server is one.
type Server interface{ Stats() server.Stats }

// Client provides the counters of a client; *client.Client is one.
type Client interface{ Stats() client.Stats }

// Metrics are the metrics of one process. They are safe for concurrent use.
type Metrics struct {
	step, commandAge, observationAge histogram

	server   Server
	client   Client
	requests chan struct{} // Holds an element for each scrape that is being served.
}

// maxScrapes is the number of scrapes that are served at the same time; the others are answered with 503.
const maxScrapes = 4

// New returns metrics with empty histograms.
func New() *Metrics {
	return &Metrics{
		step:           newHistogram("server_step_seconds", "Duration of a step of the server's loop."),
		commandAge:     newHistogram("command_age_seconds", "Age of commands when the gate accepted them."),
		observationAge: newHistogram("observation_age_seconds", "Age of observations when the client read them."),
		requests:       make(chan struct{}, maxScrapes),
	}
}

// Step records the duration of a step of the server's loop.
func (m *Metrics) Step(took time.Duration) { m.step.Update(took.Seconds()) }

// CommandAge records the age of a command that the gate accepted.
func (m *Metrics) CommandAge(age time.Duration) { m.commandAge.Update(age.Seconds()) }

// ObservationAge records the age of an observation that the client read.
func (m *Metrics) ObservationAge(age time.Duration) { m.observationAge.Update(age.Seconds()) }

// Watch adds the counters of a server and a client. Call it once, before the first scrape.
func (m *Metrics) Watch(s Server, c Client) { m.server, m.client = s, c }

// Handler serves a scrape in Prometheus' text format.
func (m *Metrics) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case m.requests <- struct{}{}:
			defer func() { <-m.requests }()
		default:
			http.Error(w, fmt.Sprintf("metrics: %d scrapes are being served, which is the limit: try again later", maxScrapes), http.StatusServiceUnavailable)
			return
		}
		var body bytes.Buffer
		m.write(&body)
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.Write(body.Bytes())
	})
}

// Address completes an address of a command line: without a host it is the loopback address.
func Address(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		return "", fmt.Errorf("found %q, expected HOST:PORT or :PORT", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("found %q, expected a port of 0 to 65535", address)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// Endpoint is a running HTTP server of metrics.
type Endpoint struct {
	listener net.Listener
	http     *http.Server
	done     chan error
}

// Serve serves the metrics at an address, under /metrics, until Close.
func (m *Metrics) Serve(address string) (*Endpoint, error) {
	address, err := Address(address)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	e := &Endpoint{
		listener: listener,
		http: &http.Server{
			Handler: mux,
			// Bound slow and idle connections.
			ReadTimeout:    5 * time.Second,
			WriteTimeout:   5 * time.Second,
			IdleTimeout:    2 * time.Minute,
			MaxHeaderBytes: 16 << 10,
		},
		done: make(chan error, 1),
	}
	go func() { e.done <- e.http.Serve(listener) }()
	return e, nil
}

// URL returns the address of the metrics.
func (e *Endpoint) URL() string { return "http://" + e.listener.Addr().String() + "/metrics" }

// Close stops serving at once.
func (e *Endpoint) Close() error {
	err := e.http.Close()
	if served := <-e.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

// family is a metric with its samples by label.
type family struct{ name, kind, help, label string }

func counter(name, help string) family { return family{"krabby_hal_" + name, "counter", help, ""} }

func counters(name, help, label string) family {
	return family{"krabby_hal_" + name, "counter", help, label}
}

func states(name, help, label string) family {
	return family{"krabby_hal_" + name, "gauge", help, label}
}

// header writes the description of a metric, before its samples.
// Format: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format.
func (f family) header(w io.Writer) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %[1]s %[3]s\n", f.name, f.help, f.kind)
}

func (f family) sample(value string) string { return fmt.Sprintf("%s{%s=%q}", f.name, f.label, value) }

// count writes a counter without a label.
func (f family) count(w io.Writer, n uint64) {
	f.header(w)
	metrics.WriteCounterUint64(w, f.name, n)
}

// countBy writes a counter for each value of the label. Without values there is nothing to write.
func (f family) countBy(w io.Writer, counts map[string]uint64) {
	if len(counts) == 0 {
		return
	}
	f.header(w)
	for _, value := range slices.Sorted(maps.Keys(counts)) {
		metrics.WriteCounterUint64(w, f.sample(value), counts[value])
	}
}

// indicate writes 1 for the current state and 0 for the others.
func (f family) indicate(w io.Writer, current string, all ...string) {
	f.header(w)
	for _, each := range all {
		var is uint64
		if each == current {
			is = 1
		}
		metrics.WriteGaugeUint64(w, f.sample(each), is)
	}
}

// histogram is a metric with buckets.
type histogram struct {
	*metrics.PrometheusHistogram
	family
	set *metrics.Set
}

func newHistogram(name, help string) histogram {
	f := family{"krabby_hal_" + name, "histogram", help, ""}
	set := metrics.NewSet()
	// From 50 µs to 410 ms in factors of two, around the age limits of 100 and 200 ms.
	return histogram{set.NewPrometheusHistogramExt(f.name, metrics.ExponentialBuckets(50e-6, 2, 14)), f, set}
}

func (h histogram) write(w io.Writer) {
	h.header(w)
	h.set.WritePrometheus(w)
}

var (
	steps            = counter("server_steps_total", "Steps of the server's loop.")
	missed           = counter("server_missed_deadlines_total", "Deadlines that the server's loop missed.")
	published        = counter("server_published_total", "Observations published.")
	unpublished      = counters("server_unpublished_total", "Observations not published.", "reason")
	applied          = counter("server_applied_total", "Commands that the gate accepted and a write applied.")
	rejected         = counters("server_rejected_total", "Commands rejected.", "reason")
	holds            = counter("server_holds_total", "Times that the gate began to hold the last output.")
	damps            = counter("server_damps_total", "Times that the gate began to damp the joints.")
	writeErrors      = counter("server_write_errors_total", "Failed writes to the backend.")
	backendState     = states("backend_state", "1 for the current state of the backend's life cycle, 0 for the others.", "state")
	backendCondition = states("backend_condition", "1 for the current condition of the backend, 0 for the others.", "condition")
	connections      = counters("server_connections_total", "TCP connections: opened, closed, and rejected by reason.", "event")
	control          = counters("server_control_requests_total", "Control requests answered: clock, stop or reset.", "operation")
	controlRejected  = counters("server_control_rejected_total", "Control requests rejected.", "reason")
	state            = states("safety_state", "1 for the current state of the safety gate, 0 for the others.", "state")
	stateSeconds     = counters("safety_state_seconds_total", "Time spent in each state.", "state")
	slewLimited      = counter("safety_slew_limited_total", "Steps at which the slew limit changed a target.")
	trips            = counters("safety_trips_total", "Stops.", "fault")
	resetsRejected   = counters("safety_resets_rejected_total", "Resets rejected.", "fault")

	observations   = counter("client_observations_total", "Valid observations read.")
	skipped        = counter("client_skipped_total", "Observations replaced by newer ones before they were read.")
	clientRejected = counters("client_rejected_total", "Observations rejected.", "reason")
	clientLinks    = counters("client_connections_total", "TCP connections: opened, closed, and rejected by reason.", "event")
	sent           = counter("client_sent_total", "Commands sent.")
	unsent         = counter("client_unsent_total", "Commands not sent.")
)

func events(c bus.Connections) map[string]uint64 {
	return map[string]uint64{"opened": c.Opened, "closed": c.Closed, "oversize": c.Oversize, "key": c.Key, "protocol": c.Protocol}
}

// write writes all metrics.
func (m *Metrics) write(w io.Writer) {
	for _, h := range []histogram{m.step, m.commandAge, m.observationAge} {
		h.write(w)
	}
	if m.server != nil {
		writeServer(w, m.server.Stats())
	}
	if m.client != nil {
		writeClient(w, m.client.Stats())
	}
}

func writeServer(w io.Writer, s server.Stats) {
	steps.count(w, s.Steps)
	missed.count(w, s.MissedDeadlines)
	published.count(w, s.Published)
	unpublished.countBy(w, s.Unpublished)
	applied.count(w, s.Applied)
	rejected.countBy(w, s.Rejected)
	holds.count(w, s.Holds)
	damps.count(w, s.Damps)
	writeErrors.count(w, s.WriteErrors)
	connections.countBy(w, events(s.Connections))
	control.countBy(w, s.Control.Requests)
	controlRejected.countBy(w, s.Control.Rejected)
	var lifeCycle, gate []string
	for each := backend.Unconfigured; each <= backend.Finalized; each++ {
		lifeCycle = append(lifeCycle, each.String())
	}
	for each := safety.Idle; each <= safety.Stopped; each++ {
		gate = append(gate, each.String())
	}
	backendState.indicate(w, s.Backend.State, lifeCycle...)
	backendCondition.indicate(w, string(s.Backend.Condition), string(backend.OK), string(backend.Degraded), string(backend.Failed))
	state.indicate(w, s.Safety.State, gate...)
	stateSeconds.header(w)
	for _, each := range gate {
		metrics.WriteCounterFloat64(w, stateSeconds.sample(each), s.Safety.TimeS[each])
	}
	slewLimited.count(w, s.Safety.SlewLimited)
	trips.countBy(w, s.Safety.Trips)
	resetsRejected.countBy(w, s.Safety.ResetsRejected)
}

func writeClient(w io.Writer, c client.Stats) {
	observations.count(w, c.Observations)
	skipped.count(w, c.Skipped)
	clientRejected.countBy(w, c.Rejected)
	clientLinks.countBy(w, events(c.Connections))
	sent.count(w, c.Sent)
	unsent.count(w, c.Unsent)
}
