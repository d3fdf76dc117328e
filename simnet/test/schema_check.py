"""schema_check.py SCHEMA FILE...: which of the YAML files are not as a JSON Schema says. Words are read as editors do
(YAML 1.2: only true and false are switches)."""
import json
import re
import sys

import jsonschema
import yaml


class Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}


for tag, pattern, first in (("bool", "true|false", "tf"), ("int", "[-+]?[0-9]+", "-+0123456789"), ("null", "~|null|", ["~", "n", ""])):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), list(first))

schema = json.load(open(sys.argv[1], encoding="utf-8"))
jsonschema.Draft7Validator.check_schema(schema)
checker = jsonschema.Draft7Validator(schema)
for path in sys.argv[2:]:
    document = yaml.load(open(path, encoding="utf-8"), Loader)
    wrong = next(checker.iter_errors(document), None)
    if wrong:
        print(f"{path}: {'.'.join(map(str, wrong.absolute_path))}: {wrong.message[:200]}")
