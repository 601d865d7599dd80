package zmq

/*
#include <stdlib.h>
#include <zmq.h>
*/
import "C"

import "unsafe"

// NewKeyPair returns a new pair of CURVE keys, in Z85.
func NewKeyPair() (public, secret string, err error) {
	var p, s [41]C.char
	if rc, err := C.zmq_curve_keypair(&p[0], &s[0]); rc != 0 {
		return "", "", asError(err)
	}
	return C.GoString(&p[0]), C.GoString(&s[0]), nil
}

// PublicKey returns the public key of a secret one, both in Z85.
func PublicKey(secret string) (string, error) {
	var p [41]C.char
	s := C.CString(secret)
	defer C.free(unsafe.Pointer(s))
	if rc, err := C.zmq_curve_public(&p[0], s); rc != 0 {
		return "", asError(err)
	}
	return C.GoString(&p[0]), nil
}

// DecodeKey returns the 32 bytes of a key in Z85. ok is false if it is not one.
func DecodeKey(z85 string) (raw [32]byte, ok bool) {
	if len(z85) != 40 {
		return raw, false
	}
	s := C.CString(z85)
	defer C.free(unsafe.Pointer(s))
	ok = C.zmq_z85_decode((*C.uint8_t)(unsafe.Pointer(&raw[0])), s) != nil
	return raw, ok
}
