"""The OpenAPI document is valid, and the API keeps to it when it is asked at random."""

from __future__ import annotations

import gzip
import json
import re
from functools import cache
from typing import Any

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, settings
from openapi_spec_validator import validate
from schemathesis.checks import load_all_checks
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.specs.openapi.checks import positive_data_acceptance

from planner.web.api import PREFIX
from planner.web.api.openapi import ARGUMENT, openapi_document
from planner.web.api.resources import api


@schemathesis.serializer("application/gzip")
def gzip_body(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    """Whatever was thought up, as a file that can be unpacked."""
    return gzip.compress(value if isinstance(value, bytes) else json.dumps(value).encode())


# A workbook's view is its CSV table's, which is asked; that it is written right is shown in test_workbooks.
WORKBOOK = ".xlsx"
LABELS = [
    f"{operation.method.upper()} {PREFIX}{ARGUMENT.sub(lambda found: '{' + found['name'] + '}', operation.path)}"
    for operation in api.operations
    if not operation.path.endswith(WORKBOOK)
]


@cache
def asked() -> tuple[Any, dict[str, Any]]:
    """The document as schemathesis reads it, and its operations by label; every worker collects and few come to ask."""
    schema = schemathesis.openapi.from_dict(openapi_document(api, PREFIX)).exclude(path_regex=re.escape(WORKBOOK) + "$")
    return schema, {operation.label: operation for operation in (found.ok() for found in schema.get_all_operations())}


def test_every_operation_is_asked() -> None:
    assert sorted(LABELS) == sorted(asked()[1])


def test_the_document_is_valid_openapi_3_1(client: FlaskClient) -> None:
    document = json.loads(client.get("/api/v1/openapi.json").data)
    assert document["openapi"] == "3.1.0"
    validate(document)


def test_decimals_are_strings_and_problems_have_their_own_content_type(client: FlaskClient) -> None:
    document = json.loads(client.get("/api/v1/openapi.json").data)
    amount = document["components"]["schemas"]["Price"]["properties"]["amount"]
    assert {choice["type"] for choice in amount["anyOf"]} == {"string", "null"}
    refused = document["paths"]["/api/v1/estimates"]["post"]["responses"]["422"]["content"]
    assert list(refused) == ["application/problem+json"]
    assert document["paths"]["/api/v1/estimates"]["post"]["requestBody"]["required"] is True


@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def answers_as_documented(case: schemathesis.Case, app: Flask) -> None:
    """No 500, only documented statuses, types and shapes. A request may be refused although its schema allows it:
    numbers in words ("7B"), and fields that hang together, are more than a schema can say."""
    response = case.call(app=app, base_url="http://localhost")
    case.validate_response(response, excluded_checks=[positive_data_acceptance])


@pytest.mark.filterwarnings("ignore::DeprecationWarning:schemathesis")
@pytest.mark.parametrize("label", LABELS)
def test_every_operation_answers_as_documented(label: str, app: Flask) -> None:
    """As `schema.parametrize()`, which thinks the requests up while it collects: seconds, and every worker collects."""
    load_all_checks()
    schema, operations = asked()
    build_operation_test(
        config=schema.config,
        operation=operations[label],
        test_func=answers_as_documented,
        given_kwargs={},
        feedback=FeedbackSources(),
    )(app=app)
