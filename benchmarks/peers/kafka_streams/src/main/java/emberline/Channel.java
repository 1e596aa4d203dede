package emberline;

import java.nio.ByteBuffer;

/** The time of one component: how long it has been since its value before. See {@code detectors/channels.py}. */
final class Channel {
    private static final long OWN_MOST_MS = 6 * 3_600_000L;
    private static final long GAP_LEAST_MS = 30_000;

    /**
     * When a value was measured and arrived, the time that has passed for its component, and how far apart its values
     * usually were before.
     */
    record Time(long ts, long ingestTs, long elapsedMs, long stepMs, long intervalMs, boolean gap) {}

    private long ownTs;
    private long ingestTs;
    private int intervalMs;
    private int filledMs;
    private int equal;

    /** Take one new value on, and say what time has passed. */
    Time advance(long ts, long nowOwnTs, long nowIngestTs) {
        boolean first = ingestTs == 0;
        long arrived = Math.max(nowIngestTs - ingestTs, 0);
        long own = nowOwnTs - ownTs;
        boolean usable = own > 0 && own <= OWN_MOST_MS && 8 * own >= filledMs + arrived;
        long elapsed = first ? 0 : usable ? Math.max(own - filledMs, 0) : arrived;
        long each = first ? 0 : usable ? own / (equal + 1) : arrived;
        boolean known = intervalMs > 0;
        boolean gap = known && each > Math.max(3L * intervalMs, GAP_LEAST_MS);
        long most = known ? 2L * intervalMs * (usable ? equal + 1 : 1) : elapsed;
        long step = gap ? 0 : Math.min(elapsed, most);
        long before = intervalMs;
        long grown = gap ? Math.min(each, 4L * intervalMs) : each;
        boolean stands = own == 0 && !first;
        filledMs = stands ? (int) Math.min(filledMs + arrived, Integer.MAX_VALUE) : 0;
        equal = stands ? Math.min(equal + 1, 65_535) : 0;
        intervalMs = (int) Math.min(Math.max(grown, intervalMs - intervalMs / 4), Integer.MAX_VALUE);
        ownTs = nowOwnTs;
        ingestTs = nowIngestTs;
        return new Time(ts, nowIngestTs, elapsed, step, before, gap);
    }

    void write(ByteBuffer to) {
        to.putLong(ownTs).putLong(ingestTs).putInt(intervalMs).putInt(filledMs).putInt(equal);
    }

    static Channel read(ByteBuffer from) {
        Channel channel = new Channel();
        channel.ownTs = from.getLong();
        channel.ingestTs = from.getLong();
        channel.intervalMs = from.getInt();
        channel.filledMs = from.getInt();
        channel.equal = from.getInt();
        return channel;
    }
}
