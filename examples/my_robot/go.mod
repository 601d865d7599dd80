module example.com/my_robot

go 1.26.0

require (
	github.com/bazelbuild/rules_go v0.60.0
	krabby.dev/krabby v0.0.0
)

require (
	github.com/pebbe/zmq4 v1.4.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
)

replace krabby.dev/krabby => ../..
