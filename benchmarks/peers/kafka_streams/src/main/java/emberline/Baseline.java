package emberline;

import java.nio.ByteBuffer;

/** What is normal for one component, learned from its own values. */
final class Baseline {
    private static final int MOST_SAMPLES = 1_000_000;

    private double value;
    private int samples;
    private long knownMs;
    private long unlearnedMs;

    double value() {
        return value;
    }

    void advance(long elapsedMs) {
        knownMs += elapsedMs;
        unlearnedMs += elapsedMs;
    }

    boolean isLearned(Limits.Limit limit) {
        return samples >= limit.learnSamples() && knownMs >= limit.learnMs();
    }

    void learn(double seen, long memoryMs) {
        samples = Math.min(samples + 1, MOST_SAMPLES);
        double elapsed = unlearnedMs;
        value += Math.max(1.0 / samples, elapsed / Math.max(memoryMs + elapsed, 1)) * (seen - value);
        unlearnedMs = 0;
    }

    void write(ByteBuffer to) {
        to.putDouble(value).putInt(samples).putLong(knownMs).putLong(unlearnedMs);
    }

    static Baseline read(ByteBuffer from) {
        Baseline baseline = new Baseline();
        baseline.value = from.getDouble();
        baseline.samples = from.getInt();
        baseline.knownMs = from.getLong();
        baseline.unlearnedMs = from.getLong();
        return baseline;
    }
}
