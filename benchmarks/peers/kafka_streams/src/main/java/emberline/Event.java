package emberline;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonFactoryBuilder;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamWriteFeature;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.json.JsonMapper;

/** What follows from reports. */
sealed interface Event permits Alarm, Aggregate {
    JsonFactory FAST = new JsonFactoryBuilder().enable(StreamWriteFeature.USE_FAST_DOUBLE_WRITER).build();
    ObjectWriter JSON =
            JsonMapper.builder(FAST).propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE).build().writer();

    String deviceId();

    default byte[] toJson() {
        try {
            return JSON.writeValueAsBytes(this);
        } catch (JsonProcessingException error) {
            throw new IllegalStateException(error); // records of numbers and texts can be written
        }
    }
}
