package tasks

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/pharos-stack/pharos/internal/logpipe"
	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

const (
	// maxRead bytes are looked at from the end of a file.
	maxRead = 1 << 20
	// maxShown bytes of a line are shown.
	maxShown = 16 << 10
	// maxLines are read at once.
	maxLines = 1000
)

// lastLines returns the last n lines of a file without their ends. A last line
// without end counts; of what is further back than maxRead nothing is returned.
func lastLines(f *os.File, size int64, n int) ([][]byte, error) {
	from := max(0, size-maxRead)
	block := make([]byte, size-from)
	read, err := f.ReadAt(block, from)
	if err != nil && err != io.EOF {
		return nil, err
	}
	block = block[:read] // less if it was truncated meanwhile
	if from > 0 {
		// The first line began before.
		i := bytes.IndexByte(block, '\n')
		if i >= 0 && i+1 < len(block) {
			block = block[i+1:]
		}
	}
	block = bytes.TrimSuffix(block, []byte("\n"))
	if len(block) == 0 {
		return nil, nil
	}
	lines := bytes.Split(block, []byte("\n"))
	return lines[max(0, len(lines)-n):], nil
}

// count clamps how many lines were asked for.
func count(asked int32, normally int) int {
	if asked <= 0 {
		return normally
	}
	return min(int(asked), maxLines)
}

func checkEncoding(name string) (logrule.Encoding, error) {
	e := logrule.Encoding(cmp.Or(name, string(logrule.EncodingAuto)))
	if !slices.Contains(logrule.Encodings, e) {
		return "", taskError(CodeBadRequest, "encoding %q is not known; use one of %v", name, logrule.Encodings)
	}
	return e, nil
}

// decode returns a line as it is shown: valid UTF-8, without \r, cut.
func decode(line []byte, enc logrule.Encoding) string {
	line = bytes.TrimSuffix(line, []byte("\r"))
	cut := len(line) > maxShown
	line = line[:min(len(line), maxShown)]
	text := ""
	if enc == logrule.EncodingGBK || enc == logrule.EncodingGB18030 {
		b, _ := simplifiedchinese.GB18030.NewDecoder().Bytes(line) // replaces what it can't decode
		text = string(b)
	} else if b, ok := logpipe.ToUTF8(enc, line); ok {
		text = string(b)
	} else {
		text = strings.ToValidUTF8(string(line), string(utf8.RuneError))
	}
	if cut {
		text += "…"
	}
	return text
}

// isUTF16 reports whether a file begins with the byte order mark of UTF-16,
// which is no text in any encoding that is detected.
func isUTF16(f io.ReaderAt) bool {
	var mark [2]byte
	n, _ := f.ReadAt(mark[:], 0)
	return n == 2 && (mark == [2]byte{0xff, 0xfe} || mark == [2]byte{0xfe, 0xff})
}

func (rs Roots) preview(ctx context.Context, t *pharosv1.PreviewTask) (*pharosv1.PreviewResult, error) {
	enc, err := checkEncoding(t.GetEncoding())
	if err != nil {
		return nil, err
	}
	name, err := rs.newest(ctx, logrule.ExpandDate(t.GetPath(), time.Now()))
	if err != nil {
		return nil, err
	}
	f, info, err := rs.openFile(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if enc == logrule.EncodingAuto && isUTF16(f) {
		return nil, taskError(CodeNotReadable, "%q begins as UTF-16 does, which monitors don't read; let the program write UTF-8", name)
	}
	raw, err := lastLines(f, info.Size(), count(t.GetLines(), 20))
	if err != nil {
		return nil, fileError("read", name, err)
	}
	if enc == logrule.EncodingAuto {
		enc = logpipe.DetectEncoding(bytes.Join(raw, []byte("\n")))
	}
	result := &pharosv1.PreviewResult{Path: name, Encoding: string(enc), Lines: make([]string, len(raw))}
	for i, line := range raw {
		result.Lines[i] = decode(line, enc)
	}
	result.TimeFormat = string(logpipe.DetectTime(result.Lines))
	result.Delimiter = logpipe.DetectDelimiter(result.Lines)
	return result, nil
}
