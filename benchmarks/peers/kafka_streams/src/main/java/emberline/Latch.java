package emberline;

import java.nio.ByteBuffer;

/** An alarm of one component that is on its way, or open. A component at rest has none. */
final class Latch {
    static final int WARNING = 1;
    static final int ALARM = 2;
    private static final int NEVER = -1;

    /** One thing that happened to a latch. */
    record Finding(
            String event, int severity, double value, double limit, String source, long onsetTs, long episode,
            double peak) {}

    private long warningSince = NEVER;
    private long alarmSince = NEVER;
    private long warningMs;
    private long alarmMs;
    private int severity = NEVER;
    private boolean active;
    private long onsetTs;
    private long episode;
    private double peak = Double.NEGATIVE_INFINITY;

    boolean isAtRest() {
        return severity == NEVER && warningSince == NEVER && alarmSince == NEVER;
    }

    /** Take a value in; what happened, or null. */
    Finding step(Channel.Time time, double value, Limits.Limit limit) {
        track(time, value, limit);
        int reached = reached(time.creditMs(), limit);
        String event = move(reached, value < limit.recovery(), time.ingestTs());
        if (event == null) {
            return null;
        }
        boolean ofAlarm = reached == ALARM || limit.warning() == Double.POSITIVE_INFINITY;
        double level = ofAlarm ? limit.alarm() : limit.warning();
        String source = limit.sources()[ofAlarm ? 1 : 0];
        return new Finding(event, severity, value, level, source, onsetTs, episode, peak);
    }

    private void track(Channel.Time time, double value, Limits.Limit limit) {
        peak = isAtRest() ? value : Math.max(peak, value);
        boolean warned = value >= limit.warning();
        boolean begins = warningSince == NEVER || time.gap();
        warningMs = warned && !begins ? warningMs + time.stepMs() : 0;
        warningSince = !warned ? NEVER : begins ? time.ts() : warningSince;
        boolean alarmed = value >= limit.alarm();
        begins = alarmSince == NEVER || time.gap();
        alarmMs = alarmed && !begins ? alarmMs + time.stepMs() : 0;
        alarmSince = !alarmed ? NEVER : begins ? time.ts() : alarmSince;
    }

    private int reached(long creditMs, Limits.Limit limit) {
        if (alarmSince != NEVER && Math.max(alarmMs, creditMs) >= limit.confirmAlarmMs()) {
            return ALARM;
        }
        boolean warned = warningSince != NEVER && Math.max(warningMs, creditMs) >= limit.confirmWarningMs();
        return warned ? WARNING : NEVER;
    }

    private String move(int reached, boolean normal, long ingestTs) {
        if (reached > severity) {
            boolean opened = severity == NEVER;
            if (opened) {
                episode = ingestTs;
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
        to.putLong(warningSince).putLong(alarmSince).putLong(warningMs).putLong(alarmMs);
        to.putLong(onsetTs).putLong(episode).putDouble(peak);
        to.put((byte) severity).put((byte) (active ? 1 : 0));
    }

    static Latch read(ByteBuffer from) {
        Latch latch = new Latch();
        latch.warningSince = from.getLong();
        latch.alarmSince = from.getLong();
        latch.warningMs = from.getLong();
        latch.alarmMs = from.getLong();
        latch.onsetTs = from.getLong();
        latch.episode = from.getLong();
        latch.peak = from.getDouble();
        latch.severity = from.get();
        latch.active = from.get() != 0;
        return latch;
    }
}
