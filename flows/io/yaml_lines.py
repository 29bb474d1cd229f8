"""Where in a YAML file something stands, for messages."""

from collections.abc import Iterable

import yaml


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
