"""Objects against schemas: the custom resources' own, and those of Kubernetes itself.

The API server drops what a schema does not know, and so takes a misspelt field for an absent one.
"""

import functools
import os
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError

from distributed_hbt.errors import ConfigError
from k8s.check.finding import Finding
from k8s.check.manifests import ROOT, Manifests, Object

KUBERNETES = "1.33"
"""Version whose schemas the objects of Kubernetes itself are held against; newer ones accept these too."""

FORM = "schema"
"""The rule that objects have the form of their kind."""

_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_METADATA = {
    "type": "object",
    "properties": {
        **{name: {"type": "string"} for name in ("name", "generateName", "namespace")},
        "labels": _TEXTS,
        "annotations": _TEXTS,
        "finalizers": {"type": "array", "items": {"type": "string"}},
        "creationTimestamp": {"type": ["string", "null"]},
    },
    "additionalProperties": False,
}


def schema_folder() -> Path:
    """Where the custom resources' definitions lie. Raises ConfigError where there are none."""
    default = Path(os.environ.get("HBT_SHARED") or ROOT.parent / "shared") / "schemas"
    folder = Path(os.environ.get("HBT_SCHEMAS") or default)
    if not folder.is_dir():
        what = f"no schemas at {folder}"
        remedy = (
            "put the CustomResourceDefinitions of KubeRay 1.7 and Kueue 0.19 into folders below it, or set "
            "HBT_SCHEMAS to where they are"
        )
        raise ConfigError("HBT_SCHEMAS", what, remedy)
    return folder


def strict(schema: Any) -> Any:
    """An OpenAPI schema of a CustomResourceDefinition as a JSON schema that knows no other fields."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: strict(value) for key, value in schema.items() if key != "properties"}
    properties = schema.get("properties")
    if properties is not None:
        result["properties"] = {
            name: _METADATA if name == "metadata" and value.get("type") == "object" else strict(value)
            for name, value in properties.items()
        }
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            result.setdefault("additionalProperties", False)
        defaulted = {name for name, value in properties.items() if "default" in value}
        result["required"] = [name for name in schema.get("required", []) if name not in defaulted]
    if schema.get("nullable") and isinstance(schema.get("type"), str):
        result["type"] = [schema["type"], "null"]
    return result


@functools.cache
def _custom_schemas(folder: Path) -> dict[tuple[str, str], Draft7Validator]:
    """By apiVersion and kind. Raises ConfigError for a file that is no CustomResourceDefinition."""
    found = {}
    for file in sorted(folder.glob("*/*.yaml")):
        text = file.read_text(encoding="utf-8")
        content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        if content.get("kind") != "CustomResourceDefinition":
            raise ConfigError(str(file), "is no CustomResourceDefinition", "take it out of HBT_SCHEMAS")
        group, kind = content["spec"]["group"], content["spec"]["names"]["kind"]
        for version in content["spec"]["versions"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            found[f"{group}/{version['name']}", kind] = Draft7Validator(schema)
    return found


def check_schemas(manifests: Manifests) -> Iterator[Finding]:
    """Every object against the schema of its kind."""
    custom = _custom_schemas(schema_folder())
    for one in manifests.objects:
        validator = custom.get((one["apiVersion"], one["kind"]))
        errors = _core_errors(one) if validator is None else sorted(validator.iter_errors(one), key=str)
        for error in errors:
            path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.absolute_path)[1:]
            what = error.message if len(error.message) < 200 else f"{error.message[:200]} ..."
            yield manifests.finding(FORM, one, path or "the object", what, "correct the field")


def _core_errors(one: Object) -> list[ValidationError]:
    import kubernetes_validate

    try:
        kubernetes_validate.validate(deepcopy(one), KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [error]
    except kubernetes_validate.SchemaNotFoundError:
        return [ValidationError(f"nothing is known of {one['kind']} in {one['apiVersion']}")]
    return []
