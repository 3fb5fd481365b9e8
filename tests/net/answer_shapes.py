"""Checks answers against the shapes of the method table, strictly."""

import json
from functools import cache
from typing import Any

import jsonschema_rs

from net.gateway.methods import METHODS
from net.gateway.schema import make_schema


@cache
def _validator(method: str) -> Any:
    components: dict[str, Any] = {}
    schema = make_schema(METHODS[method].result, components, is_strict=True)
    return jsonschema_rs.validator_for(schema | {"components": {"schemas": components}})


def check_answer(method: str, text: str) -> list[str]:
    """What is wrong with the result in an answer's text; one line each."""
    errors = _validator(method).iter_errors(json.loads(text)["result"])
    return [f"{method}: {'/'.join(map(str, error.instance_path))}: {error.message}" for error in errors]
