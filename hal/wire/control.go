package wire

import "krabby.dev/krabby/hal/message"

// AppendControlRequest appends the frame of r to dst, and returns the extended buffer. It allocates only if dst is too small.
func AppendControlRequest(dst []byte, r *message.ControlRequest) []byte {
	s := [requestSections]section{operation: {rank: 1, dims: [3]uint32{1}}}
	start := len(dst)
	h := header{sequence: r.Sequence, sessionID: r.SessionID, monotonicNs: r.MonotonicNs, otherNs: r.ExpiresNs}
	b := appendHeader(dst, kindRequest, h, requestSpecs[:], s[:])
	b = append(pad(b, start), byte(r.Operation))
	setChecksums(b[start:])
	return b
}

// DecodeControlRequest decodes frame into r, without allocations. It accepts any operation; the server rejects unknown ones. If
// the error is not nil, it is a [RejectReason], and r is unchanged.
func DecodeControlRequest(r *message.ControlRequest, frame []byte) error {
	var s [requestSections]section
	h, err := parseFrame(frame, kindRequest, requestSpecs[:], s[:])
	if err != nil {
		return err
	}
	*r = message.ControlRequest{
		Sequence: h.sequence, SessionID: h.sessionID, MonotonicNs: h.monotonicNs, ExpiresNs: h.otherNs,
		Operation: message.Operation(s[operation].body[0]),
	}
	return nil
}

// AppendControlReply appends the frame of r to dst, and returns the extended buffer. It truncates long texts, and replaces bytes
// other than printable ASCII by question marks. It returns dst and [RejectShape] if the state is empty.
func AppendControlReply(dst []byte, r *message.ControlReply) ([]byte, error) {
	if r.State == "" {
		return dst, RejectShape
	}
	texts := [replySections]string{state: r.State, stoppedBy: r.StoppedBy, fault: r.Fault, reason: r.Reason}
	s := [replySections]section{status: {rank: 1, dims: [3]uint32{1}}}
	for i := state; i < replySections; i++ {
		if limit := int(replySpecs[i].max[0]); len(texts[i]) > limit {
			texts[i] = texts[i][:limit]
		}
		if texts[i] != "" {
			s[i] = section{rank: 1, dims: [3]uint32{uint32(len(texts[i]))}}
		}
	}
	start := len(dst)
	h := header{sequence: r.Sequence, sessionID: r.SessionID, monotonicNs: r.ReceivedNs, otherNs: r.SentNs}
	b := appendHeader(dst, kindReply, h, replySpecs[:], s[:])
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
	setChecksums(b[start:])
	return b, nil
}

// DecodeControlReply decodes frame into r. It accepts any status. If the error is not nil, it is a [RejectReason], and r is
// unchanged.
func DecodeControlReply(r *message.ControlReply, frame []byte) error {
	var s [replySections]section
	h, err := parseFrame(frame, kindReply, replySpecs[:], s[:])
	if err != nil {
		return err
	}
	// Programs print the texts on terminals.
	for i := state; i < replySections; i++ {
		for _, c := range s[i].body {
			if !printable(c) {
				return RejectValue
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

// printable reports whether c is printable ASCII.
func printable(c byte) bool { return c >= ' ' && c <= '~' }
