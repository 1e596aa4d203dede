package emberline;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonFactoryBuilder;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import emberline.Report.Fault;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** From a record's bytes to its reports, good and bad. */
final class Records {
    private static final int MAX_BYTES = 1_048_576, MAX_REPORTS = 1_000, MAX_NESTING = 1_024;
    private static final Set<String> NOT_FINITE = Set.of("NaN", "Infinity", "-Infinity");

    private final JsonFactory json = new JsonFactoryBuilder()
            .enable(StreamReadFeature.USE_FAST_DOUBLE_PARSER)
            .disable(JsonFactory.Feature.CHARSET_DETECTION) // it is UTF-8 or no JSON
            .streamReadConstraints(
                    StreamReadConstraints.builder().maxNestingDepth(MAX_NESTING).maxNumberLength(MAX_BYTES).build())
            .build();
    private final JsonFactory lenient =
            json.copy().enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS.mappedFeature());
    private final ReportReader reader = new ReportReader();

    /** The reports of a record; one that stands for the record if the whole of it is rejected. */
    List<Report> read(byte[] key, byte[] value, long ingestTs) {
        Fault fault = unreadable(key, value);
        if (fault != null) {
            return List.of(whole(fault));
        }
        try (JsonParser parser = json.createParser(value)) {
            List<Report> reports = reports(parser, value, ingestTs);
            return parser.nextToken() == null ? reports : List.of(whole(new Fault("not_json", "more than one value")));
        } catch (IOException error) {
            return List.of(whole(notJson(value, error)));
        }
    }

    private static Fault unreadable(byte[] key, byte[] value) {
        if (value == null || value.length == 0) {
            return new Fault("empty_record", "the record has no value; send one report or an array of reports");
        }
        if (value.length > MAX_BYTES) {
            return new Fault("record_too_large", value.length + " bytes; at most " + MAX_BYTES + " are taken");
        }
        return key != null ? null : new Fault("null_key", "the record has no key; key it by device");
    }

    private List<Report> reports(JsonParser parser, byte[] value, long ingestTs) throws IOException {
        JsonToken first = parser.nextToken();
        if (first == null) {
            return List.of(whole(new Fault("not_json", "nothing but spaces")));
        }
        if (first == JsonToken.START_ARRAY) {
            return array(parser, ingestTs);
        }
        Report report = reader.read(parser, ingestTs);
        report.end = value.length;
        report.index = first == JsonToken.START_OBJECT ? 0 : -1;
        return List.of(report);
    }

    private List<Report> array(JsonParser parser, long ingestTs) throws IOException {
        List<Report> reports = new ArrayList<>();
        int count = 0;
        for (; parser.nextToken() != JsonToken.END_ARRAY; count++) {
            int begin = (int) parser.currentTokenLocation().getByteOffset();
            Report report = reader.read(parser, ingestTs);
            report.index = count;
            report.begin = begin;
            report.end = (int) parser.currentLocation().getByteOffset();
            if (count < MAX_REPORTS) {
                reports.add(report);
            }
        }
        if (count == 0) {
            return List.of(whole(new Fault("empty_record", "the array holds no report")));
        }
        return count <= MAX_REPORTS ? reports : List.of(whole(new Fault("too_many_reports", count + " in one record")));
    }

    /** Tell NaN and Infinity, which are not JSON but which many encoders write, from plain garbage. */
    private Fault notJson(byte[] value, IOException error) {
        try (JsonParser parser = lenient.createParser(value)) {
            for (JsonToken token = parser.nextToken(); token != null; token = parser.nextToken()) {
                if (token == JsonToken.VALUE_NUMBER_FLOAT && NOT_FINITE.contains(parser.getText())) {
                    return new Fault("not_finite", parser.getText() + " is not a value");
                }
            }
        } catch (IOException alsoNoJson) {
            // As the caller has found.
        }
        return new Fault("not_json", "not valid JSON: " + error.getMessage());
    }

    private static Report whole(Fault fault) {
        Report report = new Report();
        report.fault = fault;
        report.index = -1;
        return report;
    }
}
