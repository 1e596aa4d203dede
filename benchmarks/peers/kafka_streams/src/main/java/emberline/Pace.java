package emberline;

import java.nio.ByteBuffer;

/** How far apart the reports of a device usually are. See {@code detectors/channels.py}. */
final class Pace {
    private long ownTs;
    private long ingestTs;
    private int intervalMs;
    /** The silence before the last report if that was much longer: it is usual only when it comes again. */
    private int silenceMs;

    int intervalMs() {
        return intervalMs;
    }

    /** Take one more report on. */
    void advance(long nowOwnTs, long nowIngestTs) {
        long own = nowOwnTs - ownTs;
        long arrived = Math.max(nowIngestTs - ingestTs, 0);
        boolean first = ingestTs == 0;
        ownTs = nowOwnTs;
        ingestTs = nowIngestTs;
        int elapsed = (int) Math.min(Channel.isUsable(own, arrived) ? own : arrived, Integer.MAX_VALUE);
        if (first || 8 * arrived < elapsed) {
            return; // or what was kept, and sent together
        }
        int before = silenceMs;
        if (2 * arrived >= intervalMs) {
            silenceMs = 0;
        }
        if (intervalMs > 0 && elapsed > 4L * intervalMs) {
            boolean another = elapsed > 2L * before || before > 2L * elapsed;
            silenceMs = elapsed;
            if (another) {
                return;
            }
        }
        intervalMs = Math.max(elapsed, intervalMs - intervalMs / 16);
    }

    void write(ByteBuffer to) {
        to.putLong(ownTs).putLong(ingestTs).putInt(intervalMs).putInt(silenceMs);
    }

    void read(ByteBuffer from) {
        ownTs = from.getLong();
        ingestTs = from.getLong();
        intervalMs = from.getInt();
        silenceMs = from.getInt();
    }
}
