"""Finds keys that a text in YAML or JSON has twice, of which a parser would keep the last."""

from __future__ import annotations

import yaml


def repeated_key(text: str) -> str | None:
    """The first key that one mapping has twice, with its place; None if there is none.

    Nothing of the text is constructed, so that its aliases cannot make it large. Raises the errors
    of `yaml.compose`.

    >>> repeated_key("{q: {mean: 0, sd: 1, mean: 2}}")
    'q.mean (line 1)'
    """
    waiting = [(yaml.compose(text, Loader=yaml.SafeLoader), "")]
    seen = set()
    while waiting:
        node, path = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += [(inner, path) for inner in node.value]
        elif isinstance(node, yaml.MappingNode):
            names = set()
            for key, value in node.value:
                place = f"{path}.{key.value}".lstrip(".") if key.id == "scalar" else path
                if key.id == "scalar" and key.value in names:
                    return f"{place} (line {key.start_mark.line + 1})"
                names.add(key.value if key.id == "scalar" else None)
                waiting += [(key, path), (value, place)]
    return None
