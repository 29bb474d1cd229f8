"""YAML as people write it: nothing given twice, every error with its line."""

from collections.abc import Iterable
from typing import Any

import yaml


class _Loader(yaml.CSafeLoader):
    """Marks every value that cannot be, and every key that comes twice, of which YAML would take the last."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, _ in node.value:
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value} is given twice", key.start_mark)
                seen.add(str(key.value))
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, ArithmeticError, AttributeError) as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error


def load(content: bytes | str) -> Any:
    """What a document says.

    Raises:
        yaml.YAMLError: It is no YAML, or says what cannot be (30 February), or a key twice.
    """
    return yaml.load(content, Loader=_Loader)  # noqa: S506 - a safe loader


def line_of(node: yaml.Node | None, path: Iterable[int | str]) -> int:
    """Line, from 1, of the deepest part of `path` that the composed file has."""
    line = 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = [pair for pair in node.value if pair[0].value == str(part)]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line
