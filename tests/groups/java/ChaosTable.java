import java.util.Collection;
import java.util.Map;

/**
 * What the members of one group tell of themselves, and ask. A call returns when the table has it: what a member told
 * before it answered the broker is in the table before the broker can give its partitions to another.
 */
interface ChaosTable {
    /** Partitions that the group gave to the member. */
    void gained(Collection<Integer> partitions);

    /** Partitions that it has no more; expelled: it was told so too late to give them up. */
    void gaveUp(Collection<Integer> partitions, boolean wasExpelled);

    /** Offsets whose commit was acknowledged. */
    void acknowledged(Map<Integer, Long> offsets);

    /** What was read, by partition: offsets from the first to the last of each range. */
    void read(int partition, long first, long last);

    /** Offsets that were acknowledged to some member, by partition. */
    Map<Integer, Long> known();

    void fail(String why);
}
