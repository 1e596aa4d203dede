package emberline;

import java.nio.ByteBuffer;

/** How far apart the reports of a device usually arrive. See {@code detectors/channels.py}. */
final class Pace {
    private long ingestTs;
    private int intervalMs;
    /** The last silence that was much longer, less what was heard since: it is usual only when it comes again. */
    private int silenceMs;

    int intervalMs() {
        return intervalMs;
    }

    /** Take one more report on. */
    void advance(long nowIngestTs) {
        long past = ingestTs == 0 ? 0 : Math.max(nowIngestTs - ingestTs, 0);
        int arrived = (int) Math.min(past, Integer.MAX_VALUE);
        ingestTs = nowIngestTs;
        boolean far = intervalMs > 0 && arrived > 4L * intervalMs;
        boolean again = arrived <= 2L * silenceMs && silenceMs <= 2L * arrived;
        if (!far || again) {
            intervalMs = Math.max(arrived, intervalMs - Math.min(intervalMs / 16, arrived / 2));
        }
        silenceMs = far ? arrived : (int) Math.max(silenceMs - 8L * arrived, 0);
    }

    void write(ByteBuffer to) {
        to.putLong(ingestTs).putInt(intervalMs).putInt(silenceMs);
    }

    void read(ByteBuffer from) {
        ingestTs = from.getLong();
        intervalMs = from.getInt();
        silenceMs = from.getInt();
    }
}
