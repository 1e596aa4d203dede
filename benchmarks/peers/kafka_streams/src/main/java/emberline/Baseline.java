package emberline;

import java.nio.ByteBuffer;

/** What is normal for one component, learned from its own values. */
final class Baseline {
    private static final int MOST_SAMPLES = 1_000_000;

    private double value;
    private int samples;
    private long firstTs;
    private long lastTs;

    double value() {
        return value;
    }

    boolean isLearned(long ts, Limits.Limit limit) {
        return samples >= limit.learnSamples() && ts - firstTs >= limit.learnMs();
    }

    void learn(long ts, double seen, long memoryMs) {
        samples = Math.min(samples + 1, MOST_SAMPLES);
        if (samples == 1) {
            value = seen;
            firstTs = ts;
        } else {
            double elapsed = Math.max(0, ts - lastTs);
            value += Math.max(1.0 / samples, elapsed / Math.max(memoryMs + elapsed, 1)) * (seen - value);
        }
        lastTs = ts;
    }

    void write(ByteBuffer to) {
        to.putDouble(value).putInt(samples).putLong(firstTs).putLong(lastTs);
    }

    static Baseline read(ByteBuffer from) {
        Baseline baseline = new Baseline();
        baseline.value = from.getDouble();
        baseline.samples = from.getInt();
        baseline.firstTs = from.getLong();
        baseline.lastTs = from.getLong();
        return baseline;
    }
}
