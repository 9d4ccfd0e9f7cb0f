// Package bus is the durable way of frames, heartbeats, ticks and commands: NATS JetStream, embedded
// or remote, with streams that acknowledge only what is safe on disk.
//
// # What a crash at each point leaves
//
// A publisher gathers frames, gives them their sequences and commits them: at the hub as one atomic batch, or up to
// four of them one after the other, at the edge as one message, a bundle. All messages of a gateway are written by one writer, which first stores a claim ("w.…"). Every later
// write names that claim and is refused by the server once a newer claim exists; so a claim is both a
// fence against an older writer and a barrier: whatever was on its way is stored before it or never.
//
//   - Before the batch is sent: nothing is stored; Publish has not returned; the sequences are given
//     to other frames by the next publisher.
//   - While the batch is sent: the server drops an incomplete batch. As above.
//   - Between two of a few that are stored in turn: those before are stored, those after are not. As below.
//   - After the server stored it, before the acknowledgement arrived: the frames are stored, Publish
//     has not returned. The living publisher claims again, reads the last stored sequence and sends only
//     what follows it; a restarted one does the same and goes on after it. Nothing is doubled, no
//     sequence is used twice.
//   - After the acknowledgement: the frames are on disk (fsync precedes the acknowledgement).
//   - Frames trimmed or aged away, down to the last one of a gateway: its sequence cannot be resumed,
//     so its next publisher begins a new epoch at 1. A hub stream restored from a backup has a new
//     name, and its publishers begin new epochs, because sequences after the backup were used already.
//   - While a gateway asks the hub what it has: nothing changes by asking; it asks again.
//   - Between the hub's acknowledgement and the acknowledgement at the edge, while forwarding: the
//     forwarder asks the hub for the gateway's last frame and resumes there; the others are not sent again.
//   - The server's disk fails a write, as when it is full: the stream takes nothing more and does not even
//     refuse, so publishers wait; Server.Run returns ErrBroken, and after a new start everything
//     acknowledged is there. Consumers may have seen up to a batch that is not; their place is then
//     beyond the end, which is ErrPlaceLost, and the publishers store the same frames again.
//   - While consuming: the place is the consumer's own, saved with its effects; after a crash it
//     consumes again from there.
package bus
