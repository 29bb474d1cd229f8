"""What the logic of each fact and dimension is, as a fingerprint: `make logic` records it beside the logic versions.

The fingerprint is of the syntax of the table's transform and of every function and constant of `transforms` (and of the
units) that it reaches: comments, docstrings and layout do not count.
"""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from schemas.catalog import DIMENSIONS, FACTS

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "schemas" / "logic_versions.txt"
FOLLOWED = ("transforms.", "schemas.units")
"""Modules whose content is logic. What a contract says is guarded by the migrations."""

Name = tuple[str, str]
"""Module and name within it."""


@dataclass(frozen=True)
class _Module:
    """What a module defines by name, and where its imported names come from."""

    defined: dict[str, ast.stmt]
    imported: dict[str, Name]


@cache
def _module(name: str) -> _Module:
    tree = ast.parse((ROOT / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8"))
    defined: dict[str, ast.stmt] = {}
    imported: dict[str, Name] = {}
    for statement in tree.body:
        match statement:
            case ast.FunctionDef() | ast.ClassDef():
                defined[statement.name] = statement
            case ast.Assign() | ast.AnnAssign():
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                names = [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
                defined |= dict.fromkeys(names, statement)
            case ast.ImportFrom() if statement.module and statement.module.startswith(FOLLOWED):
                imported |= {alias.asname or alias.name: (statement.module, alias.name) for alias in statement.names}
    return _Module(defined, imported)


def _reached(start: Name) -> Iterator[Name]:
    """`start` and everything that it uses, directly or not."""
    seen, left = {start}, [start]
    while left:
        module, name = left.pop()
        yield module, name
        found = _module(module)
        for node in ast.walk(found.defined[name]):
            if not isinstance(node, ast.Name):
                continue
            used = (module, node.id) if node.id in found.defined else found.imported.get(node.id)
            if used is not None and used not in seen:
                seen.add(used)
                left.append(used)


def _syntax(name: Name) -> str:
    statement = ast.parse(ast.unparse(_module(name[0]).defined[name[1]]))
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(statement)


def fingerprint(module: str, function: str) -> str:
    """Of a transform."""
    parts = sorted(f"{'.'.join(name)} {_syntax(name)}" for name in _reached((module, function)))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@cache
def present() -> dict[str, tuple[int, str]]:
    """Version and fingerprint of every table as the code has them."""
    modules = {name: f"transforms.{fact.domain}.{name}" for name, fact in FACTS.items()}
    modules |= {name: f"transforms.dimensions.{name}" for name in DIMENSIONS}
    tables = FACTS | DIMENSIONS
    return {name: (tables[name].logic_version, fingerprint(module, name)) for name, module in modules.items()}


def recorded() -> dict[str, tuple[int, str]]:
    """Version and fingerprint of every table as they were recorded."""
    lines = (line.split() for line in RECORD.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return {name: (int(version), code) for name, version, code in lines}


_HEAD = """\
# The logic that each logic_version of schemas/catalog.py stands for. Written by `make logic`: see docs/add-a-fact.md.
"""

if __name__ == "__main__":
    lines = [f"{name} {version} {code}" for name, (version, code) in sorted(present().items())]
    RECORD.write_text(_HEAD + "\n".join(lines) + "\n", encoding="utf-8")
