package emberline;

import java.io.IOException;
import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * The rules on Kafka Streams. Its arguments: brokers, topic of telemetry, group, folder for the state, file of limits,
 * topics of alarms, aggregates and rejects, and whether the state is {@code stored}.
 */
final class App {
    /** A reject may be as large as a record of the telemetry topic. */
    private static final int LARGEST_BYTES = 17 * 1_048_576;
    private static final int CACHE_BYTES = 128 * 1_048_576;

    private App() {}

    public static void main(String[] given) throws IOException {
        Limits limits = Limits.load(given[4]);
        boolean stored = given[8].equals("stored");
        Topology topology = new Topology()
                .addSource("telemetry", new ByteArrayDeserializer(), new ByteArrayDeserializer(), given[1])
                .addProcessor("detect", () -> new Detect(limits, stored), "telemetry");
        if (stored) {
            topology.addStateStore(store(limits), "detect");
        }
        addSink(topology, Detect.ALARMS, given[5]);
        addSink(topology, Detect.AGGREGATES, given[6]);
        addSink(topology, Detect.REJECTS, given[7]);
        run(new KafkaStreams(topology, settings(given[0], given[2], given[3])));
    }

    private static StoreBuilder<KeyValueStore<String, Device>> store(Limits limits) {
        KeyValueBytesStoreSupplier rocksDb = Stores.persistentKeyValueStore(Detect.STORE);
        return Stores.keyValueStoreBuilder(rocksDb, Serdes.String(), new DeviceSerde(limits)).withCachingEnabled();
    }

    private static void addSink(Topology topology, String name, String topic) {
        topology.addSink(name, topic, new ByteArraySerializer(), new ByteArraySerializer(), "detect");
    }

    private static Properties settings(String kafka, String group, String folder) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, kafka);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, group);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, folder);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1_000);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, CACHE_BYTES);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.FETCH_MAX_WAIT_MS_CONFIG), 50);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 5);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 262_144);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.MAX_REQUEST_SIZE_CONFIG), LARGEST_BYTES);
        return settings;
    }

    private static void run(KafkaStreams streams) {
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1); // the runner sees that it ended, and reads why
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(10))));
        streams.start();
    }
}
