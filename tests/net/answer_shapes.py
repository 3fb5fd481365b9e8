"""Checks answers against the shapes of the method table, strictly."""

import json
from functools import cache
from typing import Any

import jsonschema_rs

from net.gateway.methods import METHODS
from net.gateway.schema import make_schema


def make_validator(shape: Any) -> Any:
    """Of a type; no field more than it names."""
    components: dict[str, Any] = {}
    schema = make_schema(shape, components, is_strict=True)
    return jsonschema_rs.validator_for(schema | {"components": {"schemas": components}})


def shape_faults(shape: Any, value: object) -> list[str]:
    """What is wrong with a value; one line each."""
    return _list(make_validator(shape), value)


@cache
def _validator(method: str) -> Any:
    return make_validator(METHODS[method].result)


def check_answer(method: str, text: str) -> list[str]:
    """What is wrong with the result in an answer's text; one line each."""
    return [f"{method}: {fault}" for fault in _list(_validator(method), json.loads(text)["result"])]


def _list(validator: Any, value: object) -> list[str]:
    return [f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in validator.iter_errors(value)]
