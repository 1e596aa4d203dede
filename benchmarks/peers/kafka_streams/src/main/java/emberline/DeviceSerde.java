package emberline;

import java.nio.BufferOverflowException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serializer;

/** A device as the bytes that the store and its changelog hold. Of use to one thread, for it writes to one buffer. */
final class DeviceSerde implements Serde<Device> {
    private final Limits limits;
    private ByteBuffer buffer = ByteBuffer.allocate(16_384);

    DeviceSerde(Limits limits) {
        this.limits = limits;
    }

    @Override
    public Serializer<Device> serializer() {
        return (topic, device) -> device == null ? null : bytesOf(device);
    }

    @Override
    public Deserializer<Device> deserializer() {
        return (topic, bytes) -> bytes == null ? null : deviceOf(ByteBuffer.wrap(bytes));
    }

    private byte[] bytesOf(Device device) {
        while (true) {
            try {
                buffer.clear();
                byte[] id = device.id.getBytes(StandardCharsets.UTF_8);
                buffer.putShort((short) id.length).put(id);
                buffer.put((byte) device.kind.ordinal()).put((byte) (device.test ? 1 : 0));
                device.write(buffer);
                return Arrays.copyOf(buffer.array(), buffer.position());
            } catch (BufferOverflowException tooSmall) {
                buffer = ByteBuffer.allocate(2 * buffer.capacity());
            }
        }
    }

    private Device deviceOf(ByteBuffer from) {
        byte[] id = new byte[from.getShort()];
        from.get(id);
        DeviceKind kind = DeviceKind.ALL[from.get()];
        Device device = new Device(new String(id, StandardCharsets.UTF_8), kind, from.get() != 0, limits);
        device.read(from);
        return device;
    }
}
