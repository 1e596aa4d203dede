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
            String source, long ts, long onsetTs, long episode, double peak) {
        Finding asWarning() {
            return new Finding(
                    event, Math.min(severity, WARNING), highest, active, untold, value, limit, source, ts, onsetTs,
                    episode, peak);
        }
    }

    /** A first value over a level that was told as provisional. */
    private record First(long ts, long episode, double value) {}

    /** The level that is confirmed, and since when values have reached it. */
    private record Reached(int level, long onsetTs) {}

    private static final Reached NOTHING = new Reached(NEVER, NEVER);

    private final Stretch warning = new Stretch();
    private final Stretch alarm = new Stretch();
    /** Of values half again as high as {@code toldValue}, the highest that was told. */
    private final Stretch worse = new Stretch();
    /** Of normal values while the alarm is active. */
    private final Stretch normal = new Stretch();
    private long clockMs;
    private First first;
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
    /** The level of what was told last. */
    private int toldLevel = NEVER;
    private double stretchPeak = Double.NEGATIVE_INFINITY;
    private double peak = Double.NEGATIVE_INFINITY;

    boolean isAtRest() {
        return severity == NEVER && first == null && !isOver();
    }

    /** Whether what is over a level waits to be confirmed. Of what is at rest there is no latch. */
    boolean waits() {
        return severity == NEVER;
    }

    /** Whether a normal value means nothing to it, though its alarm is open. */
    boolean isQuiet() {
        boolean waits = active || toldActive || first != null || isOver();
        return severity != NEVER && !waits;
    }

    /** Whether values are over a level, or were a moment ago. */
    private boolean isOver() {
        return warning.holds() || alarm.holds();
    }

    /** Take a value in; what happened, if anything. */
    List<Finding> step(Channel.Time time, double value, Limits.Limit limit) {
        boolean isOver = value >= limit.lowest();
        if (!isOver && isQuiet()) {
            return List.of();
        }
        notePeaks(time, value, limit);
        clockMs += isAtRest() ? 0 : time.elapsedMs();
        boolean isWorse = isWorse(time, value, limit);
        Reached reached = reached(time, value, limit);
        if (first != null && !isOver) {
            First withdrawn = first;
            first = null;
            return List.of(toldFirst("withdrawn", withdrawn, time, value, limit));
        }
        if (first != null && time.gap()) {
            // A single value confirms it: a warning, whatever that reaches.
            return toldAlone(reached.onsetTs, isWorse, time, value, limit);
        }
        if (reached.level != NEVER || active || !isToldAtOnce(time, value, limit)) {
            return told(reached, isWorse, time, value, limit);
        }
        if (severity == NEVER || isAnother(time.ts())) {
            first = new First(time.ts(), time.ingestTs(), value);
            return List.of(toldFirst("provisional", first, time, value, limit));
        }
        return toldAlone(time.ts(), isWorse, time, value, limit); // and by a single value it is back
    }

    private List<Finding> toldAlone(long onset, boolean isWorse, Channel.Time time, double value, Limits.Limit limit) {
        List<Finding> found = told(new Reached(WARNING, onset), isWorse, time, value, limit);
        found.replaceAll(Finding::asWarning);
        return found;
    }

    private List<Finding> told(Reached reached, boolean isWorse, Channel.Time time, double value, Limits.Limit limit) {
        List<Finding> found = new ArrayList<>(0);
        String event;
        if (reached.level == NEVER) {
            event = under(time, value, limit);
        } else {
            if (isAnother(reached.onsetTs)) {
                found.add(finding("superseded", NEVER, time, value, limit));
                end();
            }
            event = over(reached.level, isWorse, reached.onsetTs, time.ingestTs());
            normal.end();
        }
        if (event != null) {
            toldActive = !event.equals("recovered");
            if (toldActive) {
                toldValue = Math.max(toldValue, value);
                toldLevel = reached.level;
                worse.end();
            }
            found.add(finding(event, reached.level, time, value, limit));
        }
        return found;
    }

    /** Whether what begins then is another episode than the one that is over. */
    private boolean isAnother(long ts) {
        return !active && recoveredTs > 0 && ts - recoveredTs >= DAY_MS;
    }

    /** Whether a first value of a component that speaks seldom is told. Of what must last for minutes none is. */
    private static boolean isToldAtOnce(Channel.Time time, double value, Limits.Limit limit) {
        boolean seldom = time.intervalMs() == 0 || time.intervalMs() > Channel.SELDOM_MS || time.gap();
        boolean warns = value >= limit.warning() && limit.confirmWarningMs() <= Channel.SELDOM_MS;
        return seldom && (warns || value >= limit.alarm() && limit.confirmAlarmMs() <= Channel.SELDOM_MS);
    }

    private void notePeaks(Channel.Time time, double value, Limits.Limit limit) {
        boolean begins = value >= limit.lowest() && (time.gap() || !isOver());
        stretchPeak = begins ? value : Math.max(stretchPeak, value);
        peak = Math.max(peak, value);
    }

    private boolean isWorse(Channel.Time time, double value, Limits.Limit limit) {
        boolean isOver = severity != NEVER && value >= WORSE * toldValue;
        boolean alarms = limit.alarm() < Double.POSITIVE_INFINITY;
        return worse.isConfirmed(isOver, time, alarms ? limit.confirmAlarmMs() : limit.confirmWarningMs(), clockMs);
    }

    private Reached reached(Channel.Time time, double value, Limits.Limit limit) {
        boolean warned = warning.isConfirmed(value >= limit.warning(), time, limit.confirmWarningMs(), clockMs);
        boolean alarmed = alarm.isConfirmed(value >= limit.alarm(), time, limit.confirmAlarmMs(), clockMs);
        if (first != null) {
            return new Reached(levelOf(Math.min(first.value, value), limit), first.ts);
        }
        if (alarmed) {
            return new Reached(ALARM, alarm.since());
        }
        return warned ? new Reached(WARNING, warning.since()) : NOTHING;
    }

    private static int levelOf(double value, Limits.Limit limit) {
        return value >= limit.alarm() ? ALARM : WARNING;
    }

    private String over(int reached, boolean isWorse, long onset, long ingestTs) {
        boolean wasActive = active;
        active = true;
        if (severity == NEVER) {
            severity = reached;
            onsetTs = onset;
            episode = ingestTs;
            peak = stretchPeak;
            if (first == null) {
                return "opened";
            }
            episode = first.episode;
            peak = Math.max(peak, first.value);
            first = null;
            return "confirmed";
        }
        if (reached > (toldActive ? toldLevel : severity)) {
            severity = Math.max(severity, reached);
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
        if (normal.lasts(active && isUnder, time, limit.confirmRecoveryMs())) {
            active = false;
            recoveredTs = normal.since();
            normal.end();
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
        toldLevel = NEVER;
        recoveredTs = 0;
        repeats = new long[repeats.length];
        untold = 0;
        toldValue = 0;
    }

    /** What is told of a first value, which is a warning whatever it reaches. */
    private Finding toldFirst(String event, First of, Channel.Time time, double value, Limits.Limit limit) {
        Finding told = finding(event, levelOf(of.value, limit), time, value, limit);
        boolean waits = event.equals("provisional");
        return new Finding(
                event, waits ? WARNING : 0, WARNING, waits, 0, value, told.limit, told.source, told.ts, of.ts,
                of.episode, of.value);
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
            stretch.write(to);
        }
        to.putLong(clockMs).put((byte) (first == null ? 0 : 1));
        if (first != null) {
            to.putLong(first.ts).putLong(first.episode).putDouble(first.value);
        }
        to.putLong(onsetTs).putLong(episode).putLong(recoveredTs);
        for (long ts : repeats) {
            to.putLong(ts);
        }
        to.putInt(untold).putDouble(toldValue).putDouble(stretchPeak).putDouble(peak);
        to.put((byte) severity).put((byte) toldLevel).put((byte) (active ? 1 : 0)).put((byte) (toldActive ? 1 : 0));
    }

    static Latch read(ByteBuffer from) {
        Latch latch = new Latch();
        for (Stretch stretch : List.of(latch.warning, latch.alarm, latch.worse, latch.normal)) {
            stretch.read(from);
        }
        latch.clockMs = from.getLong();
        latch.first = from.get() == 0 ? null : new First(from.getLong(), from.getLong(), from.getDouble());
        latch.onsetTs = from.getLong();
        latch.episode = from.getLong();
        latch.recoveredTs = from.getLong();
        Arrays.setAll(latch.repeats, at -> from.getLong());
        latch.untold = from.getInt();
        latch.toldValue = from.getDouble();
        latch.stretchPeak = from.getDouble();
        latch.peak = from.getDouble();
        latch.severity = from.get();
        latch.toldLevel = from.get();
        latch.active = from.get() != 0;
        latch.toldActive = from.get() != 0;
        return latch;
    }
}
