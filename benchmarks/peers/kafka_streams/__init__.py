"""The rules on Kafka Streams, in Java: `pom.xml` lists its jars, `src` holds it, `build` makes and starts it."""
