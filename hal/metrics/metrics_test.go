package metrics_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"krabby.dev/krabby/hal/backend"
	"krabby.dev/krabby/hal/backend/backendtest"
	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/metrics"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/safety"
	"krabby.dev/krabby/hal/server"
	"krabby.dev/krabby/hal/synthetic"
)

// scrape returns the samples by name and labels.
func scrape(t *testing.T, url string) map[string]float64 {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, response.Status, err)
	}
	samples := map[string]float64{}
	described := ""
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, "#") {
			described = strings.Fields(line)[2]
			continue
		}
		if !strings.HasPrefix(line, described) {
			t.Errorf("%q follows the description of %s", line, described)
		}
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if samples[name], err = strconv.ParseFloat(value, 64); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	}
	return samples
}

func check(t *testing.T, samples, want map[string]float64) {
	t.Helper()
	for name, value := range want {
		if got, ok := samples[name]; !ok || got != value {
			t.Errorf("%s = %v (there: %v), want %v", name, got, ok, value)
		}
	}
}

type serverStats server.Stats

func (s serverStats) Stats() server.Stats { return server.Stats(s) }

type clientStats client.Stats

func (s clientStats) Stats() client.Stats { return client.Stats(s) }

func serve(t *testing.T, m *metrics.Metrics) *metrics.Endpoint {
	t.Helper()
	e, err := m.Serve(":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestHandler_allCounters(t *testing.T) {
	m := metrics.New()
	m.Watch(serverStats{
		Steps: 1, MissedDeadlines: 2, Published: 3, Unpublished: map[string]uint64{"read": 4, "pinned": 5}, Applied: 6,
		Rejected: map[string]uint64{"stale": 7, "checksum": 8}, Holds: 9, Damps: 10, WriteErrors: 11,
		Control: server.ControlStats{Requests: map[string]uint64{"e_stop": 30}, Rejected: map[string]uint64{"fault": 31}},
		Safety: safety.Report{
			State: "hold", TimeS: map[string]float64{"idle": 0.5, "hold": 1.25}, SlewLimited: 12,
			Trips: map[string]uint64{"write": 13}, ResetsRejected: map[string]uint64{"unobserved": 14},
		},
		Backend:     server.BackendStats{State: "inactive", Health: backend.Health{Condition: backend.Degraded}},
		Connections: bus.Connections{Opened: 20, Closed: 21, Oversize: 22, Key: 23, Protocol: 24},
	}, clientStats{
		Observations: 15, Skipped: 16, Rejected: map[string]uint64{"old": 17}, Sent: 18, Unsent: 19,
		Connections: bus.Connections{Opened: 25, Closed: 26, Oversize: 27, Key: 28, Protocol: 29},
	})
	m.Step(time.Millisecond)
	m.CommandAge(3 * time.Millisecond)
	m.CommandAge(time.Second)
	m.ObservationAge(60 * time.Microsecond)
	check(t, scrape(t, serve(t, m).URL()), map[string]float64{
		"krabby_hal_server_steps_total":                                1,
		"krabby_hal_server_missed_deadlines_total":                     2,
		"krabby_hal_server_published_total":                            3,
		`krabby_hal_server_unpublished_total{reason="read"}`:           4,
		`krabby_hal_server_unpublished_total{reason="pinned"}`:         5,
		"krabby_hal_server_applied_total":                              6,
		`krabby_hal_server_rejected_total{reason="stale"}`:             7,
		`krabby_hal_server_rejected_total{reason="checksum"}`:          8,
		"krabby_hal_server_holds_total":                                9,
		"krabby_hal_server_damps_total":                                10,
		"krabby_hal_server_write_errors_total":                         11,
		`krabby_hal_server_control_requests_total{operation="e_stop"}`: 30,
		`krabby_hal_server_control_rejected_total{reason="fault"}`:     31,
		`krabby_hal_backend_state{state="inactive"}`:                   1,
		`krabby_hal_backend_state{state="active"}`:                     0,
		`krabby_hal_backend_state{state="finalized"}`:                  0,
		`krabby_hal_backend_condition{condition="ok"}`:                 0,
		`krabby_hal_backend_condition{condition="degraded"}`:           1,
		`krabby_hal_backend_condition{condition="failed"}`:             0,
		`krabby_hal_safety_state{state="idle"}`:                        0,
		`krabby_hal_safety_state{state="active"}`:                      0,
		`krabby_hal_safety_state{state="hold"}`:                        1,
		`krabby_hal_safety_state{state="damp"}`:                        0,
		`krabby_hal_safety_state{state="stopped"}`:                     0,
		`krabby_hal_safety_state_seconds_total{state="idle"}`:          0.5,
		`krabby_hal_safety_state_seconds_total{state="hold"}`:          1.25,
		"krabby_hal_safety_slew_limited_total":                         12,
		`krabby_hal_safety_trips_total{fault="write"}`:                 13,
		`krabby_hal_safety_resets_rejected_total{fault="unobserved"}`:  14,
		"krabby_hal_client_observations_total":                         15,
		"krabby_hal_client_skipped_total":                              16,
		`krabby_hal_client_rejected_total{reason="old"}`:               17,
		"krabby_hal_client_sent_total":                                 18,
		"krabby_hal_client_unsent_total":                               19,
		`krabby_hal_server_connections_total{event="opened"}`:          20,
		`krabby_hal_server_connections_total{event="closed"}`:          21,
		`krabby_hal_server_connections_total{event="oversize"}`:        22,
		`krabby_hal_server_connections_total{event="key"}`:             23,
		`krabby_hal_server_connections_total{event="protocol"}`:        24,
		`krabby_hal_client_connections_total{event="opened"}`:          25,
		`krabby_hal_client_connections_total{event="closed"}`:          26,
		`krabby_hal_client_connections_total{event="oversize"}`:        27,
		`krabby_hal_client_connections_total{event="key"}`:             28,
		`krabby_hal_client_connections_total{event="protocol"}`:        29,
		"krabby_hal_server_step_seconds_count":                         1,
		"krabby_hal_command_age_seconds_count":                         2,
		"krabby_hal_command_age_seconds_sum":                           1.003,
		`krabby_hal_command_age_seconds_bucket{le="0.0016"}`:           0,
		`krabby_hal_command_age_seconds_bucket{le="0.0032"}`:           1,
		`krabby_hal_command_age_seconds_bucket{le="+Inf"}`:             2,
		`krabby_hal_observation_age_seconds_bucket{le="5e-05"}`:        0,
		`krabby_hal_observation_age_seconds_bucket{le="0.0001"}`:       1,
	})
}

func TestWatch_runningServer(t *testing.T) {
	b, err := bus.NewContext()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	out, err1 := b.NewPublisher("inproc://o")
	in, err2 := b.NewReceiver("inproc://c")
	from, err3 := b.NewSubscriber("inproc://o")
	to, err4 := b.NewSender("inproc://c")
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			t.Fatal(err)
		}
	}
	m, r := metrics.New(), robot.Go1()
	s, err := server.New(r, backendtest.Configured(t, synthetic.New(r, 10*time.Millisecond)), out, in, server.WithMeters(m.Step, m.CommandAge))
	if err != nil {
		t.Fatal(err)
	}
	c := client.New(r, from, to, client.WithMeter(m.ObservationAge))
	m.Watch(s, c)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	o := message.NewObservation(r)
	for s.Stats().Applied < 3 {
		if _, err := c.Latest(ctx, o); err != nil {
			t.Fatal(err)
		}
		cmd := message.NewJointCommand(r)
		cmd.ObservationSequence = o.Sequence
		if err := c.Send(cmd); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	running.Wait()
	ss, cs := s.Stats(), c.Stats()
	samples := scrape(t, serve(t, m).URL())
	check(t, samples, map[string]float64{
		"krabby_hal_server_step_seconds_count":     float64(ss.Steps),
		"krabby_hal_server_applied_total":          float64(ss.Applied),
		"krabby_hal_observation_age_seconds_count": float64(cs.Observations),
		"krabby_hal_client_sent_total":             float64(cs.Sent),
		`krabby_hal_safety_state{state="active"}`:  1,
	})
	if n := samples["krabby_hal_command_age_seconds_count"]; n < float64(ss.Applied) || samples["krabby_hal_command_age_seconds_sum"] <= 0 {
		t.Errorf("ages of %v commands, want at least the %d that were applied", n, ss.Applied)
	}
}

func TestHandler_format(t *testing.T) {
	m := metrics.New()
	m.Watch(serverStats{Rejected: map[string]uint64{"stale": 7, "checksum": 8}}, clientStats{})
	m.Step(time.Millisecond)
	response := httptest.NewRecorder()
	m.Handler().ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if got, want := response.Header().Get("Content-Type"), "text/plain; version=0.0.4; charset=utf-8"; got != want {
		t.Errorf("Content-Type: %s, want %s", got, want)
	}
	for _, want := range []string{
		`# HELP krabby_hal_server_rejected_total Commands rejected.
# TYPE krabby_hal_server_rejected_total counter
krabby_hal_server_rejected_total{reason="checksum"} 8
krabby_hal_server_rejected_total{reason="stale"} 7
`,
		`# HELP krabby_hal_server_step_seconds Duration of a step of the server's loop.
# TYPE krabby_hal_server_step_seconds histogram
krabby_hal_server_step_seconds_bucket{le="5e-05"} 0
`,
		"# TYPE krabby_hal_safety_state gauge\n",
	} {
		if !strings.Contains(response.Body.String(), want) {
			t.Errorf("metrics without\n%sin\n%s", want, response.Body)
		}
	}
	if strings.Contains(response.Body.String(), "krabby_hal_safety_trips_total") {
		t.Error("there is a description of krabby_hal_safety_trips_total, which has no sample")
	}
}

// waiting blocks each scrape until it is closed.
type waiting chan struct{}

func (w waiting) Stats() server.Stats { <-w; return server.Stats{} }

func TestHandler_manyScrapes(t *testing.T) {
	m, blocked := metrics.New(), make(waiting)
	m.Watch(blocked, clientStats{})
	codes := make(chan int)
	const scrapes = 6
	for range scrapes {
		go func() {
			response := httptest.NewRecorder()
			m.Handler().ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/metrics", nil))
			codes <- response.Code
		}()
	}
	for range 2 {
		if code := <-codes; code != http.StatusServiceUnavailable {
			t.Errorf("status %d beside four scrapes, want 503", code)
		}
	}
	close(blocked)
	for range scrapes - 2 {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("status %d of a scrape within the limit, want 200", code)
		}
	}
}

func TestAddress(t *testing.T) {
	tests := []struct{ address, want, wantErr string }{
		{":9464", "127.0.0.1:9464", ""},
		{"0.0.0.0:9464", "0.0.0.0:9464", ""},
		{"[::1]:9464", "[::1]:9464", ""},
		{"9464", "", `found "9464", expected HOST:PORT or :PORT`},
		{"localhost:", "", "expected HOST:PORT or :PORT"},
		{":99999", "", `found ":99999", expected a port of 0 to 65535`},
	}
	for _, tt := range tests {
		got, err := metrics.Address(tt.address)
		if got != tt.want || (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
			t.Errorf("Address(%q) = %q, %v, want %q, %q", tt.address, got, err, tt.want, tt.wantErr)
		}
	}
}

func TestServe_addressInUse(t *testing.T) {
	e := serve(t, metrics.New())
	address := strings.TrimSuffix(strings.TrimPrefix(e.URL(), "http://"), "/metrics")
	if _, err := metrics.New().Serve(address); err == nil || !strings.Contains(err.Error(), address) {
		t.Errorf("error %v, want one that names %s", err, address)
	}
}
