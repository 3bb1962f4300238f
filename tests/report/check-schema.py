#!/usr/bin/env python3
"""docs/scenario.schema.json accepts what the rig accepts and refuses what it refuses, by a validator of its own.

Usage: check-schema.py SOURCE_ROOT
"""
import json
import pathlib
import re
import sys

try:
    import tomllib
except ImportError:  # Python 3.10 and older
    print("no tomllib here")
    sys.exit(77)

ROOT = pathlib.Path(sys.argv[1])
KINDS = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}


def problems(value, schema, where="file"):
    """What JSON Schema (draft 7) says against `value`, for the keywords that the schema uses."""
    unknown = set(schema) - {"$schema", "title", "description", "type", "enum", "anyOf", "minimum", "maximum", "minLength", "pattern", "items",
                             "properties", "patternProperties", "additionalProperties", "required"}
    assert not unknown, f"the schema uses {unknown}, which this test does not know"
    if "anyOf" in schema:
        ways = [problems(value, way, where) for way in schema["anyOf"]]
        return [] if [] in ways else ways[0]
    kind = KINDS[schema["type"]]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        return [f"{where} is no {schema['type']}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where} is none of its words")
    if kind is int and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        found.append(f"{where} is out of range")
    if kind is str and (len(value) < schema.get("minLength", 0) or not re.search(schema.get("pattern", ""), value)):
        found.append(f"{where} has another form")
    for i, item in enumerate(value if kind is list else []):
        found += problems(item, schema.get("items", {}), f"{where}[{i}]")
    if kind is dict:
        found += [f"{where} lacks {key}" for key in schema.get("required", []) if key not in value]
        for key, child in value.items():
            ways = [schema["properties"][key]] if key in schema.get("properties", {}) else \
                   [way for pattern, way in schema.get("patternProperties", {}).items() if re.search(pattern, key)]
            found += problems(child, ways[0], f"{where}.{key}") if ways else [f"{where} has an unknown key {key}"]
    return found


schema = json.loads((ROOT / "docs/scenario.schema.json").read_text())
errors, files = [], 0
for path in sorted((ROOT / "scenarios").rglob("*.toml")):
    files += 1
    errors += [f"{path}: {text}" for text in problems(tomllib.loads(path.read_text()), schema)]

good = tomllib.loads((ROOT / "scenarios/seed/c7-reserve-holder-rescheduled.toml").read_text())
for change in ({"nmae": "x"}, {"schema": 2}, {"claims": ["C9"]}, {"expect": "fail"}, {"expect": {"violation": "INV-99"}},
               {"guest": {"cpus": 5}}, {"guest": {"scheme": "fixd"}}, {"guest": {"cach_pages": 1}}, {"guest": {"ram": "16 M"}},
               {"guest": {"depth": {"device": True}}}, {"threads": {"1A": {"program": ["spin"]}}}, {"threads": {"A": {}}},
               {"run": {"schedule": "run"}}, {"run": {"check": "instructions"}}, {"variants": {"v": {"name": "x"}}}, {"check": {"allways": []}}):
    if not problems(good | change, schema):
        errors.append(f"the schema accepts {change}")
for change in ({"guest": {"ram": "16M", "repair": "proposed"}}, {"expect": "pass"}, {"variants": {"v": {"guest": {"cpus": 4}}}},
               {"guest": {"depth": {"device": "10K", "nmi": 512}}}):
    errors += problems(good | change, schema)
if files < 30:
    errors.append(f"only {files} scenarios: is this the source root?")
print("\n".join(errors[:20]) or f"{files} scenarios are valid")
sys.exit(bool(errors))
