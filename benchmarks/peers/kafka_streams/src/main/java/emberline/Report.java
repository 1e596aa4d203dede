package emberline;

/** One report of a record, or what is wrong with it. */
final class Report {
    static final int VERSION = 1;
    static final long ABSENT = Long.MIN_VALUE;
    static final int MAX_COMPONENTS = 64;

    /** Why it is rejected: a stable reason to count by, and a detail that a person can act on. */
    record Fault(String reason, String detail) {}

    Fault fault;
    /** Its place in its record, -1 where it stands for the whole record, and where its bytes are. */
    int index;
    int begin;
    int end;

    long version = ABSENT;
    String deviceId;
    DeviceKind kind;
    long eventTs = ABSENT;
    long seq = ABSENT;
    long stated = ABSENT;
    boolean test;
    /** By quantity one value a component, or null. */
    final double[][] values = new double[Quantity.ALL.length][];

    /** By what its device's state is kept; a line break is in no device's name. */
    String key() {
        return test ? deviceId + "\ntest" : deviceId;
    }

    int components() {
        int total = 0;
        for (double[] one : values) {
            total += one == null ? 0 : one.length;
        }
        return total;
    }
}
