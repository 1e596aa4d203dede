package emberline;

import java.util.Map;

/** One minute of one device, as {@code schemas/events.py} has it. */
record Aggregate(
        int v, String deviceId, String deviceKind, boolean test, long minuteTs,
        Map<String, Aggregate.Statistics> quantities, long sourceOffset, long sourceOrdinal) implements Event {

    /** One number a component; without a value in the minute null, and a count of 0. */
    record Statistics(int[] count, Double[] min, Double[] max, Double[] mean, Double[] last) {
        Statistics(int width) {
            this(new int[width], new Double[width], new Double[width], new Double[width], new Double[width]);
        }
    }
}
