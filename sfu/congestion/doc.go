// Package congestion decides how much may be sent to one client and what of it
// each slot gets. It is pure: no sockets, no goroutines, no clock of its own;
// every method takes the time. Nothing allocates in the steady state, so that
// package sfu can call it under its room lock.
//
// Every rate is in bit/s on the wire: RTP and SRTP with the IP and UDP headers
// (Config.Overhead), which at 50 voice packets a second are more than the voice.
//
// # Estimator
//
// One per transport. Its ideas are those of draft-ietf-rmcat-gcc-02, with other
// means:
//
//   - packets are gathered into bins of 50 ms by the time they were sent. Only
//     the smallest one-way delay of a bin counts, which takes most jitter away,
//     and late, repeated or reordered feedback finds its bin;
//   - the link is overused when a straight line through the bins' delays rises
//     by more than its own error allows, or when a queue stays;
//   - delays that wander by themselves (learned while the link is not tried) widen
//     what a queue must show, and the trend is that of their lower envelope;
//   - a queue found while less is sent than might be lowers the estimate by a step,
//     unless no jitter explains it: what came through says nothing of the link;
//   - loss counts as congestion by how far it lies above what the link loses at
//     a lower rate too;
//   - the estimate grows while it is used, and a little above what is sent while more
//     is wanted and nothing waits; an idle sender keeps it, and probes find out what
//     lies above, at least every 5 s (20 s below 130 kbit/s, where they cost voice).
//
// # Integration
//
// In the order a packet meets it:
//
//  1. sealLocked knows the size of what leaves: take a number from the
//     transport's uint16 counter, write the transport-wide extension
//     (negotiate.ExtTWCC) on audio, video, RTX and padding alike, and call
//     Estimator.Sent once it is queued. A packet without a number is not told.
//  2. reactLocked gives a transport-wide feedback to Feedback.Parse (raw, no
//     allocation) or Feedback.FromRTCP (as pion/rtcp parsed it), then to
//     Estimator.Feedback. One Feedback value per room or per goroutine is
//     enough: it is scratch.
//  3. receptionLocked tells Estimator.RTT, and Estimator.ReceiverReport the loss,
//     which is used only while no transport-wide feedback comes.
//  4. The room's worker, five times a second, calls Estimator.Tick, then
//     Estimator.Estimate, then Allocator.Allocate with Estimate.Target and Loss
//     for the slots of the transport, and applies the plan if it has changed:
//     Selector.Want with Decision.Spatial and Temporal, NoLayer for NoVideo and,
//     for Slideshow, a key frame Decision.FPS times a second and nothing between;
//     PrimaryRED where Decision.Audio is AudioPlain; nothing where it is AudioOff.
//     A voice whose AudioRate is below what it takes: ask its publisher for longer
//     packets and fewer bits, if no other receiver minds. Plan.Demand goes to
//     Estimator.Demand.
//  5. Then Estimator.Probe says whether a probe is due. Its packets, RTX of what is
//     in the rings or padding-only packets (RFC 3550 section 5.1; not before media
//     has flowed under that SSRC), of Cluster.Packet bytes or more, are sent at
//     Cluster.Rate until Cluster.Bytes are out, each told to Sent with Cluster.ID.
//     Without a timer they may leave in one go: the link spreads them. Media that
//     leaves between them counts as part of the probe by itself.
//
// Estimate.Pacing is the rate at which a burst (a key frame) should leave.
// A sender that doesn't pace is served too, with a little less accuracy: the
// bins see a burst as a queue that goes away by itself.
package congestion
