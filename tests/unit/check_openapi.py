#!/usr/bin/python3
"""What hearthd prints of itself agrees with what stands in the tree: the routes with api/openapi.yaml, the
configuration with packaging/hearthd.conf.example and docs/configuration.md.  Usage: check_openapi.py HEARTHD ROOT"""
import pathlib
import subprocess
import sys

import yaml

VERBS = ("get", "post", "put", "patch", "delete")


def printed(hearthd, option):
    return subprocess.run([hearthd, option], capture_output=True, text=True, check=True).stdout


def table(text):
    """"METHOD PATH ROLE QUERY" lines -> {(method, path): (role, query parameters)}"""
    rows = [line.split(" ") for line in text.splitlines()]
    return {(m, p): (role, set(filter(None, query.split(",")))) for m, p, role, query in rows}


def contract(spec):
    found = {}
    for path, item in spec["paths"].items():
        for verb in VERBS:
            if verb in item:
                op = item[verb]
                query = {p["name"] for p in op.get("parameters", []) if p.get("in") == "query"}
                found[verb.upper(), path] = (op["x-role"], query)
    return found


def compare(name, have, want):
    problems = [f"{name}: {' '.join(k)}: only in hearthd" for k in have.keys() - want.keys()]
    problems += [f"{name}: {' '.join(k)}: only in the contract" for k in want.keys() - have.keys()]
    problems += [f"{name}: {' '.join(k)}: hearthd {have[k]}, contract {want[k]}"
                 for k in have.keys() & want.keys() if have[k] != want[k]]
    return problems


def main(hearthd, root):
    root = pathlib.Path(root)
    spec = yaml.safe_load((root / "api/openapi.yaml").read_text())
    problems = compare("api/openapi.yaml", table(printed(hearthd, "--print-routes")), contract(spec))
    if printed(hearthd, "--print-config") != (root / "packaging/hearthd.conf.example").read_text():
        problems.append("packaging/hearthd.conf.example: differs from hearthd --print-config")
    if printed(hearthd, "--help-config") not in (root / "docs/configuration.md").read_text():
        problems.append("docs/configuration.md: its tables differ from hearthd --help-config")
    print("\n".join(problems) or f"{len(contract(spec))} routes and the configuration agree")
    return 1 if problems else 0


sys.exit(main(*sys.argv[1:]))
