"""schemas/asyncapi.yaml says what the code does: topics, fields, ranges, words, examples."""

from __future__ import annotations

import ast
import base64
import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import numpy as np
import orjson
import pytest
import yaml
from jsonschema import Draft7Validator, ValidationError
from jsonschema.validators import extend
from msgspec import structs

from cli.rejects.remembered import SENDING, SENT, ReplayNote
from cli.rejects.stored import REPLAY_OF, RejectId
from common.errors import OperatorError
from common.settings import Settings
from detectors import device_status
from detectors.checkpoints.encode import encode
from detectors.checkpoints.layout import TEXT, beginning_of, key_of
from detectors.checkpoints.restore import restore_all
from detectors.messages import alarm_message, named
from detectors.registered import KnownDevice
from detectors.state import PartitionState
from early_warning.table import RULES
from schemas import report_rules, reports
from schemas.actions import MUTED_MOST_MS, ActionKind, AlarmAction, AlarmVerdict
from schemas.alarm_kinds import AlarmKind
from schemas.charging_sessions import ChargingSession
from schemas.commands import Command, CommandKind
from schemas.control import (
    BAD_CONTROL,
    BODY_MOST,
    COMMAND,
    CONTROL,
    KEY_ID,
    MAC,
    ORDERS_MOST,
    TIME_HEADERS,
    TIME_KEY,
    ControlRecord,
    Order,
    Orders,
    is_control,
    opened_control,
    signed,
)
from schemas.control_keys import ControlKeys
from schemas.device_requests import EXPIRES_MS, DeviceRequest, RequestKind, request_id
from schemas.events import (
    Aggregate,
    Alarm,
    AlarmEvent,
    ControlOutcome,
    DeviceStatus,
    Outcome,
    Severity,
    Status,
    alarm_id,
)
from schemas.limit_sections import LEVELS, NUMBERS
from schemas.notices import Notice, notice_id
from schemas.quantities import DEVICE_KINDS, MAX_COMPONENTS, QUANTITIES, Quantity
from schemas.records import Records
from schemas.registry import LIMITS_KEY, ChangeNumber, ComponentEntry, DeviceEntry, LimitsEntry, UnitProtectors
from schemas.rejects import GATEWAY, MAX_GATEWAY_LENGTH, NOT_JUDGED, RejectEvent
from schemas.report_rules import Fault, Reason
from schemas.topics import TOPICS, Topic
from services.registry.limits.checking import check_alone
from services.registry.limits.rows import KeptSetting
from streams.seals import opened
from streams.sink import STORED

SCHEMAS: Final = Path(__file__).parents[2] / "schemas"
API: Final[dict[str, Any]] = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text(encoding="utf-8"))
MESSAGES: Final[dict[str, dict[str, Any]]] = API["components"]["messages"]
SHAPES: Final[dict[str, dict[str, Any]]] = API["components"]["schemas"]
CHANNEL_OF: Final[dict[str, dict[str, Any]]] = {channel["address"]: channel for channel in API["channels"].values()}
EVENTS: Final[dict[str, Any]] = {
    "alarm": Alarm,
    "aggregate": Aggregate,
    "deviceStatus": DeviceStatus,
    "controlOutcome": ControlOutcome,
    "deviceRequest": DeviceRequest,
    "chargingSession": ChargingSession,
    "notice": Notice,
}
NOW: Final = 1_790_000_100_000
NAMES: Final = [quantity.name for quantity in QUANTITIES]
NO_TEXT: Final = r"^[^\p{C}\p{Z}]+$"
"""The one pattern that Python's `re` cannot read: no character of the categories Other and Separator."""


def is_like(_: object, pattern: str, value: object, __: object) -> Iterator[ValidationError]:
    """The keyword `pattern`."""
    if isinstance(value, str):
        printable = bool(value) and all(unicodedata.category(letter)[0] not in "CZ" for letter in value)
        if not (printable if pattern == NO_TEXT else re.search(pattern, value)):
            yield ValidationError(f"{value!r} is not like {pattern}")


VALIDATOR: Final = extend(Draft7Validator, {"pattern": is_like})  # type: ignore[no-untyped-call]
"""AsyncAPI's schemas are those of JSON Schema's draft 7."""


def accepts(where: str, value: Any) -> bool:
    """Whether the value is what the schema says that stands there in the document."""
    return bool(VALIDATOR(API | {"$ref": f"#/{where}"}).is_valid(value))


def resolve(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a `$ref` inside the document leads to, or the node itself."""
    while "$ref" in node:
        found: Any = API
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = found
    return node


def all_references(node: Any) -> Iterator[str]:
    """Every `$ref` of the document."""
    if isinstance(node, dict):
        yield from [node["$ref"]] if "$ref" in node else []
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from all_references(child)


def all_schemas(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A schema and those within."""
    yield schema
    within = [schema.get(word) for word in ("items", "additionalProperties", "propertyNames")]
    within += [*schema.get("properties", {}).values(), *schema.get("anyOf", []), *schema.get("oneOf", [])]
    for one in within:
        if isinstance(one, dict):
            yield from all_schemas(one)


def examples_of(message: str) -> list[Any]:
    return [pytest.param(example, id=f"{message}-{example['name']}") for example in MESSAGES[message]["examples"]]


def property_of(shape: str, name: str) -> Mapping[str, Any]:
    return resolve(SHAPES[shape]["properties"][name])


def record_of(value: bytes) -> Records:
    return Records("emberline.telemetry", 3, np.array([7]), np.array([NOW]), [b"key"], [value], [[]])


def report_with(**changed: Any) -> dict[str, Any]:
    return {"v": 1, "device_id": "LY-1", "device_kind": "electrical_monitor", "event_ts": NOW, **changed}


def remarks_on(report: dict[str, Any]) -> set[str]:
    """What the code remarks on a report: why it is rejected, its notes, its values that are none."""
    reading = report_rules.read(report, NOW)
    if isinstance(reading, Fault):
        return {reading.reason}
    absent = {mark.reason.label for mark in reading.marks if mark.reason is not Reason.NOT_FITTED}
    unsaid = {"device_kind": "unknown_device_kind", "event_ts": "no_clock"}
    return (set(reading.notes) | absent) - {note for name, note in unsaid.items() if report.get(name) is None}


def agree_on(report: dict[str, Any]) -> bool:
    """Whether the report is read without a remark, which schema and code must see alike."""
    by_schema = accepts("components/schemas/report", report)
    assert by_schema == (not remarks_on(report)), (report, remarks_on(report))
    return by_schema


def nodes_of_reports() -> Iterator[ast.AST]:
    """What schemas/ says of reports."""
    for name in ("report_rules.py", "report_json.py", "reports.py"):
        yield from ast.walk(ast.parse((SCHEMAS / name).read_text(encoding="utf-8")))


OF_BATCHES: Final = {"batch_too_large", "unreadable_batch"}
"""Reasons of records whose batch could not be unpacked, which is where a worker takes them in."""


def fields_read_by_reports() -> set[str]:
    """The literal names that are got out of a parsed report."""
    found = set()
    for node in nodes_of_reports():
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="report"), attr="get"), args=[ast.Constant(value=str(name))]
            ):
                found.add(name)
            case ast.Subscript(value=ast.Name(id="report"), slice=ast.Constant(value=str(name))):
                found.add(name)
    return found


def reasons_of_rejects() -> frozenset[str]:
    """The literal first arguments of `Fault(...)`, and the reasons of reports that are not judged."""
    return (
        NOT_JUDGED
        | OF_BATCHES
        | {BAD_CONTROL}
        | {
            node.args[0].value
            for node in nodes_of_reports()
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "Fault"
            and isinstance(node.args[0], ast.Constant)
            and isinstance(node.args[0].value, str)
        }
    )


def test_the_document_is_asyncapi_3_and_every_reference_leads_somewhere() -> None:
    assert API["asyncapi"] == "3.0.0"
    for reference in all_references(API):
        assert resolve({"$ref": reference}), reference


def test_no_schema_has_a_keyword_that_would_be_passed_over() -> None:
    known = VALIDATOR.META_SCHEMA["properties"].keys()
    keys = [resolve(one["bindings"])["kafka"]["key"] for one in MESSAGES.values()]
    texts = [one[part] for one in MESSAGES.values() for part in ("payload", "headers") if part in one]
    for schema in (one for root in (*SHAPES.values(), *keys, *texts) for one in all_schemas(resolve(root))):
        VALIDATOR.check_schema(schema, format_checker=None)
        assert schema.keys() <= known


def test_every_topic_is_a_channel_and_nothing_else_is() -> None:
    assert list(CHANNEL_OF) == [topic.name for topic in TOPICS]


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_channel_has_the_settings_of_its_topic(topic: Topic) -> None:
    kafka = CHANNEL_OF[topic.name]["bindings"]["kafka"]
    told = {name: value[0] if isinstance(value, list) else value for name, value in kafka["topicConfiguration"].items()}
    assert {name: str(value) for name, value in told.items()} == topic.settings
    assert kafka["topic"] == topic.name
    assert (kafka["partitions"], kafka["replicas"]) == (Settings().partitions, Settings().replication)


def test_the_server_is_where_kafka_is_sought_by_default() -> None:
    assert API["servers"]["kafka"]["host"] == Settings().kafka


def test_consumer_groups_are_those_of_the_default_prefix() -> None:
    groups = {
        group
        for binding in API["components"]["operationBindings"].values()
        for group in binding["kafka"]["groupId"]["enum"]
    }
    assert groups == {f"{Settings().group}-detect", f"{Settings().group}-sink"}


def test_emberline_sends_and_receives_on_every_topic() -> None:
    done = {(resolve(operation["channel"])["address"], operation["action"]) for operation in API["operations"].values()}
    assert done == {(topic.name, action) for topic in TOPICS for action in ("send", "receive")}


def test_sink_workers_read_what_they_store() -> None:
    read = {
        resolve(operation["channel"])["address"]
        for operation in API["operations"].values()
        if "bindings" in operation and "sink" in str(resolve(operation["bindings"]))
    }
    assert read == {topic.name for topic in STORED}


@pytest.mark.parametrize("name", API["operations"])
def test_an_operation_carries_the_messages_of_its_channel(name: str) -> None:
    operation = API["operations"][name]
    messages = resolve(operation["channel"])["messages"].values()
    assert [resolve(one) for one in operation["messages"]] == [resolve(one) for one in messages]


def test_a_report_has_the_fields_that_are_read_and_all_quantities() -> None:
    properties = list(SHAPES["report"]["properties"])
    assert set(properties) == fields_read_by_reports() | set(NAMES)
    assert properties[-len(NAMES) :] == NAMES


def test_a_report_requires_what_the_code_requires() -> None:
    good = {name: report_with()[name] for name in SHAPES["report"]["required"]}
    assert agree_on(good)
    for name in good:
        without = {key: value for key, value in good.items() if key != name}
        assert not agree_on(without)
        assert remarks_on(without) == {"missing_field"}


@pytest.mark.parametrize("quantity", QUANTITIES, ids=lambda quantity: quantity.name)
def test_a_quantity_has_the_range_and_sentinel_of_the_code(quantity: Quantity) -> None:
    items = property_of("report", quantity.name)["items"]
    possible, *sentinel = items.get("anyOf", [items])
    assert (possible["minimum"], possible["maximum"]) == (min(quantity.low, quantity.zero_from), quantity.high)
    assert [one["const"] for one in sentinel] == ([] if quantity.absent is None else [quantity.absent])
    assert property_of("report", quantity.name)["maxItems"] == MAX_COMPONENTS
    assert quantity.label in property_of("report", quantity.name)["description"]


@pytest.mark.parametrize("quantity", QUANTITIES, ids=lambda quantity: quantity.name)
def test_schema_and_code_take_the_same_values_of_a_quantity(quantity: Quantity) -> None:
    low, high = min(quantity.low, quantity.zero_from), quantity.high
    good = [[low], [high], [low, high], [], None, [None, high], [(low + high) / 2] * MAX_COMPONENTS]
    bad: list[Any] = [
        [np.nextafter(low, -np.inf).item()],
        [np.nextafter(high, np.inf).item()],
        [low] * (MAX_COMPONENTS + 1),
    ]
    bad += [["1"], [True], ["NaN"], high, {}]
    assert all(agree_on(report_with(**{quantity.name: value})) for value in good)
    assert not any(agree_on(report_with(**{quantity.name: value})) for value in bad)
    assert quantity.absent is None or agree_on(report_with(**{quantity.name: [quantity.absent]}))


GOOD_FIELDS: Final[list[tuple[str, Any]]] = [
    *(
        ("device_id", "x" * report_rules.MAX_DEVICE_ID_LENGTH),
        ("device_id", "电-1"),
        ("device_kind", "circuit_breaker"),
    ),
    *(("event_ts", NOW), ("event_ts", NOW + 0.5), ("event_ts", None), ("device_kind", None)),
    *(("seq", 0), ("seq", report_rules.MAX_SEQ), ("seq", None)),
    *(("test", True), ("test", None), ("components", 0), ("components", None), ("unknown", {"a": [1]})),
    *(("faults", None), ("faults", []), ("faults", ["x" * report_rules.MAX_FAULT_LENGTH] * report_rules.MAX_FAULTS)),
]
BAD_FIELDS: Final[list[tuple[str, Any]]] = [
    *(("v", 2), ("v", "1"), ("v", True), ("v", None), ("device_id", ""), ("device_id", 5), ("device_id", None)),
    *(("device_id", "x" * (report_rules.MAX_DEVICE_ID_LENGTH + 1)), ("device_id", "a b"), ("device_id", "a\u3000b")),
    *(("device_id", "a\n"), ("device_kind", "toaster"), ("device_kind", 1), ("event_ts", "2026-01-01")),
    *(("event_ts", [NOW]), ("event_ts", True), ("seq", -1), ("seq", 1.5), ("seq", "7")),
    *(("seq", report_rules.MAX_SEQ + 1), ("test", 1), ("test", "no"), ("components", -1), ("components", True)),
    *(("components", len(NAMES) * MAX_COMPONENTS + 1), ("faults", "x"), ("faults", [1])),
    *(("faults", [""] * (report_rules.MAX_FAULTS + 1)), ("faults", ["x" * (report_rules.MAX_FAULT_LENGTH + 1)])),
]


@pytest.mark.parametrize(("name", "value"), GOOD_FIELDS)
def test_schema_and_code_both_take_it(name: str, value: Any) -> None:
    assert agree_on(report_with(**{name: value}))


@pytest.mark.parametrize(("name", "value"), BAD_FIELDS)
def test_schema_and_code_both_remark_on_it(name: str, value: Any) -> None:
    assert not agree_on(report_with(**{name: value}))


def test_the_limits_of_a_record_are_those_of_the_code() -> None:
    _, array = MESSAGES["report"]["payload"]["oneOf"]
    assert (array["minItems"], array["maxItems"]) == (1, report_rules.MAX_REPORTS_PER_RECORD)
    assert "1 MiB" in MESSAGES["report"]["description"]
    assert report_rules.MAX_RECORD_BYTES == 2**20
    told = property_of("report", "event_ts")["description"]
    assert f"{report_rules.BEHIND_MS // 86_400_000} days" in told
    assert f"{report_rules.AHEAD_MS} ms" in told


def test_the_axes_that_agree_in_length_are_told() -> None:
    for kind in DEVICE_KINDS:
        assert all(f"`{name}`" in MESSAGES["report"]["description"] for name in kind.axis)


@pytest.mark.parametrize(
    ("shape", "name", "words"),
    [
        ("report", "device_kind", [*(kind.name for kind in DEVICE_KINDS), None]),
        ("alarm", "device_kind", [kind.name for kind in DEVICE_KINDS]),
        ("alarm", "event", list(AlarmEvent)),
        ("alarm", "severity", list(Severity)),
        ("alarm", "severity_label", [severity.label for severity in Severity]),
        ("alarm", "kind", list(AlarmKind)),
        ("alarm", "quantity", list(dict.fromkeys(kind.quantity for kind in AlarmKind))),
        ("deviceStatus", "status", list(Status)),
        ("controlOutcome", "outcome", list(Outcome)),
        ("command", "kind", list(CommandKind)),
        ("deviceRequest", "kind", list(RequestKind)),
        ("rejectHeaders", "emberline.reason", sorted(reasons_of_rejects())),
    ],
)
def test_an_enum_has_the_words_of_the_code(shape: str, name: str, words: list[object]) -> None:
    assert property_of(shape, name)["enum"] == words


def test_aggregates_are_of_all_quantities() -> None:
    assert property_of("aggregate", "quantities")["propertyNames"]["enum"] == NAMES


def test_a_registry_entry_has_the_fields_and_headers_of_the_code() -> None:
    entries = (
        *(("deviceEntry", DeviceEntry), ("componentEntry", ComponentEntry), ("limitsEntry", LimitsEntry)),
        ("unitProtectors", UnitProtectors),
    )
    for name, entry in entries:
        assert list(SHAPES[name]["properties"]) == list(entry.__struct_fields__)
    (example,) = MESSAGES["deviceEntry"]["examples"]
    assert DeviceEntry.from_json(msgspec.json.encode(example["payload"])).components[0].phase == "A"
    change = ChangeNumber("registry", 1_790_000_000_000, 17)
    assert {name: value.decode() for name, value in change.to_headers()} == example["headers"]
    assert SHAPES["changeHeaders"]["required"] == list(example["headers"])


def test_limits_have_the_key_settings_and_bounds_of_the_code() -> None:
    message = MESSAGES["limitsEntry"]
    assert message["bindings"]["kafka"]["key"]["const"].encode() == LIMITS_KEY
    assert list(SHAPES["limitSection"]["properties"]) == [*LEVELS, *NUMBERS]
    level = KeptSetting(5, "张三", 1, "x").told("alarm")
    assert list(SHAPES["limitLevel"]["properties"]) == list(level)
    (example,) = message["examples"]
    assert orjson.loads(LimitsEntry.from_json(orjson.dumps(example["payload"])).to_json()) == example["payload"]
    (device,) = MESSAGES["deviceEntry"]["examples"]
    for sections in (
        device["payload"]["limits"],
        example["payload"]["default"],
        *example["payload"]["place_kinds"].values(),
    ):
        for kind, section in sections.items():
            check_alone(AlarmKind(kind), section)
            assert accepts("components/schemas/limitSection", section)


def test_an_action_has_the_fields_words_and_bounds_of_the_code() -> None:
    code = msgspec.json.schema(AlarmAction)["$defs"]
    for shape, name in (("alarmAction", "AlarmAction"), ("seenEvent", "SeenEvent")):
        told = code[name]
        assert list(SHAPES[shape]["properties"]) == list(told["properties"])
        assert SHAPES[shape]["required"] == told["required"]
        for field, one in told["properties"].items():
            bounds = {
                word: one[word] for word in ("minimum", "maximum", "minLength", "maxLength", "pattern") if word in one
            }
            assert field == "device_id" or bounds.items() <= property_of(shape, field).items(), field
    assert property_of("alarmAction", "kind")["enum"] == list(ActionKind)
    assert property_of("alarmAction", "verdict")["enum"] == list(AlarmVerdict)
    for labels, field in ((ActionKind, "kind"), (AlarmVerdict, "verdict")):
        assert ", ".join(one.label for one in labels) in property_of("alarmAction", field)["description"]
    assert f"{MUTED_MOST_MS // 3_600_000} h" in property_of("alarmAction", "until_ts")["description"]


@pytest.mark.parametrize("example", examples_of("alarmAction"))
def test_an_example_of_an_action_is_read_and_written_back_the_same(example: dict[str, Any]) -> None:
    action = AlarmAction.from_json(orjson.dumps(example["payload"]))
    assert orjson.loads(action.to_json()) == example["payload"]
    assert ChangeNumber.from_headers([(name, one.encode()) for name, one in example["headers"].items()]).number > 0


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_has_the_fields_types_and_bounds_of_the_code(name: str) -> None:
    definitions = msgspec.json.schema(EVENTS[name])["$defs"]
    told = definitions[EVENTS[name].__name__]
    assert list(SHAPES[name]["properties"]) == list(told["properties"])
    # What was added later is not in the events of releases before.
    assert SHAPES[name]["required"] == told["required"]
    for field, code in told["properties"].items():
        assert said(property_of(name, field)) == said(code), field
    for field, code in definitions.get("Statistics", {}).get("properties", {}).items():
        array = property_of("statistics", field)
        assert (array["type"], array["maxItems"]) == (code["type"], code["maxItems"]), field
        assert said(array["items"]) == said(code["items"]), field


def said(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What a schema says of types and bounds; which words and steps there are is told by the document only."""
    found = {word: schema[word] for word in ("minimum", "maximum") if word in schema}
    if "enum" in schema and schema["type"] == "integer":
        found = {"minimum": min(schema["enum"]), "maximum": max(schema["enum"])}
    return found | {"type": schema["type"] if "type" in schema else [one["type"] for one in schema["anyOf"]]}


def test_a_reject_has_the_headers_of_the_code_and_requires_those_that_are_always_there() -> None:
    names = [field.encode_name for field in structs.fields(RejectEvent)]
    assert list(SHAPES["rejectHeaders"]["properties"]) == names
    event = RejectEvent("not_json", "", "emberline.telemetry", 3, 7, -1, NOW)
    assert SHAPES["rejectHeaders"]["required"] == [name for name, _ in event.to_headers([])]
    fullest = dict(
        structs.replace(event, reports=600, cut=70_000, generation=3, source_topic_id=str(UUID(int=7))).to_headers([])
    )
    assert list(fullest) == names
    texts = {name: (value or b"").decode() for name, value in fullest.items()}
    assert accepts("components/schemas/rejectHeaders", texts)


def test_the_faults_of_a_status_name_every_finding_of_the_code() -> None:
    told = property_of("deviceStatus", "faults")["description"]
    lines = [line for line in str(device_status.__doc__).splitlines() if line.startswith("    ")]
    findings = [word for line in lines for word in line[4:].split("   ")[0].split(", ") if word]
    assert len(findings) > 15
    assert [word for word in findings if f"`{word.rstrip(',')}`" not in told] == []
    assert property_of("deviceStatus", "faults")["maxItems"] == report_rules.MAX_FAULTS + device_status.MAX_NOTES
    longest = "unknown_quantity:" + "x" * report_rules.MAX_NAME_LENGTH
    assert len(longest) <= property_of("deviceStatus", "faults")["items"]["maxLength"]
    sensors = [Reason.SENTINEL, Reason.IMPOSSIBLE, Reason.NOT_A_NUMBER, Reason.NOT_FINITE, Reason.NOT_FITTED]
    assert all(reason.label in told for reason in sensors)


def test_a_note_of_a_replay_has_the_fields_states_and_key_of_the_code() -> None:
    shape = SHAPES["replay"]
    assert list(shape["properties"]) == shape["required"] == list(ReplayNote.__struct_fields__)
    assert shape["properties"]["state"]["enum"] == [SENDING, SENT]
    key = "components/messages/replay/bindings/kafka/key"
    assert accepts(key, RejectId(UUID(int=1), 3, 7).full)
    assert list(MESSAGES["report"]["headers"]["properties"]) == [GATEWAY, REPLAY_OF]
    assert MESSAGES["report"]["headers"]["properties"][GATEWAY]["maxLength"] == MAX_GATEWAY_LENGTH


@pytest.mark.parametrize("example", examples_of("replay"))
def test_a_replay_example_is_read_and_written_back_the_same(example: dict[str, Any]) -> None:
    assert ReplayNote.from_json(orjson.dumps(example["payload"])).to_json() == orjson.dumps(example["payload"])


@pytest.mark.parametrize(
    "changed", [{"v": 2}, {"v": None}, {"state": "lost"}, {"offset": -1}, {"offset": "7"}, {"at": None}]
)
def test_a_note_of_a_replay_that_is_none_of_this_version_is_told(changed: dict[str, Any]) -> None:
    (example,) = MESSAGES["replay"]["examples"]
    with pytest.raises(OperatorError, match=r"emberline\.replays holds what this version cannot read"):
        ReplayNote.from_json(orjson.dumps(example["payload"] | changed))
    assert not accepts("components/schemas/replay", example["payload"] | changed)


@pytest.mark.parametrize("name", MESSAGES)
def test_the_examples_of_a_message_are_what_its_schema_says(name: str) -> None:
    message, where = MESSAGES[name], f"components/messages/{name}"
    assert message["examples"]
    for example in message["examples"]:
        assert accepts(f"{where}/payload", example["payload"])
        assert "headers" not in message or accepts(f"{where}/headers", example.get("headers", {}))


@pytest.mark.parametrize("example", examples_of("report"))
def test_a_report_example_is_decoded_without_rejects(example: dict[str, Any]) -> None:
    payload = example["payload"]
    decoded, rejects = reports.decode(record_of(orjson.dumps(payload)))
    assert rejects == []
    assert len(decoded) == (len(payload) if isinstance(payload, list) else 1)


def test_the_report_examples_show_every_kind_of_device_and_every_field() -> None:
    payloads = [example["payload"] for example in MESSAGES["report"]["examples"]]
    shown = [report for payload in payloads for report in (payload if isinstance(payload, list) else [payload])]
    assert {report["device_kind"] for report in shown} == {kind.name for kind in DEVICE_KINDS}
    assert set().union(*shown) == SHAPES["report"]["properties"].keys()


@pytest.mark.parametrize(
    ("name", "example"), [(name, one["payload"]) for name in EVENTS for one in MESSAGES[name]["examples"]]
)
def test_an_event_example_is_read_and_written_back_the_same(name: str, example: dict[str, Any]) -> None:
    event = EVENTS[name].from_json(orjson.dumps(example))
    assert orjson.loads(event.to_json()) == example


@pytest.mark.parametrize("example", examples_of("alarm"))
def test_an_alarm_example_has_the_id_and_message_that_the_code_gives(example: dict[str, Any]) -> None:
    alarm = Alarm(**example["payload"])
    kind, event, severity = AlarmKind(alarm.kind), AlarmEvent(alarm.event), Severity(alarm.severity)
    assert alarm.alarm_id == alarm_id(alarm.device_id, alarm.component, alarm.kind, alarm.episode, alarm.test)
    assert alarm.severity_label == severity.label
    known = KnownDevice(alarm.device_id, unit_name=alarm.unit_name, place=alarm.place)
    assert alarm.message == alarm_message(
        *(kind, event, severity, named(alarm.device_id, known), alarm.component),
        *(alarm.value, alarm.limit, alarm.baseline, alarm.test, alarm.late),
    )


@pytest.mark.parametrize("example", examples_of("deviceRequest"))
def test_a_request_example_has_the_id_and_the_time_that_the_code_gives(example: dict[str, Any]) -> None:
    request = DeviceRequest(**example["payload"])
    about = request.alarm_id or f"{request.device_id}\n{request.ingest_ts}\n{request.source_offset}\n0"
    assert request.request_id == request_id(request.kind, about)
    assert request.expires_ts == request.ingest_ts + EXPIRES_MS
    assert f"{EXPIRES_MS // 1000} s after" in property_of("deviceRequest", "expires_ts")["description"]


@pytest.mark.parametrize("example", examples_of("notice"))
def test_a_notice_example_has_the_id_label_and_sentence_that_the_code_gives(example: dict[str, Any]) -> None:
    notice = Notice(**example["payload"])
    about = (notice.rule, notice.device_id, notice.quantity, notice.component, notice.hour_ts)
    assert notice.notice_id == notice_id(*about)
    (rule,) = (rule for rule in RULES if rule.name == notice.rule)
    assert (rule.label, rule.advice) == (notice.rule_label, notice.advice)
    assert notice.message.endswith(rule.sentence(notice.evidence))


@pytest.mark.parametrize("example", examples_of("reject"))
def test_a_reject_example_is_what_decoding_its_bytes_says(example: dict[str, Any]) -> None:
    headers = [(name, text.encode()) for name, text in example["headers"].items()]
    event = RejectEvent.from_headers(headers)
    assert event.to_headers([]) == headers
    _, (reject,) = reports.decode(record_of(example["payload"].encode()))
    assert (event.reason, event.detail) == reject.fault
    assert (event.source_index == -1) == (reject.index == -1)


@pytest.mark.parametrize("example", examples_of("checkpoint"))
def test_a_checkpoint_example_is_restored(example: dict[str, Any]) -> None:
    # After a change of layout, take a new one from detectors.checkpoints.encode and streams.seals.
    key, value = b"0YG-000007", base64.b64decode(example["payload"])
    assert key.decode() in example["summary"]
    row = opened(key, value, base64.b64decode(example["headers"]["topic_ids"]))
    state = PartitionState()
    assert restore_all(state, {key: row.value}).aside == {}
    assert row.epoch > 0
    assert state.device_ids == ["YG-000007"]
    assert list(encode(state, [0])) == [(key, row.value)]


@pytest.mark.parametrize("example", examples_of("layout"))
def test_the_layout_example_is_that_of_this_release(example: dict[str, Any]) -> None:
    # After a change of layout, take a new one from detectors.checkpoints.layout.TEXT.
    assert orjson.dumps(example["payload"]) == TEXT
    assert accepts("components/messages/layout/bindings/kafka/key", key_of(beginning_of(TEXT)).decode())


def test_a_record_of_time_is_what_the_code_takes_for_one() -> None:
    told = MESSAGES["time"]
    headers = [(name, one["const"].encode()) for name, one in told["headers"]["properties"].items()]
    assert headers == list(TIME_HEADERS)
    assert told["bindings"]["kafka"]["key"]["const"].encode() == TIME_KEY
    assert is_control(b"", headers)
    assert told["payload"]["type"] == "null"


def test_a_command_has_the_fields_of_the_code() -> None:
    told = msgspec.json.schema(Command)["$defs"]["Command"]
    assert list(SHAPES["command"]["properties"]) == list(told["properties"])
    assert SHAPES["command"]["required"] == told["required"]
    assert all(kind.label in property_of("command", "kind")["description"] for kind in CommandKind)
    for example in MESSAGES["command"]["examples"]:
        assert orjson.loads(Command.from_json(orjson.dumps(example["payload"])).to_json()) == example["payload"]


def test_a_control_record_has_the_fields_and_bounds_of_the_code_and_its_example_a_true_mac() -> None:
    assert list(SHAPES["control"]["properties"]) == SHAPES["control"]["required"] == list(Orders.__struct_fields__)
    orders = property_of("control", "orders")
    assert (orders["maxItems"], orders["items"]["maxItems"]) == (ORDERS_MOST, len(Order.__struct_fields__))
    assert f"after {BODY_MOST} letters" in orders["items"]["description"]
    (example,) = MESSAGES["control"]["examples"]
    assert list(example["headers"]) == MESSAGES["control"]["headers"]["required"] == [CONTROL, KEY_ID, MAC]
    keys, telemetry_id = ControlKeys.of(f"k1 {'5a' * 32}"), UUID("0b7d9a5c-6c1e-4f5f-9d2a-3a8f1f2f6c11")
    held = msgspec.convert(example["payload"], Orders)
    record = signed(held, COMMAND, telemetry_id, 3, keys)
    assert record.key.decode() == MESSAGES["control"]["bindings"]["kafka"]["key"]["const"]
    assert base64.b64encode(dict(record.headers)[MAC] or b"").decode() == example["headers"][MAC]
    records = record_of(record.value)._replace(keys=[record.key], headers=[record.headers])
    assert opened_control(records, 0, telemetry_id, keys) == ControlRecord(7, NOW, "command", "k1", held)
