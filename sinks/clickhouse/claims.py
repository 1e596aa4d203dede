"""Who may write a partition: why every row is stored once, though workers stop, wake and overlap.

A worker may be paused anywhere, even in the middle of sending, and its successor writes before it wakes. No check on
the worker's side closes that gap; the server must refuse. A sink that takes partitions over

1. *claims* them: a row in `claims`, higher than all before, its own name in it;
2. *settles* what runs: waits until the INSERTs into these partitions that the server lists now have gone from its
   list; those that do not end soon it kills;
3. only then reads the highest offset stored.

Every INSERT carries the claims of its sink. The server lists an INSERT before it evaluates any of it, and lets it fail
unless these claims are the highest there are.

**Nothing twice.** Take an INSERT under a claim lower than the successor's. If it is evaluated after step 1, it fails.
If it was evaluated before, it was listed before step 2 looked; then it has gone, stored or not, before step 3 reads,
and the successor goes on behind it. How long its data take to arrive after it was evaluated plays no part. So the
INSERTs that store anything in a partition are ordered by their claims. Within one claim there is one at a time: a sink
that got no answer claims anew before it tries again, for the lost attempt may have yet to reach the server. What is
evaluated after all this sees all that is stored, and leaves out the rows up to the highest offset stored of their
partition. So any block may be written again, whole or in part, by anybody.

**Nothing missing.** Rows are left out only if they are stored. A sink that has lost its claim gets an error, never an
empty success, so nothing is acknowledged that is not there. It does not matter which of two workers is the group's
rightful one: the one whose claim is lower fails, and must ask for the stored offset again. Two claims of the same
height are told apart by name. An equal or late claim can at worst displace a sink, which then fails.

**Nothing lost for good.** A server that is restored from an older backup, or emptied, has forgotten rows that were
acknowledged. A sink that takes a partition over begins behind what is stored, whatever was committed. And each INSERT
carries how far its sink knows the partitions to be stored, and fails if less is: to go on would leave a hole that the
highest offset hides for ever.

This needs one server (not a balancer before several) whose list shows all INSERTs: all sinks come as one user. A server
that waits for a worker's data does not notice a kill; such an INSERT goes when `receive_timeout` ends it.
"""

from __future__ import annotations

import secrets
from typing import Any, Final, NamedTuple
from uuid import UUID

from sinks.clickhouse.service import Service, StillRunning, TakenOver
from sinks.clickhouse.wire import BlockClient

POLL_S: Final = 0.1
PATIENCE_POLLS: Final = 20
"""An INSERT of a living worker takes less than these two seconds; a kill would only make it try again."""
SETTLE_POLLS: Final = 150
"""More than `receive_timeout`: by then a killed INSERT has gone. If not, the service decides how often to try again."""

HIGHEST: Final = """
    SELECT `partition`, max(claim) AS highest FROM claims
    WHERE topic = %(topic)s AND topic_id = %(topic_id)s AND `partition` IN %(partitions)s GROUP BY `partition`
"""
_CLAIM: Final = """
    INSERT INTO claims (topic, topic_id, `partition`, claim)
    SELECT %(topic)s, %(topic_id)s, row.1, row.2 FROM (SELECT arrayJoin(%(rows)s) AS row)
"""
# An INSERT is known by its own words: table, incarnation, and '<partition>=<claim>' of each partition. Of these
# there may be 1024, and multiSearchAny takes 255; so by an expression.
_RUNNING: Final = """
    SELECT query_id FROM system.processes
    WHERE current_database = currentDatabase() AND startsWith(query, %(insert)s)
        AND position(query, %(topic_id)s) > 0 AND match(query, %(marks)s)
"""
_KILL: Final = "KILL QUERY WHERE query_id IN %(ids)s ASYNC"


class Whence(NamedTuple):
    """Partitions of one incarnation of a topic, whose rows go to one table."""

    table: str
    topic: str
    topic_id: UUID
    partitions: tuple[int, ...]

    @property
    def params(self) -> dict[str, Any]:
        return {"topic": self.topic, "topic_id": str(self.topic_id), "partitions": self.partitions}


class Claims:
    """The claims of one sink. One partition is for one thread at a time."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._name = secrets.token_hex(8)
        self._held: dict[tuple[str, UUID, int], str] = {}

    def held(self, whence: Whence) -> list[str]:
        """`<partition>=<claim>` of each partition, in the order of texts; empty if there is one we never claimed."""
        keys = [(whence.topic, whence.topic_id, partition) for partition in whence.partitions]
        return sorted(f"{key[2]}={self._held[key]}" for key in keys) if all(key in self._held for key in keys) else []

    def renew(self, client: BlockClient, whence: Whence) -> None:
        """Claim to write, not to take over: raises TakenOver if another has claimed what was ours."""
        for partition, claim in client.execute(HIGHEST, whence.params):
            if (whence.topic, whence.topic_id, partition) in self._held and not claim.endswith(self._name):
                raise TakenOver(partition)
        self.claim(client, whence)

    def claim(self, client: BlockClient, whence: Whence) -> None:
        """Become the one who may write these partitions, and let all that was begun before come to its end."""
        highest = dict(client.execute(HIGHEST, whence.params))
        turn = 1 + max((int(claim[:8], 16) for claim in highest.values()), default=0)
        claim = f"{turn:08x}-{self._name}"
        client.execute(_CLAIM, whence.params | {"rows": [(partition, claim) for partition in whence.partitions]})
        self._settle(client, whence)
        for partition in whence.partitions:
            self._held[whence.topic, whence.topic_id, partition] = claim

    def _settle(self, client: BlockClient, whence: Whence) -> None:
        asked = {
            "insert": f"INSERT INTO {whence.table} ",
            "topic_id": str(whence.topic_id),
            "marks": f"'({'|'.join(map(str, whence.partitions))})=",
        }
        running = {row[0] for row in client.execute(_RUNNING, asked)}
        for poll in range(SETTLE_POLLS):
            if not running:
                return
            if poll == PATIENCE_POLLS:
                client.execute(_KILL, {"ids": tuple(running)})
            self._service.wait(POLL_S)
            running &= {row[0] for row in client.execute(_RUNNING, asked)}
        raise StillRunning(whence.table)
