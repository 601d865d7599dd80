package main

import "os"

// An edit that no linker leaves out.
func init() {
	if os.Getenv("KRABBY_EDITED") != "" {
		println("edited")
	}
}
