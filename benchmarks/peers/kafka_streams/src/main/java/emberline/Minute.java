package emberline;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/** One open minute of a device: by quantity, the statistics of its components one after the other in one array. */
final class Minute {
    private static final int COUNT = 0, LEAST = 1, MOST = 2, TOTAL = 3, LAST_TS = 4, LAST = 5, FIELDS = 6;

    final long ts;
    private final double[][] held = new double[Quantity.ALL.length][];

    Minute(long ts) {
        this.ts = ts;
    }

    /** Count the values of one quantity, the first {@code width} of which are there or between others. */
    void count(Quantity quantity, double[] values, int width, long at) {
        double[] slots = held[quantity.ordinal()];
        if (slots == null || slots.length < width * FIELDS) {
            slots = slots == null ? new double[width * FIELDS] : Arrays.copyOf(slots, width * FIELDS);
            held[quantity.ordinal()] = slots;
        }
        for (int component = 0, slot = 0; component < width; component++, slot += FIELDS) {
            if (values[component] != quantity.absent) {
                add(slots, slot, values[component], at);
            }
        }
    }

    private static void add(double[] slots, int slot, double value, long at) {
        boolean first = slots[slot + COUNT]++ == 0;
        slots[slot + LEAST] = first ? value : Math.min(slots[slot + LEAST], value);
        slots[slot + MOST] = first ? value : Math.max(slots[slot + MOST], value);
        slots[slot + TOTAL] += value;
        if (first || at >= slots[slot + LAST_TS]) {
            slots[slot + LAST_TS] = at;
            slots[slot + LAST] = value;
        }
    }

    /** By quantity, up to the last component with a value; empty if nothing was counted. */
    Map<String, Aggregate.Statistics> statistics() {
        Map<String, Aggregate.Statistics> found = new LinkedHashMap<>();
        for (Quantity quantity : Quantity.ALL) {
            double[] slots = held[quantity.ordinal()];
            if (slots != null) {
                found.put(quantity.field, statistics(slots));
            }
        }
        return found;
    }

    private static Aggregate.Statistics statistics(double[] slots) {
        int width = slots.length / FIELDS;
        Aggregate.Statistics found = new Aggregate.Statistics(width);
        for (int component = 0; component < width; component++) {
            int slot = component * FIELDS;
            if (slots[slot + COUNT] > 0) {
                found.count()[component] = (int) slots[slot + COUNT];
                found.min()[component] = slots[slot + LEAST];
                found.max()[component] = slots[slot + MOST];
                found.mean()[component] = slots[slot + TOTAL] / slots[slot + COUNT];
                found.last()[component] = slots[slot + LAST];
            }
        }
        return found;
    }

    void write(ByteBuffer to) {
        to.putLong(ts);
        for (double[] slots : held) {
            int length = slots == null ? 0 : slots.length;
            to.putShort((short) length);
            if (length > 0) {
                to.asDoubleBuffer().put(slots);
                to.position(to.position() + length * Double.BYTES);
            }
        }
    }

    static Minute read(ByteBuffer from) {
        Minute minute = new Minute(from.getLong());
        for (int quantity = 0; quantity < minute.held.length; quantity++) {
            int length = from.getShort();
            if (length > 0) {
                double[] slots = minute.held[quantity] = new double[length];
                from.asDoubleBuffer().get(slots);
                from.position(from.position() + length * Double.BYTES);
            }
        }
        return minute;
    }
}
