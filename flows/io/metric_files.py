"""Cards and targets: read from their files and checked, file by file."""

import csv
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from flows.io import yaml_lines
from schemas.errors import MetricError
from schemas.metric import Card, MisplacedError, Target

CARDS = Path(__file__).parents[2] / "schemas" / "metrics"
OWN = "metrics"
"""Folder of a home with cards and targets of its own."""

Aim = tuple[str, str, str, str]
"""What a target is for: metric, scope, member, period."""


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
    """What the files say; what is refused stays as the mart has it.

    `errors` are those of files and lines left out, `refused` the metrics whose cards are, `refused_aims` what lines are
    for that are; None where a file cannot be read: any of the mart's targets may be from there.
    """

    cards: tuple[LoadedCard, ...]
    targets: tuple[Target, ...] = ()
    errors: tuple[MetricError, ...] = ()
    refused: frozenset[str] = frozenset()
    refused_aims: frozenset[Aim] | None = frozenset()


def load(home: Path) -> Loaded:
    """Every card (`*.yaml`) and target (lines of `*.csv`), those that come along and those of a home."""
    folders = (CARDS, home / OWN)
    cards: dict[str, LoadedCard] = {}
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
    refused -= cards.keys()
    targets, aims = _targets(_files(folders, "*.csv"), cards, refused, errors)
    return Loaded(tuple(cards.values()), targets, tuple(errors), frozenset(refused), aims)


def load_card(file: Path) -> LoadedCard:
    """One card.

    Raises:
        MetricError: It says something that cannot be; the message names file and line.
    """
    try:
        card = Card.model_validate(yaml_lines.load(file.read_bytes()))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else str(file)
        raise MetricError(
            f"no good YAML: {getattr(error, 'problem', error)}", where=where, remedy=f"mend the line; {_STAYS}"
        ) from error
    except ValidationError as error:
        said, path = _first(error)
        raise MetricError(
            said, where=f"{file}:{_line(file, path)}", remedy=f"docs/metrics.md says what a card may say; {_STAYS}"
        ) from error
    loaded = LoadedCard(card, file)
    if card.metric != file.stem:
        what = f"metric: {card.metric!r} is not the file's name"
        raise MetricError(what, where=loaded.place("metric"), remedy="rename one of them")
    return loaded


_STAYS = "until then the metric and its targets stay as they were"


def _first(error: ValidationError) -> tuple[str, tuple[int | str, ...]]:
    """The first thing that is wrong, in words, and where."""
    first = error.errors(include_url=False)[0]
    misplaced = first.get("ctx", {}).get("error")
    path = misplaced.path if isinstance(misplaced, MisplacedError) else first["loc"]
    said = first["msg"].removeprefix("Value error, ")
    return ": ".join(part for part in (".".join(map(str, path)), said) if part), path


def _line(file: Path, path: Iterable[int | str]) -> int:
    # Most cards are good, so that lines are looked for only where one is not.
    return yaml_lines.line_of(yaml.compose(file.read_bytes(), Loader=yaml.CSafeLoader), path)


def _files(folders: Iterable[Path], pattern: str) -> list[Path]:
    return [file for folder in folders for file in sorted(folder.glob(pattern))]


def _refuse_twice(loaded: LoadedCard, others: Iterable[LoadedCard]) -> None:
    card = loaded.card
    for other in others:
        if other.card.metric == card.metric:
            what, where = f"there are two cards of {card.metric!r}; the other is {other.file}", "metric"
        elif card.headline is not None and other.card.headline == card.headline:
            what, where = f"headline: {card.headline} is the place of {other.card.metric!r} ({other.file})", "headline"
        else:
            continue
        raise MetricError(what, where=loaded.place(where), remedy=f"change one of them; {_STAYS}")


def _targets(
    files: Iterable[Path], cards: Mapping[str, LoadedCard], refused: Collection[str], errors: list[MetricError]
) -> tuple[tuple[Target, ...], frozenset[Aim] | None]:
    """The targets, and what lines are for that are refused: see Loaded."""
    targets: dict[tuple[object, ...], Target] = {}
    aims: set[Aim] = set()
    is_whole = True
    for file in files:
        try:
            lines = _lines(file)
        except MetricError as error:
            errors.append(error)
            is_whole = False
            continue
        for line, content in lines:
            if content.get("metric") in refused:
                aims.add(_aim(content))
                continue
            try:
                target = _target(content, f"{file}:{line}", cards)
            except MetricError as error:
                errors.append(error)
                aims.add(_aim(content))
                continue
            key = (target.metric, target.scope, target.scope_id, target.period, target.valid_from)
            if key in targets:
                errors.append(
                    MetricError("a target is given twice", where=f"{file}:{line}", remedy="leave one of them out")
                )
            targets.setdefault(key, target)
    return tuple(targets.values()), frozenset(aims) if is_whole else None


def _aim(content: Mapping[str, str]) -> Aim:
    said = content.get
    return said("metric", ""), said("scope") or "company", said("scope_id", ""), said("period", "")


def _lines(file: Path) -> list[tuple[int, dict[str, str]]]:
    """Lines of a target file that say something, with their numbers; in Excel's separators, too."""
    remedy = f"the header is {','.join(Target.model_fields)}; until then all targets stay as they were"
    try:
        text = file.read_text(encoding="utf-8-sig")
        rows = csv.DictReader(
            text.splitlines(), delimiter=";" if ";" in text.partition("\n")[0] else ",", restkey=_MORE
        )
        rows.fieldnames = names = [name.strip() for name in rows.fieldnames or ()]
        wrong = [name for name in names if name not in Target.model_fields or names.count(name) > 1]
        lacking = [name for name in ("metric", "target") if name not in names]
        if names and (wrong or lacking):
            what = (
                f"the header lacks {lacking[0]!r}"
                if lacking
                else f"the header cannot say {wrong[0]!r}, or says it twice"
            )
            raise MetricError(what, where=f"{file}:1", remedy=remedy)
        cells = [(rows.line_num, {name: _cell(value) for name, value in row.items()}) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MetricError(f"the targets cannot be read: {error}", where=str(file), remedy=remedy) from error
    return [(line, content) for line, content in cells if any(content.values())]


_MORE = "beyond the header"


def _cell(value: str | list[str] | None) -> str:
    return ",".join(value) if isinstance(value, list) else (value or "").strip()


def _target(content: Mapping[str, str], where: str, cards: Mapping[str, LoadedCard]) -> Target:
    try:
        target = Target.model_validate(content)
    except ValidationError as error:
        said, path = _first(error)
        given = [f": {content[str(name)]!r}" for name in path if str(name) in content]
        raise MetricError("".join([said, *given]), where=where, remedy=_MEND) from error
    if target.metric not in cards:
        raise MetricError(
            f"there is no metric {target.metric!r}", where=where, remedy=f"name one that has a card, {_MEND}"
        )
    card = cards[target.metric].card
    if target.scope not in card.scopes:
        raise MetricError(f"{target.metric} is not shown by {target.scope}", where=where, remedy=_MEND)
    if target.period and target.period not in card.periods:
        raise MetricError(f"{target.metric} is not shown by {target.period}", where=where, remedy=_MEND)
    return target


_MEND = "mend the line; until then that target stays as it was"
