package importer

import "bufio"

// input feeds the XML decoder, and stops it when one token grows beyond what a dump can hold: the decoder keeps a token whole in
// memory, so that a file of one endless attribute would take all of it. Being an io.ByteReader, it is read without another buffer.
type input struct {
	r     *bufio.Reader
	start int64 // where the decoder's first byte lies in the file
	left  int   // bytes until the token is too long
}

func (in *input) ReadByte() (byte, error) {
	if in.left <= 0 {
		return 0, errTokenTooLong
	}
	in.left--
	return in.r.ReadByte()
}

// Read makes input an io.Reader, as the decoder's type demands; the decoder itself reads by ReadByte.
func (in *input) Read(p []byte) (int, error) {
	if in.left <= 0 {
		return 0, errTokenTooLong
	}
	n, err := in.r.Read(p[:min(len(p), in.left)])
	in.left -= n
	return n, err
}

// skipByteOrderMark passes over the UTF-8 byte order mark with which Stack Exchange begins its files. A read error comes again at
// the first ReadByte.
func (in *input) skipByteOrderMark() {
	const mark = "\ufeff"
	if head, err := in.r.Peek(len(mark)); err == nil && string(head) == mark {
		n, _ := in.r.Discard(len(mark)) // cannot fail: the bytes are buffered
		in.start = int64(n)
	}
}
