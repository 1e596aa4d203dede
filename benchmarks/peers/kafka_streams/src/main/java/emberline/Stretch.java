package emberline;

import java.nio.ByteBuffer;

/** Since when values have been of one sort, and how long that has lasted: in a row, and within a window that slides. */
final class Stretch {
    private static final int NEVER = -1;
    private static final long FAST_MS = 10_000;
    private static final long WINDOW_MS = 30_000;

    private long since = NEVER;
    /** NEVER if the newest value is not of the sort. */
    private long lastedMs;
    /** In the fixed window that runs, and in the one before. */
    private long nowMs;
    private long beforeMs;

    boolean holds() {
        return since != NEVER;
    }

    long since() {
        return since;
    }

    void end() {
        since = NEVER;
        lastedMs = nowMs = beforeMs = 0;
    }

    /** Take a value on, which is of the sort or not, and say whether that is so for long enough. */
    boolean isConfirmed(boolean is, Channel.Time time, long confirmMs, long clockMs) {
        boolean fast = time.intervalMs() > 0 && time.intervalMs() <= FAST_MS && !time.gap();
        if (fast) {
            return lastsWithin(is, time, confirmMs, clockMs);
        }
        boolean enough = goesOn(is, time) && (confirmMs <= Channel.SELDOM_MS || lastedMs >= confirmMs);
        return enough || is && confirmMs == 0;
    }

    /** As above, of values in a row that must last. */
    boolean lasts(boolean is, Channel.Time time, long confirmMs) {
        return goesOn(is, time) && lastedMs >= confirmMs;
    }

    /** Take a value on, and say whether it follows another in a row. */
    private boolean goesOn(boolean is, Channel.Time time) {
        if (!is) {
            end();
            return false;
        }
        nowMs = beforeMs = 0;
        if (since == NEVER || lastedMs == NEVER || time.gap()) {
            since = time.ts();
            lastedMs = 0;
            return false;
        }
        lastedMs += time.stepMs();
        return true;
    }

    /** The window slides over two fixed ones: of the one before counts the share that it still covers. */
    private boolean lastsWithin(boolean is, Channel.Time time, long confirmMs, long clockMs) {
        if (!is && since == NEVER) {
            return false;
        }
        long windowMs = Math.max(WINDOW_MS, 2 * confirmMs);
        long into = clockMs % windowMs;
        long passed = clockMs / windowMs - (clockMs - time.elapsedMs()) / windowMs;
        beforeMs = passed == 0 ? beforeMs : passed == 1 ? nowMs : 0;
        nowMs = passed == 0 ? nowMs : 0;
        if (!is) {
            lastedMs = NEVER;
            since = nowMs == 0 && beforeMs == 0 ? NEVER : since;
            return false;
        }
        if (since == NEVER) {
            since = time.ts();
            lastedMs = 0;
            nowMs = 1; // a first value does not say for how long it has been so
        } else {
            long ofNow = passed == 0 ? time.stepMs() : Math.min(time.stepMs(), into);
            nowMs += ofNow;
            beforeMs = Math.min(beforeMs + time.stepMs() - ofNow, windowMs);
            lastedMs = lastedMs == NEVER ? 0 : lastedMs + time.stepMs();
        }
        return nowMs + beforeMs * (windowMs - into) / windowMs >= confirmMs;
    }

    void write(ByteBuffer to) {
        to.putLong(since).putLong(lastedMs).putLong(nowMs).putLong(beforeMs);
    }

    void read(ByteBuffer from) {
        since = from.getLong();
        lastedMs = from.getLong();
        nowMs = from.getLong();
        beforeMs = from.getLong();
    }
}
