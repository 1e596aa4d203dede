package emberline;

import java.nio.ByteBuffer;

/** The time of one component: how long it has been since its value before. See {@code detectors/channels.py}. */
final class Channel {
    private static final long OWN_MOST_MS = 6 * 3_600_000L;
    private static final long GAP_LEAST_MS = 30_000;
    /** While the interval of a component is not known it is taken for its device's, and for no less than this. */
    private static final long OF_DEVICE_LEAST_MS = 120_000;
    /** Of a component that speaks more seldom a first value is told. */
    static final long SELDOM_MS = 120_000;

    /**
     * When a value was measured and arrived, the time that has passed for its component, and how far apart its values
     * usually were before.
     */
    record Time(long ts, long ingestTs, long elapsedMs, long stepMs, long intervalMs, boolean gap) {}

    private long ownTs;
    private long ingestTs;
    private int intervalMs;

    /**
     * Take one new value on, and say what time has passed. The device's own time goes on, as of all that is plain;
     * {@code deviceMs} is how far apart its reports usually arrive.
     */
    Time advance(long ts, long nowOwnTs, long nowIngestTs, int deviceMs) {
        boolean first = ingestTs == 0;
        long arrived = Math.max(nowIngestTs - ingestTs, 0);
        long own = nowOwnTs - ownTs;
        boolean usable = own <= OWN_MOST_MS && 8 * own >= arrived;
        boolean kept = !first && !usable && 4 * arrived < intervalMs;
        long elapsed = first ? 0 : usable ? own : kept ? intervalMs : arrived;
        boolean known = intervalMs > 0;
        long each = known ? intervalMs : Math.max(deviceMs, OF_DEVICE_LEAST_MS);
        boolean gap = elapsed > Math.max(3 * each, GAP_LEAST_MS);
        long step = gap ? 0 : known ? Math.min(elapsed, 2L * intervalMs) : elapsed;
        long before = intervalMs;
        long grown = gap && known ? Math.min(elapsed, 4L * intervalMs) : elapsed;
        long usual = kept ? intervalMs - intervalMs / 256 : Math.max(grown, intervalMs - intervalMs / 4);
        intervalMs = (int) Math.min(usual, Integer.MAX_VALUE);
        ownTs = nowOwnTs;
        ingestTs = nowIngestTs;
        return new Time(ts, nowIngestTs, elapsed, step, before, gap);
    }

    void write(ByteBuffer to) {
        to.putLong(ownTs).putLong(ingestTs).putInt(intervalMs);
    }

    static Channel read(ByteBuffer from) {
        Channel channel = new Channel();
        channel.ownTs = from.getLong();
        channel.ingestTs = from.getLong();
        channel.intervalMs = from.getInt();
        return channel;
    }
}
