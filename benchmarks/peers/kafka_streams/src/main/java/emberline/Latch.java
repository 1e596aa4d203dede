package emberline;

import java.nio.ByteBuffer;

/** An alarm of one component that is on its way, or open. A component at rest has none. */
final class Latch {
    static final int WARNING = 1;
    static final int ALARM = 2;
    private static final int NEVER = -1;

    /** One thing that happened to a latch. */
    record Finding(String event, int severity, double value, double limit, String source, long onsetTs, double peak) {}

    private long warningSince = NEVER;
    private long alarmSince = NEVER;
    private int severity = NEVER;
    private boolean active;
    private long onsetTs;
    private double peak = Double.NEGATIVE_INFINITY;

    boolean isAtRest() {
        return severity == NEVER && warningSince == NEVER && alarmSince == NEVER;
    }

    /** Take a value in; what happened, or null. */
    Finding step(long ts, double value, long gapMs, Limits.Limit limit) {
        track(ts, value, limit);
        int reached = reached(ts, gapMs, limit);
        String event = move(reached, value < limit.recovery());
        if (event == null) {
            return null;
        }
        boolean ofAlarm = reached == ALARM || limit.warning() == Double.POSITIVE_INFINITY;
        double level = ofAlarm ? limit.alarm() : limit.warning();
        return new Finding(event, severity, value, level, limit.sources()[ofAlarm ? 1 : 0], onsetTs, peak);
    }

    private void track(long ts, double value, Limits.Limit limit) {
        peak = isAtRest() ? value : Math.max(peak, value);
        warningSince = since(warningSince, ts, value < limit.warning());
        alarmSince = since(alarmSince, ts, value < limit.alarm());
    }

    private static long since(long before, long ts, boolean below) {
        return below ? NEVER : before == NEVER ? ts : Math.min(before, ts);
    }

    private int reached(long ts, long gapMs, Limits.Limit limit) {
        if (alarmSince != NEVER && Math.max(ts - alarmSince, gapMs) >= limit.confirmAlarmMs()) {
            return ALARM;
        }
        boolean warned = warningSince != NEVER && Math.max(ts - warningSince, gapMs) >= limit.confirmWarningMs();
        return warned ? WARNING : NEVER;
    }

    private String move(int reached, boolean normal) {
        if (reached > severity) {
            boolean opened = severity == NEVER;
            if (opened) {
                onsetTs = reached == ALARM ? alarmSince : warningSince;
            }
            severity = reached;
            active = true;
            return opened ? "opened" : "escalated";
        }
        if (reached != NEVER && !active) {
            active = true;
            return "reactivated";
        }
        if (active && normal) {
            active = false;
            return "recovered";
        }
        return null;
    }

    void write(ByteBuffer to) {
        to.putLong(warningSince).putLong(alarmSince).putLong(onsetTs).putDouble(peak);
        to.put((byte) severity).put((byte) (active ? 1 : 0));
    }

    static Latch read(ByteBuffer from) {
        Latch latch = new Latch();
        latch.warningSince = from.getLong();
        latch.alarmSince = from.getLong();
        latch.onsetTs = from.getLong();
        latch.peak = from.getDouble();
        latch.severity = from.get();
        latch.active = from.get() != 0;
        return latch;
    }
}
