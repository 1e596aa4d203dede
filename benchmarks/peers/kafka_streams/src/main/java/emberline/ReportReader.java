package emberline;

import static com.fasterxml.jackson.core.JsonToken.END_ARRAY;
import static com.fasterxml.jackson.core.JsonToken.START_ARRAY;
import static com.fasterxml.jackson.core.JsonToken.START_OBJECT;
import static com.fasterxml.jackson.core.JsonToken.VALUE_NULL;
import static com.fasterxml.jackson.core.JsonToken.VALUE_NUMBER_INT;
import static com.fasterxml.jackson.core.JsonToken.VALUE_STRING;

import com.fasterxml.jackson.core.JsonParseException;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonParser.NumberType;
import com.fasterxml.jackson.core.JsonToken;
import emberline.Report.Fault;
import java.io.IOException;
import java.util.Arrays;
import java.util.regex.Pattern;

/**
 * Reads a report in one pass, by the rules of {@code schemas/report_rules.py}. Fields come in any order, but the order
 * of the rules decides which fault is told; so the faults are kept by rule until the report is read.
 */
final class ReportReader {
    private static final long EARLIEST_EVENT_TS = 1_577_836_800_000L;
    private static final long MAX_AHEAD_MS = 86_400_000L;
    private static final int MAX_DEVICE_ID_LENGTH = 64, MAX_FAULTS = 16, MAX_FAULT_LENGTH = 64;
    private static final String[] REQUIRED = {"v", "device_id", "device_kind", "event_ts"};
    /** The rules in their order. */
    private static final int V = 0, DEVICE_ID = 1, DEVICE_KIND = 2, EVENT_TS = 3, SEQ = 4, TEST = 5, FAULTS = 6,
            QUANTITIES = 7, COMPONENTS = QUANTITIES + Quantity.ALL.length, RULES = COMPONENTS + 1;

    /** Of the Unicode categories that Python does not call printable, and the space. */
    private static final Pattern UNPRINTABLE = Pattern.compile("[\\p{C}\\p{Z}]");

    private final Fault[] faults = new Fault[RULES];
    private final double[] scratch = new double[Report.MAX_COMPONENTS];

    /** The report that the parser stands before, with its fault if it has one. */
    Report read(JsonParser parser, long ingestTs) throws IOException {
        Report report = new Report();
        if (parser.currentToken() != START_OBJECT) {
            report.fault = new Fault("not_a_report", "expected an object, got " + parser.currentToken());
            parser.skipChildren();
            return report;
        }
        Arrays.fill(faults, null);
        for (String name = parser.nextFieldName(); name != null; name = parser.nextFieldName()) {
            field(report, name, parser, parser.nextToken());
        }
        report.fault = fault(report, ingestTs);
        return report;
    }

    private void field(Report report, String name, JsonParser parser, JsonToken token) throws IOException {
        switch (name) {
            case "v" -> report.version = integer(V, parser, token);
            case "device_id" -> report.deviceId = text(DEVICE_ID, parser, token);
            case "device_kind" -> report.kind = kind(text(DEVICE_KIND, parser, token));
            case "event_ts" -> report.eventTs = integer(EVENT_TS, parser, token);
            case "seq" -> report.seq = integer(SEQ, parser, token);
            case "test" -> report.test = truth(parser, token);
            case "components" -> report.stated = integer(COMPONENTS, parser, token);
            case "faults" -> faults(parser, token);
            default -> quantity(report, Quantity.BY_FIELD.get(name), parser, token);
        }
    }

    private long integer(int rule, JsonParser parser, JsonToken token) throws IOException {
        faults[rule] = null; // of a field that comes twice the last counts
        if (token == VALUE_NULL) {
            return Report.ABSENT;
        }
        if (token == VALUE_NUMBER_INT && parser.getNumberType() != NumberType.BIG_INTEGER) {
            return parser.getLongValue();
        }
        if (token == VALUE_NUMBER_INT && parser.getText().length() <= 20 && parser.getText().charAt(0) != '-') {
            return Long.MAX_VALUE; // an unsigned one, which is out of every range
        }
        return wrongType(rule, "an integer", parser, Report.ABSENT);
    }

    private String text(int rule, JsonParser parser, JsonToken token) throws IOException {
        faults[rule] = null;
        return token == VALUE_STRING ? parser.getText()
                : token == VALUE_NULL ? null : wrongType(rule, "a string", parser, null);
    }

    private DeviceKind kind(String label) {
        DeviceKind kind = label == null ? null : DeviceKind.BY_LABEL.get(label);
        if (kind == null && label != null) {
            faults[DEVICE_KIND] = new Fault("unknown_device_kind", "known kinds: " + DeviceKind.BY_LABEL.keySet());
        }
        return kind;
    }

    private boolean truth(JsonParser parser, JsonToken token) throws IOException {
        faults[TEST] = null;
        return token.isBoolean() ? parser.getBooleanValue()
                : token != VALUE_NULL && wrongType(TEST, "true or false", parser, false);
    }

    private void faults(JsonParser parser, JsonToken token) throws IOException {
        faults[FAULTS] = null;
        int count = 0, longest = 0;
        boolean texts = token == START_ARRAY || token == VALUE_NULL;
        while (token == START_ARRAY && parser.nextToken() != END_ARRAY) {
            texts &= parser.currentToken() == VALUE_STRING;
            longest = Math.max(longest, texts ? length(parser.getText()) : 0);
            count++;
            parser.skipChildren();
        }
        if (!texts) {
            wrongType(FAULTS, "an array of strings", parser, null);
        } else if (count > MAX_FAULTS || longest > MAX_FAULT_LENGTH) {
            faults[FAULTS] = new Fault("array_too_long", "faults: at most 16 of at most 64 characters");
        }
    }

    private void quantity(Report report, Quantity quantity, JsonParser parser, JsonToken token) throws IOException {
        if (quantity == null) {
            parser.skipChildren();
            return;
        }
        int rule = QUANTITIES + quantity.ordinal();
        faults[rule] = null;
        report.values[quantity.ordinal()] = token == START_ARRAY ? values(rule, quantity, parser)
                : token == VALUE_NULL ? null : wrongType(rule, "an array of numbers", parser, null);
    }

    private double[] values(int rule, Quantity quantity, JsonParser parser) throws IOException {
        int count = 0;
        for (JsonToken token = parser.nextToken(); token != END_ARRAY; token = parser.nextToken(), count++) {
            double value = token.isNumeric() ? parser.getDoubleValue() : Double.NaN;
            if (Double.isInfinite(value)) {
                throw new JsonParseException(parser, "a number beyond all doubles");
            }
            if (faults[rule] == null && !quantity.isPossible(value)) {
                faults[rule] = token.isNumeric() ? new Fault("impossible_value", quantity.field + " holds " + value)
                        : new Fault("wrong_type", quantity.field + " must be an array of numbers");
            }
            scratch[Math.min(count, scratch.length - 1)] = value;
            parser.skipChildren();
        }
        if (count > scratch.length) {
            faults[rule] = new Fault("array_too_long", quantity.field + " has " + count + " components");
        }
        return Arrays.copyOf(scratch, Math.min(count, scratch.length));
    }

    private Fault fault(Report report, long ingestTs) {
        boolean[] there = {
            report.version != Report.ABSENT, report.deviceId != null, report.kind != null,
            report.eventTs != Report.ABSENT
        };
        for (int rule = 0; rule < there.length; rule++) {
            if (!there[rule] && faults[rule] == null) {
                return new Fault("missing_field", REQUIRED[rule] + " is required");
            }
        }
        judge(report);
        for (Fault fault : faults) {
            if (fault != null) {
                return fault;
            }
        }
        boolean possible = report.eventTs >= EARLIEST_EVENT_TS && report.eventTs <= ingestTs + MAX_AHEAD_MS;
        return possible ? null : new Fault("impossible_time", "event_ts lies before 2020 or over a day after arrival");
    }

    /** What is of the right type, and may be wrong still. */
    private void judge(Report report) {
        if (faults[V] == null && report.version != Report.VERSION) {
            faults[V] = new Fault("unknown_version", "this platform reads version " + Report.VERSION);
        }
        if (faults[DEVICE_ID] == null && !isDeviceId(report.deviceId)) {
            faults[DEVICE_ID] = new Fault("bad_device_id", "must be 1 to 64 printable characters without spaces");
        }
        if (report.seq != Report.ABSENT && (report.seq < 0 || report.seq > Integer.MAX_VALUE)) {
            faults[SEQ] = new Fault("wrong_type", "seq must be an integer from 0 to 2147483647");
        }
        if (report.kind != null && !report.kind.agrees(report.values)) {
            faults[COMPONENTS] = new Fault("components_differ", "arrays of the same parts differ in length");
        } else if (report.stated != Report.ABSENT && report.stated != report.components()) {
            faults[COMPONENTS] = new Fault("components_differ", "stated are " + report.stated);
        }
    }

    private static boolean isDeviceId(String text) {
        return !text.isEmpty() && length(text) <= MAX_DEVICE_ID_LENGTH && !UNPRINTABLE.matcher(text).find();
    }

    private static int length(String text) {
        return text.codePointCount(0, text.length());
    }

    private <T> T wrongType(int rule, String expected, JsonParser parser, T instead) throws IOException {
        faults[rule] = new Fault("wrong_type", parser.currentName() + " must be " + expected);
        parser.skipChildren();
        return instead;
    }
}
