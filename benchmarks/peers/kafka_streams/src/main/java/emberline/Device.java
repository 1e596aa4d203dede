package emberline;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What is known of one device, and the rules it is judged by; its test data are another device. */
final class Device {
    private static final long MINUTE_MS = 60_000;
    /** A minute and the lateness that is waited for. */
    private static final long OPEN_MS = 90_000;
    private static final double[] NOTHING = {};

    /** A report and its place; {@code ts} is the moment it is judged by. */
    record Place(Report report, long offset, long ingestTs, long ts) {
        double[] values(Quantity quantity) {
            double[] values = report.values[quantity.ordinal()];
            return values == null ? NOTHING : values;
        }
    }

    final String id;
    final DeviceKind kind;
    final boolean test;
    private final Limits.Limit[] limits;
    private final Pace pace = new Pace();
    private final List<Minute> minutes = new ArrayList<>(3);
    private final Map<Integer, Latch> latches = new HashMap<>(0);
    private final List<List<Channel>> channels =
            List.of(new ArrayList<>(1), new ArrayList<>(4), new ArrayList<>(1));
    private final List<Usual> usual = new ArrayList<>(1);
    /** Running means of temperatures; NaN where there was no value. */
    private final List<Double> means = new ArrayList<>(4);
    private long place = -1;
    private long newestTs;

    Device(String id, DeviceKind kind, boolean test, Limits limits) {
        this.id = id;
        this.kind = kind;
        this.test = test;
        this.limits = limits.of(id, kind);
    }

    /** Take a good report in. A record that comes again changes nothing: its place is not new. */
    void take(Report report, long offset, long ingestTs, List<Event> events) {
        if ((offset << 10 | report.index) <= place) {
            return;
        }
        place = offset << 10 | report.index;
        long ts = Math.min(report.eventTs, ingestTs);
        newestTs = Math.max(newestTs, ts);
        pace.advance(ingestTs);
        close(offset, report.index, events);
        count(report, ts);
        watch(new Place(report, offset, ingestTs, ts), events);
    }

    /** The minutes that the newest time has left behind. */
    private void close(long offset, int index, List<Event> events) {
        while (!minutes.isEmpty() && minutes.get(0).ts + OPEN_MS <= newestTs) {
            Minute minute = minutes.remove(0);
            Map<String, Aggregate.Statistics> found = minute.statistics();
            if (!found.isEmpty()) {
                long ordinal = index * 2L + minute.ts / MINUTE_MS % 2;
                events.add(new Aggregate(Report.VERSION, id, kind.label, test, minute.ts, found, offset, ordinal));
            }
        }
    }

    /** Count the values in their minute, unless that has closed. */
    private void count(Report report, long ts) {
        long minuteTs = ts - ts % MINUTE_MS;
        if (minuteTs + OPEN_MS <= newestTs) {
            return;
        }
        Minute minute = minute(minuteTs);
        for (Quantity quantity : Quantity.ALL) {
            double[] values = report.values[quantity.ordinal()];
            int width = values == null ? 0 : quantity.width(values);
            if (width > 0) {
                minute.count(quantity, values, width, ts);
            }
        }
    }

    /** The open minute, which is made in its place if it is not there: the oldest comes first. */
    private Minute minute(long ts) {
        int at = 0;
        while (at < minutes.size() && minutes.get(at).ts < ts) {
            at++;
        }
        if (at == minutes.size() || minutes.get(at).ts != ts) {
            minutes.add(at, new Minute(ts));
        }
        return minutes.get(at);
    }

    /** Show every value that is there to the detectors of its quantity. */
    private void watch(Place place, List<Event> events) {
        double[] currents = place.values(Quantity.RESIDUAL_CURRENT);
        for (int component = 0; component < currents.length; component++) {
            Channel.Time time = advance(place, 0, component);
            step(place, AlarmKind.RESIDUAL_CURRENT, component, time, currents[component], null, events);
            rise(place, component, time, currents[component], events);
        }
        double[] temperatures = place.values(Quantity.TEMPERATURE);
        for (int component = 0; component < temperatures.length; component++) {
            if (temperatures[component] != Quantity.TEMPERATURE.absent) {
                Channel.Time time = advance(place, 1, component);
                step(place, AlarmKind.TEMPERATURE, component, time, temperatures[component], null, events);
                warming(place, component, time, temperatures[component], events);
            }
        }
        double[] arcs = place.values(Quantity.ARC_HALF_CYCLES);
        for (int component = 0; component < arcs.length; component++) {
            Channel.Time time = advance(place, 2, component);
            step(place, AlarmKind.ARC_FAULT, component, time, arcs[component], null, events);
        }
    }

    /** The time that has passed for a component of the watched quantity of that number. */
    private Channel.Time advance(Place place, int quantity, int component) {
        List<Channel> known = channels.get(quantity);
        while (known.size() <= component) {
            known.add(new Channel());
        }
        return known.get(component).advance(place.ts, place.report.eventTs, place.ingestTs, pace.intervalMs());
    }

    /** Show a value to its latch, which is made when the value reaches a level and forgotten when at rest. */
    private void step(
            Place place, AlarmKind of, int component, Channel.Time time, double value, Double baseline,
            List<Event> events) {
        Limits.Limit limit = limits[of.ordinal()];
        if (latches.isEmpty() && value < limit.lowest()) {
            return; // as nearly all
        }
        int where = where(of, component);
        Latch latch = latches.get(where);
        if (latch == null) {
            if (value < limit.lowest()) {
                return;
            }
            latches.put(where, latch = new Latch());
        }
        List<Latch.Finding> found = latch.step(time, value, limit);
        for (int turn = 0; turn < found.size(); turn++) {
            events.add(Alarm.of(this, place, of, component, turn, found.get(turn), baseline));
        }
        if (latch.isAtRest()) {
            latches.remove(where);
        }
    }

    /** What a value lies above its own level, which stays while an alarm is on its way or active. */
    private void rise(Place place, int component, Channel.Time time, double value, List<Event> events) {
        while (usual.size() <= component) {
            usual.add(new Usual());
        }
        Limits.Limit limit = limits[AlarmKind.RESIDUAL_CURRENT_RISE.ordinal()];
        Usual known = usual.get(component);
        Latch latch = latches.isEmpty() ? null : latches.get(where(AlarmKind.RESIDUAL_CURRENT_RISE, component));
        boolean learns = latch == null || latch.isQuiet();
        if (learns) {
            known.letPass(time.elapsedMs(), limit.windowMs());
        }
        double level = known.level();
        if (learns && !(value - level >= limit.lowest())) {
            known.learn(value);
        }
        if (!Double.isNaN(level)) {
            step(place, AlarmKind.RESIDUAL_CURRENT_RISE, component, time, value - level, level, events);
        }
    }

    /**
     * What a value lies above its own running mean, which waits while a value waits to be confirmed, and follows by no
     * more than twice the limit, and by as much more as the value comes later.
     */
    private void warming(Place place, int component, Channel.Time time, double value, List<Event> events) {
        while (means.size() <= component) {
            means.add(Double.NaN);
        }
        Limits.Limit limit = limits[AlarmKind.TEMPERATURE_RISE.ordinal()];
        double mean = Double.isNaN(means.get(component)) ? value : means.get(component);
        Latch latch = latches.isEmpty() ? null : latches.get(where(AlarmKind.TEMPERATURE_RISE, component));
        if (latch == null || !latch.waits()) {
            double elapsed = time.elapsedMs();
            double memory = Math.max(limit.memoryMs(), 1);
            double most = 2 * limit.lowest() * (1 + elapsed / memory);
            mean += Math.max(-most, Math.min(value - mean, most)) * (elapsed / (memory + elapsed));
        }
        means.set(component, mean);
        step(place, AlarmKind.TEMPERATURE_RISE, component, time, value - mean, mean, events);
    }

    private static int where(AlarmKind kind, int component) {
        return kind.ordinal() << 8 | component;
    }

    void write(ByteBuffer to) {
        to.putLong(place).putLong(newestTs);
        pace.write(to);
        for (List<Channel> known : channels) {
            to.put((byte) known.size());
            known.forEach(channel -> channel.write(to));
        }
        to.put((byte) minutes.size());
        minutes.forEach(minute -> minute.write(to));
        to.putShort((short) latches.size());
        latches.forEach((where, latch) -> latch.write(to.putShort(where.shortValue())));
        to.put((byte) usual.size());
        usual.forEach(known -> known.write(to));
        to.put((byte) means.size());
        means.forEach(to::putDouble);
    }

    /** Take over what was written of this device. */
    void read(ByteBuffer from) {
        place = from.getLong();
        newestTs = from.getLong();
        pace.read(from);
        for (List<Channel> known : channels) {
            for (int left = from.get(); left > 0; left--) {
                known.add(Channel.read(from));
            }
        }
        for (int left = from.get(); left > 0; left--) {
            minutes.add(Minute.read(from));
        }
        for (int left = from.getShort(); left > 0; left--) {
            latches.put((int) from.getShort(), Latch.read(from));
        }
        for (int left = from.get(); left > 0; left--) {
            usual.add(Usual.read(from));
        }
        for (int left = from.get(); left > 0; left--) {
            means.add(from.getDouble());
        }
    }
}
