from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from ocibuild.errors import InvalidDocument
from ocibuild.oci import Digest, mediatypes, validate

SCHEMAS = Path(__file__).parents[3] / "schemas"
DESCRIPTOR = {"mediaType": mediatypes.OCI_MANIFEST, "digest": str(Digest.of(b"")), "size": 0}


@pytest.mark.parametrize("name", ["config", "descriptor", "index", "layout", "manifest"])
def test_a_schema_is_a_schema(name: str) -> None:
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:ocibuild:schema:{name}"


def test_a_layout_names_its_version() -> None:
    validate({"imageLayoutVersion": "1.0.0"}, "layout", what="oci-layout")
    with pytest.raises(InvalidDocument, match=r"^oci-layout: imageLayoutVersion: '1\.0\.0' was expected$"):
        validate({"imageLayoutVersion": "2.0.0"}, "layout", what="oci-layout")
    with pytest.raises(InvalidDocument, match=r"^oci-layout: 'imageLayoutVersion' is a required property$"):
        validate({}, "layout", what="oci-layout")


def test_a_descriptor_may_have_its_blob_inside() -> None:
    validate({**DESCRIPTOR, "data": "e30="}, "descriptor", what="descriptor")
    with pytest.raises(InvalidDocument, match=r"data: '\{\}' does not match"):
        validate({**DESCRIPTOR, "data": "{}"}, "descriptor", what="descriptor")


@pytest.mark.parametrize("document", [None, [], "text", 5, 1.5], ids=repr)
def test_what_is_no_object_is_refused(document: object) -> None:
    with pytest.raises(InvalidDocument, match="is not of type 'object'"):
        validate(document, "descriptor", what="descriptor")


def test_a_long_fault_is_told_in_few_words() -> None:
    with pytest.raises(InvalidDocument) as caught:
        validate({**DESCRIPTOR, "size": ["x"] * 100_000}, "descriptor", what="descriptor")
    assert len(str(caught.value)) < 300


def test_names_and_values_are_imported_without_what_validation_needs() -> None:
    program = (
        "import sys; from ocibuild.oci import *; Reference.parse('a'); Platform.parse('linux/arm64');"
        "config = ImageConfig(Platform.host()).to_bytes(validated=False); ImageConfig.from_bytes(config, trusted=True);"
        "print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "ocibuild.oci.reference" in loaded
    assert not loaded & {"jsonschema", "referencing", "importlib.resources", "asyncio", "requests", "tarfile"}
