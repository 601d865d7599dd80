package main

import "os"

// init is code that linkers keep.
func init() {
	if os.Getenv("KRABBY_EDITED") != "" {
		println("edited")
	}
}
