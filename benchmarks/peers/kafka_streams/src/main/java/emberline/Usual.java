package emberline;

import java.nio.ByteBuffer;
import java.util.Arrays;

/** What was usual for one component within a window: the second lowest mean of its parts. */
final class Usual {
    private static final int PARTS = 6;

    private long clockMs;
    private double total;
    private int count;
    private final double[] means = new double[PARTS];
    private double level = Double.NaN;

    Usual() {
        Arrays.fill(means, Double.NaN);
    }

    /** NaN as long as it is not known. */
    double level() {
        return level;
    }

    /** Let the window go on. */
    void letPass(long elapsedMs, long windowMs) {
        long partMs = Math.max(windowMs / PARTS, 1);
        long before = clockMs / partMs;
        clockMs += elapsedMs;
        long now = clockMs / partMs;
        if (now == before) {
            return;
        }
        means[(int) (before % PARTS)] = total / count; // NaN where there was no value
        for (long part = before + 1; part < Math.min(now, before + 1 + PARTS); part++) {
            means[(int) (part % PARTS)] = Double.NaN;
        }
        total = 0;
        count = 0;
        double[] sorted = means.clone();
        Arrays.sort(sorted); // NaN comes last
        level = sorted[1];
    }

    void learn(double value) {
        total += value;
        count++;
    }

    void write(ByteBuffer to) {
        to.putLong(clockMs).putDouble(total).putInt(count).putDouble(level);
        for (double mean : means) {
            to.putDouble(mean);
        }
    }

    static Usual read(ByteBuffer from) {
        Usual usual = new Usual();
        usual.clockMs = from.getLong();
        usual.total = from.getDouble();
        usual.count = from.getInt();
        usual.level = from.getDouble();
        Arrays.setAll(usual.means, part -> from.getDouble());
        return usual;
    }
}
