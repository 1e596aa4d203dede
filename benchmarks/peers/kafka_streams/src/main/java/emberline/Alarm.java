package emberline;

import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import org.bouncycastle.crypto.digests.Blake2bDigest;

/** One event in the life of an alarm, as {@code schemas/events.py} has it. */
record Alarm(
        int v, String alarmId, String event, int severity, String severityLabel, int severityHighest, boolean active,
        int repeatsUntold, String kind, String deviceId, String deviceKind, String quantity, int component,
        long episode, long eventTs, long onsetTs, long ingestTs, long detectedTs, boolean byArrival, boolean late,
        double value, double limit, double peak, Double baseline, String limitFrom, boolean test, boolean maintenance,
        String by, String why, String limitBy, long limitSinceTs, String unitId, String unitName, String place,
        String area, String message, long sourceOffset, long sourceOrdinal) implements Event {

    private static final String[] SEVERITY_LABELS = {"提示", "警告", "紧急"};
    private static final MathContext FOUR_DIGITS = new MathContext(4, RoundingMode.HALF_EVEN);

    static Alarm of(
            Device device, Device.Place place, AlarmKind kind, int component, int turn, Latch.Finding found,
            Double baseline) {
        String label = SEVERITY_LABELS[found.severity()];
        String name = kind.name().toLowerCase();
        return new Alarm(
                Report.VERSION, id(device, component, name, found.episode()), found.event(), found.severity(), label,
                found.highest(), found.active(), found.untold(), name, device.id, device.kind.label,
                kind.quantity.field, component, found.episode(), found.ts(), found.onsetTs(), place.ingestTs(),
                System.currentTimeMillis(), false, false, found.value(), found.limit(), found.peak(), baseline,
                found.source(), device.test, false, "", "", "", 0, "", "", "", "", // no order and no registry comes here
                message(device, kind, component, found, label, baseline), place.offset(),
                (long) place.report().index << 16 | kind.ordinal() << 8 | component << 2 | turn);
    }

    /** Computed from what it is about, so that a repeat is recognisable. */
    private static String id(Device device, int component, String kind, long episode) {
        String about = String.join("\n", device.id, "" + component, kind, "" + episode, device.test ? "1" : "0");
        byte[] bytes = about.getBytes(StandardCharsets.UTF_8);
        Blake2bDigest digest = new Blake2bDigest(128);
        digest.update(bytes, 0, bytes.length);
        byte[] hash = new byte[digest.getDigestSize()];
        digest.doFinal(hash, 0);
        return HexFormat.of().formatHex(hash);
    }

    /** {@code detectors/messages.py} */
    private static String message(
            Device device, AlarmKind kind, int component, Latch.Finding found, String label, Double baseline) {
        String unit = kind.quantity.unit;
        String tag = switch (found.event()) {
            case "recovered" -> "恢复";
            case "withdrawn" -> "撤回";
            case "superseded" -> "取代";
            default -> label;
        };
        String head = (device.test ? "【测试】" : "") + "【" + tag + "】" + device.id + " 第" + (component + 1) + "路 "
                + kind.label;
        String value = brief(found.value()) + unit;
        String usual = kind == AlarmKind.TEMPERATURE_RISE ? "较均值 " : "较基线 ";
        String measured = baseline == null ? "当前 " + value
                : usual + brief(baseline) + unit + (found.active() ? " 升高 " : " 相差 ") + value;
        String state = switch (found.event()) {
            case "escalated" -> "，已升级";
            case "worsened" -> "，持续恶化";
            case "reactivated" -> "，再次发生";
            case "provisional" -> "，待下一读数核实";
            case "confirmed" -> "，已证实";
            case "recovered" -> "已恢复正常，待人工复位";
            case "withdrawn" -> "未经证实，已撤回";
            case "superseded" -> "未经复位，由新的告警取代";
            default -> "";
        };
        String limit = found.active() ? "，限值 " + brief(found.limit()) + unit : "";
        return head + state + "：" + measured + limit;
    }

    /** Four digits as Python's {@code %.4g} writes them, which Java's does not, and all that stand before the point. */
    static String brief(double value) {
        if (value == 0) {
            return 1 / value < 0 ? "-0" : "0";
        }
        if (Math.abs(value) >= 10_000) {
            return new BigDecimal(value).setScale(0, RoundingMode.HALF_EVEN).toPlainString();
        }
        BigDecimal rounded = new BigDecimal(value).round(FOUR_DIGITS).stripTrailingZeros();
        int exponent = rounded.precision() - rounded.scale() - 1;
        if (exponent >= -4 && exponent < 4) {
            return rounded.toPlainString();
        }
        return "%se%+03d".formatted(rounded.movePointLeft(exponent).stripTrailingZeros().toPlainString(), exponent);
    }
}
