"""As much of JSON Schema as asyncapi.yaml uses; a keyword it does not know is an error, never passed over."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]
NO_TEXT: Final = r"^[^\p{C}\p{Z}]+$"
"""The one pattern that Python's `re` cannot read: no character of the categories Other and Separator."""
TYPES: Final[dict[str, Callable[[Any], bool]]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) in (int, float),
}
ANNOTATIONS: Final = {"description", "format"}


def resolve(document: Schema, schema: Schema) -> Schema:
    """What a `$ref` inside the document points to, or the schema itself."""
    while "$ref" in schema:
        found: Any = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        schema = found
    return schema


def accepts(document: Schema, schema: Schema, value: Any) -> bool:
    """Whether the value is what the schema says."""
    schema = resolve(document, schema)
    return all(_KEYWORDS[word](document, schema, value) for word in schema.keys() - ANNOTATIONS)


def _is_of_type(document: Schema, schema: Schema, value: Any) -> bool:
    names = schema["type"]
    return any(TYPES[name](value) for name in ([names] if isinstance(names, str) else names))


def _is_like(document: Schema, schema: Schema, value: Any) -> bool:
    if not isinstance(value, str):
        return True
    if schema["pattern"] == NO_TEXT:
        return bool(value) and all(unicodedata.category(letter)[0] not in "CZ" for letter in value)
    return re.search(schema["pattern"], value) is not None


def _has_good_properties(document: Schema, schema: Schema, value: Any) -> bool:
    if not isinstance(value, dict):
        return True
    known = schema.get("properties", {})
    return all(accepts(document, known[name], value[name]) for name in known.keys() & value.keys())


def _has_good_others(document: Schema, schema: Schema, value: Any) -> bool:
    rule = schema["additionalProperties"]
    others = value.keys() - schema.get("properties", {}).keys() if isinstance(value, dict) else set()
    return rule is True or not others or (rule is not False and all(accepts(document, rule, value[n]) for n in others))


def _numeric(value: Any) -> bool:
    return type(value) in (int, float)


_KEYWORDS: Final[dict[str, Callable[[Schema, Schema, Any], bool]]] = {
    "type": _is_of_type,
    "pattern": _is_like,
    "properties": _has_good_properties,
    "additionalProperties": _has_good_others,
    "enum": lambda _, schema, value: value in schema["enum"],
    "const": lambda _, schema, value: bool(value == schema["const"]),
    "minimum": lambda _, schema, value: not _numeric(value) or value >= schema["minimum"],
    "maximum": lambda _, schema, value: not _numeric(value) or value <= schema["maximum"],
    "multipleOf": lambda _, schema, value: not _numeric(value) or value % schema["multipleOf"] == 0,
    "minLength": lambda _, schema, value: not isinstance(value, str) or len(value) >= schema["minLength"],
    "maxLength": lambda _, schema, value: not isinstance(value, str) or len(value) <= schema["maxLength"],
    "minItems": lambda _, schema, value: not isinstance(value, list) or len(value) >= schema["minItems"],
    "maxItems": lambda _, schema, value: not isinstance(value, list) or len(value) <= schema["maxItems"],
    "required": lambda _, schema, value: not isinstance(value, dict) or set(schema["required"]) <= value.keys(),
    "items": lambda document, schema, value: (
        not isinstance(value, list) or all(accepts(document, schema["items"], one) for one in value)
    ),
    "propertyNames": lambda document, schema, value: (
        not isinstance(value, dict) or all(accepts(document, schema["propertyNames"], name) for name in value)
    ),
    "anyOf": lambda document, schema, value: any(accepts(document, one, value) for one in schema["anyOf"]),
    "oneOf": lambda document, schema, value: (
        [accepts(document, one, value) for one in schema["oneOf"]].count(True) == 1
    ),
}
