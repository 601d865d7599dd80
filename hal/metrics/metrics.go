// Package metrics serves what a hardware abstraction layer counts to Prometheus: the server's counters and the state of
// its safety gate, the client's counters, and ages and latencies as histograms.
//
// Counters are read when they are asked for, so nobody who asks costs nothing. It must never import backends or inference.
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

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/safety"
	"krabby.dev/krabby/hal/server"
)

// Server gives a server's counters; *server.Server is one.
type Server interface{ Stats() server.Stats }

// Client gives a client's counters; *client.Client is one.
type Client interface{ Stats() client.Stats }

// Metrics are those of one process. They are safe for concurrent use.
type Metrics struct {
	registry                         *prometheus.Registry
	tick, commandAge, observationAge prometheus.Histogram
}

// New returns metrics of which the histograms are empty.
func New() *Metrics {
	// From 50 µs, doubling, to 410 ms: the limits of ages, 100 and 200 ms, lie within.
	buckets := prometheus.ExponentialBuckets(50e-6, 2, 14)
	histogram := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "krabby", Subsystem: "hal", Name: name, Help: help, Buckets: buckets})
	}
	m := &Metrics{
		registry:       prometheus.NewRegistry(),
		tick:           histogram("server_tick_seconds", "How long a turn of the server's loop took."),
		commandAge:     histogram("command_age_seconds", "Age of commands when they passed the gate."),
		observationAge: histogram("observation_age_seconds", "Age of observations when the client read them."),
	}
	m.registry.MustRegister(m.tick, m.commandAge, m.observationAge)
	return m
}

// Tick takes how long a turn of the server's loop took.
func (m *Metrics) Tick(took time.Duration) { m.tick.Observe(took.Seconds()) }

// CommandAge takes the age of a command that passed the gate.
func (m *Metrics) CommandAge(age time.Duration) { m.commandAge.Observe(age.Seconds()) }

// ObservationAge takes the age of an observation that the client read.
func (m *Metrics) ObservationAge(age time.Duration) { m.observationAge.Observe(age.Seconds()) }

// Watch adds the counters of both sides. Call it once.
func (m *Metrics) Watch(s Server, c Client) { m.registry.MustRegister(&collector{s, c}) }

// Handler answers a scrape.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// Address returns what an address on a command line means: one without a host is of this machine alone.
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

// Endpoint is where metrics are served.
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
			// Slow or silent strangers must not pile up.
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

// URL returns where the metrics are.
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

// collector turns both sides' counters into metrics.
type collector struct {
	server Server
	client Client
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("krabby_hal_"+name, help, labels, nil)
}

var (
	ticks          = desc("server_ticks_total", "Turns of the server's loop.")
	missed         = desc("server_missed_deadlines_total", "Deadlines that the server's loop did not keep.")
	published      = desc("server_published_total", "Observations that were published.")
	unpublished    = desc("server_unpublished_total", "Observations that were not published.", "cause")
	applied        = desc("server_applied_total", "Commands that passed the gate and were written.")
	refused        = desc("server_refused_total", "Commands that were refused.", "cause")
	holds          = desc("server_holds_total", "How often the last output was held.")
	damps          = desc("server_damps_total", "How often the joints were damped.")
	writeErrors    = desc("server_write_errors_total", "Writes that the backend refused.")
	connections    = desc("server_connections_total", "Connections over TCP: opened, closed, and what was refused.", "event")
	control        = desc("server_control_requests_total", "Requests for the time, a stop or a reset that were answered.", "operation")
	controlRefused = desc("server_control_refused_total", "Such requests that were refused.", "cause")
	state          = desc("safety_state", "1 for the state that the safety gate is in, 0 for the others.", "state")
	stateSeconds   = desc("safety_state_seconds_total", "Time spent in each state.", "state")
	slewLimited    = desc("safety_slew_limited_total", "Ticks at which the slew limit kept a target from the command's.")
	trips          = desc("safety_trips_total", "Stops.", "fault")
	resetsRefused  = desc("safety_resets_refused_total", "Resets that were refused.", "fault")

	observations  = desc("client_observations_total", "Observations that were read and valid.")
	skipped       = desc("client_skipped_total", "Observations that newer ones replaced before they were read.")
	clientRefused = desc("client_refused_total", "Observations that were refused.", "cause")
	clientLinks   = desc("client_connections_total", "Connections over TCP: opened, closed, and what was refused.", "event")
	sent          = desc("client_sent_total", "Commands that were sent.")
	unsent        = desc("client_unsent_total", "Commands that could not be sent.")
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		ticks, missed, published, unpublished, applied, refused, holds, damps, writeErrors, connections, control, controlRefused,
		state, stateSeconds, slewLimited, trips, resetsRefused,
		observations, skipped, clientRefused, clientLinks, sent, unsent,
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
	count(ticks, s.Ticks)
	count(missed, s.MissedDeadlines)
	count(published, s.Published)
	by(unpublished, s.Unpublished)
	count(applied, s.Applied)
	by(refused, s.Refused)
	count(holds, s.Holds)
	count(damps, s.Damps)
	count(writeErrors, s.WriteErrors)
	by(connections, events(s.Connections))
	by(control, s.Control.Requests)
	by(controlRefused, s.Control.Refused)
	for each := safety.Idle; each <= safety.Stopped; each++ {
		in := 0.0
		if each.String() == s.Safety.State {
			in = 1
		}
		to <- prometheus.MustNewConstMetric(state, prometheus.GaugeValue, in, each.String())
		to <- prometheus.MustNewConstMetric(stateSeconds, prometheus.CounterValue, s.Safety.TimeS[each.String()], each.String())
	}
	count(slewLimited, s.Safety.SlewLimited)
	by(trips, s.Safety.Trips)
	by(resetsRefused, s.Safety.ResetsRefused)

	l := c.client.Stats()
	count(observations, l.Observations)
	count(skipped, l.Skipped)
	by(clientRefused, l.Refused)
	by(clientLinks, events(l.Connections))
	count(sent, l.Sent)
	count(unsent, l.Unsent)
}
