package emberline;

import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.File;
import java.io.IOException;
import java.util.Map;

/** The limit table, by profile and {@link AlarmKind}; {@code devices} says where the profiles of a device begin. */
record Limits(Map<String, Integer> devices, Limits.Limit[][] profiles) {
    /** A level that does not exist is infinite; {@code sources} are the documents of warning and alarm. */
    record Limit(
            double warning, double alarm, double lowest, double recovery, long confirmWarningMs, long confirmAlarmMs,
            long confirmRecoveryMs, long memoryMs, long windowMs, String[] sources) {}

    static Limits load(String path) throws IOException {
        return JsonMapper.builder()
                .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
                .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
                .enable(DeserializationFeature.FAIL_ON_NULL_CREATOR_PROPERTIES)
                .build()
                .readValue(new File(path), Limits.class);
    }

    Limit[] of(String deviceId, DeviceKind kind) {
        return profiles[devices.getOrDefault(deviceId, 0) + kind.ordinal()];
    }
}
