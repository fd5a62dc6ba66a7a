package history

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/problem"
)

// record is one message of the stream: a publication, or the mark of a removal (a rollup of the subject), with what must be
// known of the channel when it is the last one. As bytes: version, kind, id (8), then offset, version of the data, key's end in
// Unix milliseconds (uvarints), then epoch, epoch of the version, key (each with its length), then the publication in protobuf,
// whose offset is left out.
type record struct {
	removal      bool
	id           uint64 // of the attempt, random: tells own messages from those of another node
	offset       uint64
	epoch        string
	version      uint64 // of the last publication that had one
	versionEpoch string
	key          string // idempotency key
	keyUntil     time.Time
	body         []byte
}

const (
	recordVersion = 1
	kindPublished = 0
	kindRemoval   = 1
)

func (r *record) append(b []byte) []byte {
	kind := byte(kindPublished)
	if r.removal {
		kind = kindRemoval
	}
	b = append(b, recordVersion, kind)
	b = binary.LittleEndian.AppendUint64(b, r.id)
	b = binary.AppendUvarint(b, r.offset)
	b = binary.AppendUvarint(b, r.version)
	var until uint64
	if r.key != "" {
		until = uint64(r.keyUntil.UnixMilli())
	}
	b = binary.AppendUvarint(b, until)
	for _, s := range []string{r.epoch, r.versionEpoch, r.key} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return append(b, r.body...)
}

// parseRecord reads one message; body points into b. HR5004 for a version of later.
func parseRecord(b []byte) (record, error) {
	var r record
	if len(b) < 10 {
		return r, errTorn
	}
	if b[0] != recordVersion {
		return r, problem.New("HR5004", "publication of version %d, this headrace reads %d", b[0], recordVersion)
	}
	if b[1] > kindRemoval {
		return r, errTorn
	}
	r.removal = b[1] == kindRemoval
	r.id = binary.LittleEndian.Uint64(b[2:])
	b = b[10:]
	var until uint64
	for _, into := range []*uint64{&r.offset, &r.version, &until} {
		value, n := binary.Uvarint(b)
		if n <= 0 {
			return r, errTorn
		}
		*into, b = value, b[n:]
	}
	for _, into := range []*string{&r.epoch, &r.versionEpoch, &r.key} {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return r, errTorn
		}
		*into, b = string(b[n:n+int(size)]), b[n+int(size):]
	}
	if r.key != "" {
		r.keyUntil = time.UnixMilli(int64(until))
	}
	r.body = b
	return r, nil
}

var errTorn = fmt.Errorf("history: message is torn")

// publication decodes the body.
func (r *record) publication() (*protocol.Publication, error) {
	var p protocol.Publication
	if err := p.UnmarshalCF(r.body); err != nil {
		return nil, fmt.Errorf("history: publication %d: %w", r.offset, err)
	}
	p.Offset = r.offset
	return &p, nil
}

// clone is p without its offset; what it points to is shared and must not be changed.
func clone(p *protocol.Publication) *protocol.Publication {
	return &protocol.Publication{
		Data: p.Data, Info: p.Info, Tags: p.Tags, Delta: p.Delta, Time: p.Time, Channel: p.Channel, Key: p.Key,
		Removed: p.Removed, Score: p.Score, Epoch: p.Epoch, PrevData: p.PrevData, Version: p.Version,
	}
}
