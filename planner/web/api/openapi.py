"""The OpenAPI 3.1 document, drawn from the layer's operations and from the types that they answer with."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, TypeAdapter

from planner.version import code_version
from planner.web.api.layer import MARK, UPLOAD_TYPES, Api, Operation
from planner.web.errors import PROBLEM_TYPE

REFERENCE = "#/components/schemas/{model}"
ARGUMENT = re.compile(r"<(?:(?P<converter>[^:<>]+):)?(?P<name>[^<>]+)>")
DESCRIPTIONS = {
    400: "The request cannot be read, or a form is out of date",
    401: "A token is needed, or the one that was sent does not count",
    403: "From another machine or another site, or beyond what the token may do",
    404: "There is nothing under that name or id",
    409: "The change clashes with what is there now",
    412: "It has changed since its ETag was read",
    413: "The body is larger than what is read",
    415: "The body is of another type than those named",
    421: "Asked under a name that is not this machine's",
    422: "One or more fields cannot be used; `errors` names each and what would be right",
    429: "The token asks too often; Retry-After says when it may again",
    503: "The database cannot be used at the moment",
}
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A key of your own, kept for a week: the same request under it is answered the same and done once.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
}
BYTE_ORDER_MARK = {
    "name": MARK,
    "in": "query",
    "required": False,
    "description": "Begin with a byte order mark, by which Excel knows a file that it opens for UTF-8.",
    "schema": {"type": "boolean", "default": False},
}
LINK = {
    "description": 'The address of the next page, `<…>; rel="next"`; absent on the last one.',
    "schema": {"type": "string"},
}
IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The ETag that was read: refused with 412 where somebody has changed it since.",
    "schema": {"type": "string", "pattern": '^"[!#-~]{1,100}"$'},
}
SECURITY_SCHEMES = {
    "token": {"type": "http", "scheme": "bearer", "description": "A token of `planner tokens add`."},
    "password": {"type": "http", "scheme": "basic", "description": "The same token as password, under any name."},
}
PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details, with the same sentences that the pages show.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
ABOUT = (
    "Times are ISO 8601 in UTC. Money and other exact numbers are decimal strings; quantities are JSON numbers in SI "
    "units (seconds, bytes, joules, watts, FLOP/s) unless their field says otherwise. Unknown is null, never 0. "
    "GET answers carry an ETag and honour If-None-Match. Unknown fields and repeated parameters are refused."
)


def openapi_document(api: Api, prefix: str) -> dict[str, Any]:
    """The document of every operation under `prefix`."""
    schemas, components = _schemas(api)
    paths: dict[str, dict[str, Any]] = {}
    for operation in api.operations:
        path = prefix + ARGUMENT.sub(lambda match: "{" + match["name"] + "}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "GPU Planner",
            "version": code_version().partition("+")[0],
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in api.operations)],
        "paths": paths,
        "components": {"schemas": {**components, "Problem": PROBLEM}, "securitySchemes": SECURITY_SCHEMES},
        "security": [{}, *({name: []} for name in SECURITY_SCHEMES)],  # {}: on the machine of the service itself
    }


def _schemas(api: Api) -> tuple[dict[Any, Any], dict[str, Any]]:
    """The schema of every answer and body by (operation name, "answer" or "body"), and what they refer to."""
    adapters: list[tuple[Any, Any, TypeAdapter[Any]]] = []
    for operation in api.operations:
        if operation.answers is not None:
            adapters.append(((operation.name, "answer"), "serialization", TypeAdapter(operation.answers)))
        if operation.body is not None:
            adapters.append(((operation.name, "body"), "validation", TypeAdapter(operation.body)))
    found, definitions = TypeAdapter.json_schemas(adapters, ref_template=REFERENCE)
    return {key: schema for (key, _mode), schema in found.items()}, definitions.get("$defs", {})


def _operation(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    parameters = [_path_parameter(match) for match in ARGUMENT.finditer(operation.path)]
    if operation.query is not None:
        parameters += query_parameters(operation.query)
    if operation.is_table:
        parameters.append(BYTE_ORDER_MARK)
    if operation.takes_key:
        parameters.append(IDEMPOTENCY_KEY)
    if operation.takes_match:
        parameters.append(IF_MATCH)
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": _responses(operation, schemas),
    }
    if operation.description:
        described["description"] = operation.description
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schemas[operation.name, "body"]}},
        }
    if operation.upload:
        described["requestBody"] = {"required": True, "content": {name: {} for name in UPLOAD_TYPES}}
    return described


def _path_parameter(match: re.Match[str]) -> dict[str, Any]:
    converter = match["converter"] or ""
    whole = converter.startswith("int")
    schema = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1} if whole else {"type": "string", "maxLength": 100}
    return {"name": match["name"], "in": "path", "required": True, "schema": schema}


def query_parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    """One parameter per field of the model."""
    schema = model.model_json_schema(mode="validation")
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", []),
            "schema": _inlined(field, schema.get("$defs", {})),
        }
        for name, field in schema["properties"].items()
    ]


def _inlined(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The field's schema without null, which a query cannot say, and without references."""
    if "$ref" in field:
        found: dict[str, Any] = definitions[field["$ref"].rpartition("/")[2]]
        return found
    if "anyOf" in field:
        choices = [_inlined(choice, definitions) for choice in field["anyOf"] if choice.get("type") != "null"]
        rest = {key: value for key, value in field.items() if key not in ("anyOf", "default")}
        return {**rest, **choices[0]} if len(choices) == 1 else {**rest, "anyOf": choices}
    return field


def _responses(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    done: dict[str, Any] = {"description": HTTPStatus(operation.status).phrase}
    if operation.answers is not None:
        done["content"] = {operation.content_type: {"schema": schemas[operation.name, "answer"]}}
    if operation.location:
        done["headers"] = {"Location": {"schema": {"type": "string", "format": "uri-reference"}, "required": True}}
    responses = {str(operation.status): done}
    if operation.also is not None:
        plain = {name: part for name, part in done.items() if name != "headers"}
        responses[str(operation.also)] = {**plain, "description": HTTPStatus(operation.also).phrase}
    if operation.method == "GET":
        done.setdefault("headers", {})["ETag"] = {"schema": {"type": "string"}}
        if operation.query is not None and "after" in operation.query.model_fields:
            done["headers"]["Link"] = LINK
        responses["304"] = {"description": "Not changed since the ETag in If-None-Match"}
    for status in sorted({*operation.problems, *_usual_problems(operation)}):
        responses[str(status)] = {
            "description": DESCRIPTIONS[status],
            "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    return responses


def _usual_problems(operation: Operation) -> set[int]:
    usual = {401, 403, 421, 422, 429, 503}
    if "<" in operation.path:
        usual.add(404)
    if operation.body is not None:
        usual |= {400, 415}
    if operation.upload:
        usual |= {413, 415}
    if operation.takes_key:
        usual.add(409)
    if operation.takes_match:
        usual.add(412)
    return usual
