"""`python -m embedded.kafka`: Apache Kafka in the foreground, one broker or three on this machine.

This is the real thing, in KRaft mode, each broker a controller too: what a verdict on loss, rebalance or latency
takes, where `embedded.broker` will not do. It needs Java 17 and, once, Maven, which fetches the jars that
`deploy/kafka/pom.xml` lists.

    with open_cluster(data_dir, log_dir, brokers=3) as cluster:
        cluster.brokers[0].kill()
        cluster.brokers[0].start()

Not obvious:

- Between us and each broker stands a guard of a few lines of shell, which kills the broker at the end of its own
  standard input, so when we are gone (see `embedded.manners`). It works from every thread, where PR_SET_PDEATHSIG would
  end a broker with the thread that happened to start it; and it needs no `preexec_fn`, which can deadlock in a process
  with threads.
- The brokers find each other by `controller.quorum.voters`, which is in their properties and not in the data, so that
  every start may choose other ports.
- With two of three brokers gone there is no controller, so nobody takes them out of the in-sync replicas: a producer
  with acks=all then waits until its time is up, and sees NotEnoughReplicas only if a controller is left.
- A broker that was killed comes back once its old session has ended, up to 9 s later, as in production.
"""

from embedded.kafka.brokers import Broker, Cluster
from embedded.kafka.cluster import LARGEST_BATCH_BYTES, open_cluster

__all__ = ["LARGEST_BATCH_BYTES", "Broker", "Cluster", "open_cluster"]
