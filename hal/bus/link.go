package bus

// Where plain go finds libzmq. Bazel builds its own, and does not see this file.

// #cgo pkg-config: libzmq
import "C"
