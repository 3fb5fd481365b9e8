"""Types of answers to JSON Schema (the dialect of OpenAPI 3.1): every `TypedDict` becomes a named component."""

from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from net.gateway.shapes.scalars import Says

Schema = dict[str, Any]
_PLAIN: dict[Any, Schema] = {
    str: {"type": "string"}, int: {"type": "integer"}, bool: {"type": "boolean"}, NoneType: {"type": "null"},
    Any: {}, float: {"type": "number"},
}  # fmt: skip
REF = "#/components/schemas/"


def make_schema(shape: Any, components: dict[str, Schema], is_strict: bool = False) -> Schema:
    """The schema of a type. Named parts go into `components`. Strict: no field beyond those that the type names."""
    origin, args = get_origin(shape), get_args(shape)
    if is_typeddict(shape):
        return _named(shape, components, is_strict)
    if shape in _PLAIN:
        return dict(_PLAIN[shape])
    if origin is Annotated:
        schema = make_schema(args[0], components, is_strict)
        for says in args[1:]:
            schema |= _says(says, schema.get("type"))
        return schema
    if origin in (NotRequired, Required):
        return make_schema(args[0], components, is_strict)
    if origin is Literal:
        return {"enum": list(args)}
    if origin in (Union, UnionType):
        return _union([make_schema(arg, components, is_strict) for arg in args])
    if origin is list:
        return {"type": "array", "items": make_schema(args[0], components, is_strict)}
    if origin is tuple:
        parts = [make_schema(arg, components, is_strict) for arg in args]
        return {"type": "array", "prefixItems": parts, "items": False, "minItems": len(args), "maxItems": len(args)}
    if origin is dict and args[0] is str:
        return {"type": "object", "additionalProperties": make_schema(args[1], components, is_strict)}
    raise TypeError(f"no schema for {shape!r}")


def _union(schemas: list[Schema]) -> Schema:
    """One of them; null joins the `type` of a plain one."""
    rest = [schema for schema in schemas if schema != {"type": "null"}]
    if len(rest) == 1 and len(schemas) == 2 and isinstance(rest[0].get("type"), str) and "enum" not in rest[0]:
        return rest[0] | {"type": [rest[0]["type"], "null"]}
    return {"anyOf": schemas}


def _says(says: Says, kind: object) -> Schema:
    low_name, high_name = ("minItems", "maxItems") if kind == "array" else ("minimum", "maximum")
    pairs = {
        "description": says.text or None, "pattern": says.pattern or None, "format": says.form or None,
        low_name: says.low, high_name: says.high,
    }  # fmt: skip
    return {name: value for name, value in pairs.items() if value is not None}


def _named(shape: Any, components: dict[str, Schema], is_strict: bool) -> Schema:
    name = shape.__name__
    if name not in components:
        components[name] = {}  # a shape may hold itself
        fields = get_type_hints(shape, include_extras=True)
        components[name] = {
            "type": "object", "description": " ".join((shape.__doc__ or "").split()),
            "properties": {key: make_schema(kind, components, is_strict) for key, kind in fields.items()},
            "required": sorted(shape.__required_keys__),
        }  # fmt: skip
        if is_strict:
            components[name]["additionalProperties"] = False
    return {"$ref": REF + name}
