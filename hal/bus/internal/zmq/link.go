package zmq

// Plain go uses the libzmq of the system. Bazel builds its own, and excludes this file.

// #cgo pkg-config: libzmq
import "C"
