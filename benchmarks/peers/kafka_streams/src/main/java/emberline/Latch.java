package emberline;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** An alarm of one component that is on its way, or open. A component at rest has none. */
final class Latch {
    static final int WARNING = 1;
    static final int ALARM = 2;
    private static final int NEVER = -1;
    private static final long DAY_MS = 86_400_000;
    private static final double WORSE = 1.5;

    /** One thing that happened to a latch. */
    record Finding(
            String event, int severity, int highest, boolean active, int untold, double value, double limit,
            String source, long ts, long onsetTs, long episode, double peak) {}

    private final Stretch warning = new Stretch();
    private final Stretch alarm = new Stretch();
    /** Of values half again as high as {@code toldValue}, the highest that was told. */
    private final Stretch worse = new Stretch();
    /** Of normal values while the alarm is active. */
    private final Stretch normal = new Stretch();
    private int severity = NEVER;
    private boolean active;
    private boolean toldActive;
    private long onsetTs;
    private long episode;
    private long recoveredTs;
    /** When the last recoveries and reactivations that were told arrived, the oldest first. */
    private long[] repeats = new long[5];
    /** How many were not. */
    private int untold;
    private double toldValue;
    private double stretchPeak = Double.NEGATIVE_INFINITY;
    private double peak = Double.NEGATIVE_INFINITY;

    boolean isAtRest() {
        return severity == NEVER && !warning.holds() && !alarm.holds();
    }

    /** Take a value in; what happened, if anything. */
    List<Finding> step(Channel.Time time, double value, Limits.Limit limit) {
        notePeaks(time, value, limit);
        boolean isWorse = isWorse(time, value, limit);
        int reached = reached(time, value, limit);
        List<Finding> found = new ArrayList<>(0);
        String event;
        if (reached == NEVER) {
            event = under(time, value, limit);
        } else {
            long onset = (reached == ALARM ? alarm : warning).since;
            if (!active && recoveredTs > 0 && onset - recoveredTs >= DAY_MS) {
                found.add(finding("superseded", NEVER, time, value, limit));
                end();
            }
            event = over(reached, isWorse, onset, time.ingestTs());
            normal.since = NEVER;
        }
        if (event != null) {
            toldActive = !event.equals("recovered");
            if (toldActive) {
                toldValue = Math.max(toldValue, value);
                worse.since = NEVER;
            }
            found.add(finding(event, reached, time, value, limit));
        }
        return found;
    }

    private void notePeaks(Channel.Time time, double value, Limits.Limit limit) {
        boolean runs = warning.holds() || alarm.holds();
        boolean begins = value >= limit.lowest() && (time.gap() || !runs);
        stretchPeak = begins ? value : Math.max(stretchPeak, value);
        peak = Math.max(peak, value);
    }

    private boolean isWorse(Channel.Time time, double value, Limits.Limit limit) {
        boolean isOver = severity != NEVER && value >= WORSE * toldValue;
        boolean alarms = limit.alarm() < Double.POSITIVE_INFINITY;
        long confirmMs = alarms ? limit.confirmAlarmMs() : limit.confirmWarningMs();
        return worse.isConfirmed(isOver, time, time.creditMs(), confirmMs);
    }

    private int reached(Channel.Time time, double value, Limits.Limit limit) {
        long creditMs = time.creditMs();
        boolean warned = warning.isConfirmed(value >= limit.warning(), time, creditMs, limit.confirmWarningMs());
        boolean alarmed = alarm.isConfirmed(value >= limit.alarm(), time, creditMs, limit.confirmAlarmMs());
        return alarmed ? ALARM : warned ? WARNING : NEVER;
    }

    private String over(int reached, boolean isWorse, long onset, long ingestTs) {
        boolean wasActive = active;
        active = true;
        if (severity == NEVER) {
            severity = reached;
            onsetTs = onset;
            episode = ingestTs;
            peak = stretchPeak;
            return "opened";
        }
        if (reached > severity) {
            severity = reached;
            return "escalated";
        }
        if (isWorse) {
            return "worsened";
        }
        if (wasActive) {
            return null;
        }
        if (toldActive) {
            untold++;
            return null;
        }
        repeat(ingestTs);
        return "reactivated";
    }

    private String under(Channel.Time time, double value, Limits.Limit limit) {
        boolean isUnder = value < limit.recovery();
        // No interval confirms that all is well.
        if (normal.isConfirmed(active && isUnder, time, 0, limit.confirmRecoveryMs())) {
            active = false;
            recoveredTs = normal.since;
            normal.since = NEVER;
            untold++;
        }
        // Six are told a day, and the sixth is a reactivation: what burns is not left for over.
        boolean hasRoom = time.ingestTs() - repeats[0] >= DAY_MS;
        if (active || !toldActive || !isUnder || !hasRoom) {
            return null;
        }
        untold--;
        repeat(time.ingestTs());
        return "recovered";
    }

    private void repeat(long ingestTs) {
        System.arraycopy(repeats, 1, repeats, 0, repeats.length - 1);
        repeats[repeats.length - 1] = ingestTs;
    }

    /** There is no episode any more. */
    private void end() {
        severity = NEVER;
        recoveredTs = 0;
        repeats = new long[repeats.length];
        untold = 0;
        toldValue = 0;
    }

    private Finding finding(String event, int reached, Channel.Time time, double value, Limits.Limit limit) {
        boolean ofAlarm = reached == ALARM || limit.warning() == Double.POSITIVE_INFINITY;
        boolean recovered = event.equals("recovered");
        boolean isOver = recovered || event.equals("superseded");
        double level = ofAlarm ? limit.alarm() : limit.warning();
        return new Finding(
                event, isOver ? 0 : ofAlarm ? ALARM : WARNING, severity, !isOver, untold, value, level,
                limit.sources()[ofAlarm ? 1 : 0], recovered ? recoveredTs : time.ts(), onsetTs, episode, peak);
    }

    void write(ByteBuffer to) {
        for (Stretch stretch : List.of(warning, alarm, worse, normal)) {
            to.putLong(stretch.since).putLong(stretch.lastedMs);
        }
        to.putLong(onsetTs).putLong(episode).putLong(recoveredTs);
        for (long ts : repeats) {
            to.putLong(ts);
        }
        to.putInt(untold).putDouble(toldValue).putDouble(stretchPeak).putDouble(peak);
        to.put((byte) severity).put((byte) (active ? 1 : 0)).put((byte) (toldActive ? 1 : 0));
    }

    static Latch read(ByteBuffer from) {
        Latch latch = new Latch();
        for (Stretch stretch : List.of(latch.warning, latch.alarm, latch.worse, latch.normal)) {
            stretch.since = from.getLong();
            stretch.lastedMs = from.getLong();
        }
        latch.onsetTs = from.getLong();
        latch.episode = from.getLong();
        latch.recoveredTs = from.getLong();
        Arrays.setAll(latch.repeats, at -> from.getLong());
        latch.untold = from.getInt();
        latch.toldValue = from.getDouble();
        latch.stretchPeak = from.getDouble();
        latch.peak = from.getDouble();
        latch.severity = from.get();
        latch.active = from.get() != 0;
        latch.toldActive = from.get() != 0;
        return latch;
    }

    /** Since when values have been of one sort, and how long that has lasted. */
    private static final class Stretch {
        private long since = NEVER;
        private long lastedMs;

        boolean holds() {
            return since != NEVER;
        }

        /** Take a value on, which is of the sort or not, and say whether that is so for long enough. */
        boolean isConfirmed(boolean is, Channel.Time time, long creditMs, long confirmMs) {
            boolean begins = since == NEVER || time.gap();
            lastedMs = is && !begins ? lastedMs + time.stepMs() : 0;
            since = !is ? NEVER : begins ? time.ts() : since;
            return is && Math.max(lastedMs, creditMs) >= confirmMs;
        }
    }
}
