package emberline;

import java.nio.ByteBuffer;
import java.util.Arrays;

/** The last reports of a device, by which repeats, late reports and clocks that were set back are told. */
final class Arrivals {
    enum Arrival { NEWEST, LATE, REPEATED }

    private static final int REMEMBERED = 16;
    private static final int SET_BACK_REPORTS = 3;

    /** Ascending; those of a report's time and number. */
    private final long[] identities = new long[REMEMBERED + 1];
    private int count;
    private int behind;
    private long behindTs;
    private long behindIngestTs;

    Arrival of(Report report, long ts, long ingestTs) {
        long number = report.seq == Report.ABSENT ? report.eventTs : report.seq;
        long identity = ts << 16 | number & 0xFFFF;
        if (count == 0 || identity > identities[count - 1]) {
            behind = 0;
            remember(count, identity);
            return Arrival.NEWEST;
        }
        int found = Arrays.binarySearch(identities, 0, count, identity);
        if (found >= 0) {
            return Arrival.REPEATED;
        }
        if (isSetBack(ts, ingestTs)) {
            count = 0;
            remember(0, identity);
            return Arrival.NEWEST;
        }
        if (count == REMEMBERED && identity < identities[0]) {
            return Arrival.REPEATED; // or too old to tell
        }
        remember(-found - 1, identity);
        return Arrival.LATE;
    }

    private void remember(int at, long identity) {
        System.arraycopy(identities, at, identities, at + 1, count - at);
        identities[at] = identity;
        if (++count > REMEMBERED) {
            System.arraycopy(identities, 1, identities, 0, --count);
        }
    }

    /** Whether the third report in a row now comes behind the newest, as far apart as they are dated. */
    private boolean isSetBack(long ts, long ingestTs) {
        long dated = ts - behindTs;
        long arrived = ingestTs - behindIngestTs;
        if (behind > 0 && !(dated > 0 && dated <= 2 * arrived && arrived <= 2 * dated)) {
            behind = 0;
        }
        behindTs = ts;
        behindIngestTs = ingestTs;
        behind = (behind + 1) % SET_BACK_REPORTS;
        return behind == 0;
    }

    void write(ByteBuffer to) {
        to.put((byte) count).put((byte) behind).putLong(behindTs).putLong(behindIngestTs);
        for (int at = 0; at < count; at++) {
            to.putLong(identities[at]);
        }
    }

    void read(ByteBuffer from) {
        count = from.get();
        behind = from.get();
        behindTs = from.getLong();
        behindIngestTs = from.getLong();
        for (int at = 0; at < count; at++) {
            identities[at] = from.getLong();
        }
    }
}
