package emberline;

import static emberline.Quantity.CURRENT;
import static emberline.Quantity.POWER;
import static emberline.Quantity.VOLTAGE;

import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** A kind of device. Quantities of one {@code axis} run over the same parts: their arrays agree in length. */
enum DeviceKind {
    ELECTRICAL_MONITOR(CURRENT, VOLTAGE),
    CHARGING_PILE(CURRENT, POWER),
    SMOKE_DETECTOR(),
    CIRCUIT_BREAKER(CURRENT, VOLTAGE);

    static final DeviceKind[] ALL = values();
    static final Map<String, DeviceKind> BY_LABEL =
            Stream.of(ALL).collect(Collectors.toMap(kind -> kind.label, kind -> kind));

    final String label = name().toLowerCase();
    private final Quantity[] axis;

    DeviceKind(Quantity... axis) {
        this.axis = axis;
    }

    /** Whether the arrays of the axis that are there are equally long. */
    boolean agrees(double[][] values) {
        int along = 0;
        for (Quantity quantity : axis) {
            int length = values[quantity.ordinal()] == null ? 0 : values[quantity.ordinal()].length;
            if (length > 0 && along > 0 && length != along) {
                return false;
            }
            along = Math.max(along, length);
        }
        return true;
    }
}
