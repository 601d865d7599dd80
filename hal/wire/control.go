package wire

import "krabby.dev/krabby/hal/message"

// AppendControlRequest appends the frame of r to dst and returns the extended buffer. It allocates only when dst is too
// small.
func AppendControlRequest(dst []byte, r *message.ControlRequest) []byte {
	s := [requestSections]section{operation: {rank: 1, dims: [3]uint32{1}}}
	start := len(dst)
	h := header{sequence: r.Sequence, sessionID: r.SessionID, monotonicNs: r.MonotonicNs, otherNs: r.ExpiresNs}
	b := begin(dst, kindRequest, h, requestSpecs[:], s[:])
	b = append(pad(b, start), byte(r.Operation))
	seal(b[start:])
	return b
}

// DecodeControlRequest decodes frame into r, without allocating. It takes every number for an operation: which there are
// is the server's to know. The error is a [Cause]; r is then unchanged.
func DecodeControlRequest(r *message.ControlRequest, frame []byte) error {
	var s [requestSections]section
	h, err := open(frame, kindRequest, requestSpecs[:], s[:])
	if err != nil {
		return err
	}
	*r = message.ControlRequest{
		Sequence: h.sequence, SessionID: h.sessionID, MonotonicNs: h.monotonicNs, ExpiresNs: h.otherNs,
		Operation: message.Operation(s[operation].body[0]),
	}
	return nil
}

// AppendControlReply appends the frame of r to dst and returns the extended buffer. Texts that are too long are cut, and
// what is not printable ASCII becomes a question mark. The error is [Shape] where there is no state; dst is then returned
// as it was.
func AppendControlReply(dst []byte, r *message.ControlReply) ([]byte, error) {
	if r.State == "" {
		return dst, Shape
	}
	texts := [replySections]string{state: r.State, stoppedBy: r.StoppedBy, fault: r.Fault, reason: r.Reason}
	s := [replySections]section{status: {rank: 1, dims: [3]uint32{1}}}
	for i := state; i < replySections; i++ {
		if most := int(replySpecs[i].most[0]); len(texts[i]) > most {
			texts[i] = texts[i][:most]
		}
		if texts[i] != "" {
			s[i] = section{rank: 1, dims: [3]uint32{uint32(len(texts[i]))}}
		}
	}
	start := len(dst)
	h := header{sequence: r.Sequence, sessionID: r.SessionID, monotonicNs: r.ReceivedNs, otherNs: r.SentNs}
	b := begin(dst, kindReply, h, replySpecs[:], s[:])
	b = append(pad(b, start), byte(r.Status))
	for _, text := range texts[state:] {
		if text == "" {
			continue
		}
		b = pad(b, start)
		for i := range len(text) {
			c := text[i]
			if !printable(c) {
				c = '?'
			}
			b = append(b, c)
		}
	}
	seal(b[start:])
	return b, nil
}

// DecodeControlReply decodes frame into r. It takes every number for a status: one that is not known is no Done. The error
// is a [Cause]; r is then unchanged.
func DecodeControlReply(r *message.ControlReply, frame []byte) error {
	var s [replySections]section
	h, err := open(frame, kindReply, replySpecs[:], s[:])
	if err != nil {
		return err
	}
	// They are shown on terminals.
	for i := state; i < replySections; i++ {
		for _, c := range s[i].body {
			if !printable(c) {
				return Value
			}
		}
	}
	*r = message.ControlReply{
		Sequence: h.sequence, SessionID: h.sessionID, ReceivedNs: h.monotonicNs, SentNs: h.otherNs,
		Status: message.ControlStatus(s[status].body[0]),
		State:  string(s[state].body), StoppedBy: string(s[stoppedBy].body),
		Fault: string(s[fault].body), Reason: string(s[reason].body),
	}
	return nil
}

func printable(c byte) bool { return c >= ' ' && c <= '~' }
