"""Cards and targets: read from their files and checked, file by file."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from flows.io.yaml_lines import line_of
from schemas.errors import MetricError
from schemas.metric import Card, Target

CARDS = Path(__file__).parents[2] / "schemas" / "metrics"
OWN = "metrics"
"""Folder of a home with cards and targets of its own."""


@dataclass(frozen=True, slots=True)
class LoadedCard:
    """A card and its file."""

    card: Card
    file: Path

    def place(self, *path: str) -> str:
        """File and line of something in it, for messages."""
        return f"{self.file}:{_line(self.file, path)}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the files say; `errors` are those of files and lines left out, `refused` the metrics whose cards are."""

    cards: tuple[LoadedCard, ...]
    targets: tuple[Target, ...]
    errors: tuple[MetricError, ...]
    refused: frozenset[str]


def load(home: Path) -> Loaded:
    """Every card (`*.yaml`) and target (lines of `*.csv`), those that come along and those of a home."""
    folders = (CARDS, home / OWN)
    cards: dict[str, LoadedCard] = {}
    targets: dict[tuple[object, ...], Target] = {}
    errors: list[MetricError] = []
    refused: set[str] = set()
    for file in _files(folders, "*.yaml"):
        try:
            loaded = load_card(file)
            _refuse_twice(loaded, cards.values())
            cards[loaded.card.metric] = loaded
        except MetricError as error:
            errors.append(error)
            refused.add(file.stem)
    for file in _files(folders, "*.csv"):
        for line, content in _lines(file, errors):
            try:
                target = _target(content, f"{file}:{line}", cards)
            except MetricError as error:
                errors.append(error)
                continue
            key = (target.metric, target.scope, target.scope_id, target.period, target.valid_from)
            if key in targets:
                errors.append(
                    MetricError("a target is given twice", where=f"{file}:{line}", remedy="leave one of them out")
                )
            targets.setdefault(key, target)
    return Loaded(tuple(cards.values()), tuple(targets.values()), tuple(errors), frozenset(refused - cards.keys()))


def load_card(file: Path) -> LoadedCard:
    """One card.

    Raises:
        MetricError: It says something that cannot be; the message names file and line.
    """
    try:
        card = Card.model_validate(yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else str(file)
        raise MetricError(
            f"no YAML: {getattr(error, 'problem', error)}", where=where, remedy="mend the line"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        said = first["msg"].removeprefix("Value error, ")
        path = ".".join(str(part) for part in first["loc"])
        raise MetricError(
            f"{path}: {said}" if path else said,
            where=f"{file}:{_line(file, first['loc'])}",
            remedy="docs/metrics.md says what a card may say",
        ) from error
    loaded = LoadedCard(card, file)
    if card.metric != file.stem:
        what = f"metric: {card.metric!r} is not the file's name"
        raise MetricError(what, where=loaded.place("metric"), remedy="rename one of them")
    return loaded


def _line(file: Path, path: Iterable[int | str]) -> int:
    # Most cards are good, so that lines are looked for only where one is not.
    return line_of(yaml.compose(file.read_bytes(), Loader=yaml.CSafeLoader), path)


def _files(folders: Iterable[Path], pattern: str) -> list[Path]:
    return [file for folder in folders for file in sorted(folder.glob(pattern))]


def _refuse_twice(loaded: LoadedCard, others: Iterable[LoadedCard]) -> None:
    card = loaded.card
    for other in others:
        if other.card.metric == card.metric:
            what = f"there are two cards of {card.metric!r}"
        elif card.headline is not None and other.card.headline == card.headline:
            what = f"headline: {card.headline} is the place of {other.card.metric!r}"
        else:
            continue
        raise MetricError(what, where=f"{loaded.file}, {other.file}", remedy="change one of them")


def _lines(file: Path, errors: list[MetricError]) -> list[tuple[int, dict[str, str]]]:
    """Lines of a target file, with their numbers; in Excel's separators, too."""
    remedy = f"the header is {','.join(Target.model_fields)}"
    try:
        text = file.read_text(encoding="utf-8-sig")
        rows = csv.DictReader(text.splitlines(), delimiter=";" if ";" in text.partition("\n")[0] else ",")
        if unknown := set(rows.fieldnames or ()) - set(Target.model_fields):
            errors.append(MetricError(f"unknown column {min(unknown)!r}", where=f"{file}:1", remedy=remedy))
            return []
        return [(rows.line_num, row) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        errors.append(MetricError(f"the targets cannot be read: {error}", where=str(file), remedy=remedy))
        return []


def _target(content: dict[str, str], where: str, cards: dict[str, LoadedCard]) -> Target:
    try:
        target = Target.model_validate({name: (value or "").strip() for name, value in content.items() if name})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        said = first["msg"].removeprefix("Value error, ")
        column = ".".join(str(part) for part in first["loc"])
        raise MetricError(f"{column}: {said}" if column else said, where=where, remedy="mend the line") from error
    if target.metric not in cards:
        raise MetricError(f"there is no metric {target.metric!r}", where=where, remedy="name one that has a card")
    if target.scope not in cards[target.metric].card.scopes:
        raise MetricError(
            f"{target.metric} is not shown by {target.scope}", where=where, remedy="name one of the card's scopes"
        )
    return target
