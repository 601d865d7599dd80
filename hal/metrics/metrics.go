// Package metrics exports the counters of a hardware abstraction layer to Prometheus: those of the server and its safety gate, those
// of the client, and histograms of ages and latencies. Counters are read at each scrape.
//
// It must not import concrete backends or inference.
package metrics

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

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
	registry                         *prometheus.Registry
	step, commandAge, observationAge prometheus.Histogram
}

// New returns metrics with empty histograms.
func New() *Metrics {
	// From 50 µs to 410 ms in factors of two, around the age limits of 100 and 200 ms.
	buckets := prometheus.ExponentialBuckets(50e-6, 2, 14)
	histogram := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "krabby", Subsystem: "hal", Name: name, Help: help, Buckets: buckets})
	}
	m := &Metrics{
		registry:       prometheus.NewRegistry(),
		step:           histogram("server_step_seconds", "Duration of a step of the server's loop."),
		commandAge:     histogram("command_age_seconds", "Age of commands when the gate accepted them."),
		observationAge: histogram("observation_age_seconds", "Age of observations when the client read them."),
	}
	m.registry.MustRegister(m.step, m.commandAge, m.observationAge)
	return m
}

// Step records the duration of a step of the server's loop.
func (m *Metrics) Step(took time.Duration) { m.step.Observe(took.Seconds()) }

// CommandAge records the age of a command that the gate accepted.
func (m *Metrics) CommandAge(age time.Duration) { m.commandAge.Observe(age.Seconds()) }

// ObservationAge records the age of an observation that the client read.
func (m *Metrics) ObservationAge(age time.Duration) { m.observationAge.Observe(age.Seconds()) }

// Watch adds the counters of a server and a client. Call it once.
func (m *Metrics) Watch(s Server, c Client) { m.registry.MustRegister(&collector{s, c}) }

// Handler serves a scrape.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
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

// collector exports the counters of a server and a client.
type collector struct {
	server Server
	client Client
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("krabby_hal_"+name, help, labels, nil)
}

var (
	steps            = desc("server_steps_total", "Steps of the server's loop.")
	missed           = desc("server_missed_deadlines_total", "Deadlines that the server's loop missed.")
	published        = desc("server_published_total", "Observations published.")
	unpublished      = desc("server_unpublished_total", "Observations not published.", "reason")
	applied          = desc("server_applied_total", "Commands that the gate accepted and a write applied.")
	rejected         = desc("server_rejected_total", "Commands rejected.", "reason")
	holds            = desc("server_holds_total", "Times that the gate began to hold the last output.")
	damps            = desc("server_damps_total", "Times that the gate began to damp the joints.")
	writeErrors      = desc("server_write_errors_total", "Failed writes to the backend.")
	backendState     = desc("backend_state", "1 for the current state of the backend's life cycle, 0 for the others.", "state")
	backendCondition = desc("backend_condition", "1 for the current condition of the backend, 0 for the others.", "condition")
	connections      = desc("server_connections_total", "TCP connections: opened, closed, and rejected by reason.", "event")
	control          = desc("server_control_requests_total", "Control requests answered: clock, stop or reset.", "operation")
	controlRejected  = desc("server_control_rejected_total", "Control requests rejected.", "reason")
	state            = desc("safety_state", "1 for the current state of the safety gate, 0 for the others.", "state")
	stateSeconds     = desc("safety_state_seconds_total", "Time spent in each state.", "state")
	slewLimited      = desc("safety_slew_limited_total", "Steps at which the slew limit changed a target.")
	trips            = desc("safety_trips_total", "Stops.", "fault")
	resetsRejected   = desc("safety_resets_rejected_total", "Resets rejected.", "fault")

	observations   = desc("client_observations_total", "Valid observations read.")
	skipped        = desc("client_skipped_total", "Observations replaced by newer ones before they were read.")
	clientRejected = desc("client_rejected_total", "Observations rejected.", "reason")
	clientLinks    = desc("client_connections_total", "TCP connections: opened, closed, and rejected by reason.", "event")
	sent           = desc("client_sent_total", "Commands sent.")
	unsent         = desc("client_unsent_total", "Commands not sent.")
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		steps, missed, published, unpublished, applied, rejected, holds, damps, writeErrors, backendState, backendCondition, connections,
		control, controlRejected, state, stateSeconds, slewLimited, trips, resetsRejected,
		observations, skipped, clientRejected, clientLinks, sent, unsent,
	} {
		to <- d
	}
}

func events(c bus.Connections) map[string]uint64 {
	return map[string]uint64{"opened": c.Opened, "closed": c.Closed, "oversize": c.Oversize, "key": c.Key, "protocol": c.Protocol}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, n uint64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n))
	}
	by := func(d *prometheus.Desc, counts map[string]uint64) {
		for label, n := range counts {
			to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), label)
		}
	}
	s := c.server.Stats()
	count(steps, s.Steps)
	count(missed, s.MissedDeadlines)
	count(published, s.Published)
	by(unpublished, s.Unpublished)
	count(applied, s.Applied)
	by(rejected, s.Rejected)
	count(holds, s.Holds)
	count(damps, s.Damps)
	count(writeErrors, s.WriteErrors)
	by(connections, events(s.Connections))
	by(control, s.Control.Requests)
	by(controlRejected, s.Control.Rejected)
	indicate := func(d *prometheus.Desc, label string, is bool) {
		value := 0.0
		if is {
			value = 1
		}
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, label)
	}
	for each := backend.Unconfigured; each <= backend.Finalized; each++ {
		indicate(backendState, each.String(), each.String() == s.Backend.State)
	}
	for _, each := range []backend.Condition{backend.OK, backend.Degraded, backend.Failed} {
		indicate(backendCondition, string(each), each == s.Backend.Condition)
	}
	for each := safety.Idle; each <= safety.Stopped; each++ {
		indicate(state, each.String(), each.String() == s.Safety.State)
		to <- prometheus.MustNewConstMetric(stateSeconds, prometheus.CounterValue, s.Safety.TimeS[each.String()], each.String())
	}
	count(slewLimited, s.Safety.SlewLimited)
	by(trips, s.Safety.Trips)
	by(resetsRejected, s.Safety.ResetsRejected)

	l := c.client.Stats()
	count(observations, l.Observations)
	count(skipped, l.Skipped)
	by(clientRejected, l.Rejected)
	by(clientLinks, events(l.Connections))
	count(sent, l.Sent)
	count(unsent, l.Unsent)
}
