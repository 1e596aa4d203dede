package emberline;

import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** A physical quantity, as in {@code schemas/quantities.py} and in its order, which is part of what is stored. */
enum Quantity {
    RESIDUAL_CURRENT("residual_current_ma", "mA", 0, 100_000, Double.NaN),
    TEMPERATURE("temperature_c", "℃", -100, 1_500, -200),
    CURRENT("current_a", "A", 0, 10_000, Double.NaN),
    VOLTAGE("voltage_v", "V", 0, 2_000, Double.NaN),
    POWER("power_w", "W", -10_000_000, 10_000_000, Double.NaN),
    ARC_HALF_CYCLES("arc_half_cycles", "个", 0, 120, Double.NaN),
    SMOKE("smoke", "", 0, 1, Double.NaN),
    INSULATION("insulation_mohm", "MΩ", 0, 1_000_000, Double.NaN),
    STATIC("static_v", "V", -200_000, 200_000, Double.NaN),
    UNBALANCE("unbalance_pct", "%", 0, 100, 200);

    static final Quantity[] ALL = values();
    static final Map<String, Quantity> BY_FIELD =
            Stream.of(ALL).collect(Collectors.toMap(quantity -> quantity.field, quantity -> quantity));

    final String field;
    final String unit;
    /** What field devices send for "not fitted"; NaN, which equals nothing, where there is no such value. */
    final double absent;
    private final double low;
    private final double high;

    Quantity(String field, String unit, double low, double high, double absent) {
        this.field = field;
        this.unit = unit;
        this.low = low;
        this.high = high;
        this.absent = absent;
    }

    boolean isPossible(double value) {
        return value >= low && value <= high || value == absent;
    }

    /** Components up to the last one that is there. */
    int width(double[] values) {
        int width = values.length;
        while (width > 0 && values[width - 1] == absent) {
            width--;
        }
        return width;
    }
}
