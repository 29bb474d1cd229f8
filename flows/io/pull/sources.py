"""Source folders: `source.yaml` and the mapping SELECTs beside it, read and checked."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from flows.io.gates_files import plan
from flows.io.yaml_lines import line_of
from schemas.catalog import DATASETS, PERIODS
from schemas.correction import CORRECTIONS, Correction
from schemas.errors import SourceError
from schemas.source import Source, SourceFile

FILE = "source.yaml"
CORRECTIONS_FILE = "corrections.yaml"


def load_sources(
    root: Path, extra_folders: Iterable[Path] = (), *, broken: dict[str, SourceError] | None = None
) -> dict[str, Source]:
    """Every source below `root` and below the extra folders, by name.

    With `broken`, source folders that are wrong are put there, by folder name, and the others are returned.

    Raises:
        SourceError: A folder is wrong; the message names file and line.
    """
    found: dict[str, Source] = {}
    for folder in (root, *extra_folders):
        if not folder.is_dir():
            raise SourceError(
                "the folder of sources is not there", where=str(folder), remedy="make it or mend OPSMART_SOURCES"
            )
        for path in sorted(folder.rglob(FILE)):
            try:
                source = load_source(path.parent)
                _refuse_same_name(source, found)
            except SourceError as error:
                if broken is None:
                    raise
                broken[path.parent.name] = error
                continue
            found[source.name] = source
    return found


def _refuse_same_name(source: Source, found: Mapping[str, Source]) -> None:
    if source.name in found:
        raise SourceError(
            f"two sources are named {source.name!r}",
            where=f"{source.folder / FILE} and {found[source.name].folder / FILE}",
            remedy="give one of them another name",
        )


def load_source(folder: Path) -> Source:
    """One source folder; read again only if one of its files has changed.

    Raises:
        SourceError: source.yaml is missing, no YAML or says something unknown, or a mapping SELECT is missing.
    """
    stats = {path.name: path.stat() for path in (*folder.glob("*.yaml"), *folder.glob("*.sql"))}
    files = {name: (stat.st_mtime_ns, stat.st_size, stat.st_ino) for name, stat in stats.items()}
    if folder not in _read or _read[folder][0] != files:
        _read[folder] = files, _read_source(folder)
    return _read[folder][1]


_read: dict[Path, tuple[dict[str, tuple[int, int, int]], Source]] = {}
"""Source folders as they were read, with what their files were like: a process that goes on looks at them often."""


def _read_source(folder: Path) -> Source:
    path = folder / FILE
    content, tree = _read_yaml(path)
    if not isinstance(content, dict):
        raise SourceError(f"{FILE} is empty", where=str(path), remedy="start from `opsmart source new`")
    try:
        declared = SourceFile.model_validate(content)
    except ValidationError as error:
        raise _as_source_error(error, path, tree, SourceFile) from None
    _check_datasets(declared, path, tree)
    corrections = _corrections(declared, folder / CORRECTIONS_FILE)
    return Source(**dict(declared), folder=folder, mappings=_mappings(declared, folder), corrections=corrections)


def _read_yaml(path: Path) -> tuple[Any, yaml.Node | None]:
    """A file's content, and its nodes, which know their lines."""
    try:
        text = path.read_text(encoding="utf-8")
        return yaml.safe_load(text), yaml.compose(text, Loader=yaml.SafeLoader)
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error.strerror}", where=str(path), remedy="add it") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        what = f"{path.name} is no valid YAML: {error.problem}"
        raise SourceError(what, where=where, remedy="mend the line") from error


def _corrections(declared: SourceFile, path: Path) -> tuple[Correction, ...]:
    if not path.exists():
        return ()
    content, tree = _read_yaml(path)
    try:
        found = CORRECTIONS.validate_python(content or ())
    except ValidationError as error:
        raise _as_source_error(error, path, tree, Correction) from None
    for at, correction in enumerate(found):
        for key, name, known in (
            ("dataset", correction.dataset, declared.datasets),
            ("table", correction.table, declared.tables),
        ):
            if name is not None and name not in known:
                raise SourceError(
                    f"the source has no {key} {name!r}",
                    where=_where(path, tree, (at, key)),
                    remedy=f"it has {', '.join(known)}",
                )
    return found


def _mappings(declared: SourceFile, folder: Path) -> dict[str, str]:
    mappings = {}
    for dataset in declared.datasets:
        path = folder / f"{dataset}.sql"
        try:
            mappings[dataset] = path.read_text(encoding="utf-8")
        except OSError as error:
            raise SourceError(
                f"{dataset} has no mapping SELECT", where=str(path), remedy=f"write {path.name} beside {FILE}"
            ) from error
    for path in folder.glob("*.sql"):
        if path.stem not in declared.datasets:
            raise SourceError(
                f"{path.name} maps to {path.stem}, which is not among the datasets",
                where=str(folder / FILE),
                remedy=f"declare it under datasets, or remove {path.name}",
            )
    return mappings


def _check_datasets(declared: SourceFile, path: Path, tree: yaml.Node | None) -> None:
    for name, dataset in declared.datasets.items():
        if name not in DATASETS:
            near = difflib.get_close_matches(name, DATASETS, n=1)
            raise SourceError(
                f"there is no dataset {name!r}",
                where=_where(path, tree, ("datasets", name)),
                remedy=f"did you mean {near[0]}?" if near else f"the datasets are {', '.join(sorted(DATASETS))}",
            )
        _check_closing(declared, name, _where(path, tree, ("datasets", name, "closed_periods")))
        contract = DATASETS[name].contract.columns()
        if dataset.period and dataset.period.column not in contract:
            raise SourceError(
                f"{name} has no column {dataset.period.column!r}",
                where=_where(path, tree, ("datasets", name, "period", "column")),
                remedy=f"name its date column: its columns are {', '.join(contract)}",
            )
        known = plan("extracts", name).gates
        for gate in dataset.gates.keys() - known.keys():
            near = difflib.get_close_matches(gate, known, n=1)
            raise SourceError(
                f"deliveries of {name} have no gate {gate!r}",
                where=_where(path, tree, ("datasets", name, "gates", gate)),
                remedy=f"{f'did you mean {near[0]}? ' if near else ''}its gates are {', '.join(sorted(known))}",
            )


def _check_closing(declared: SourceFile, name: str, where: str) -> None:
    if declared.datasets[name].closed_periods == "restate":
        return
    if not DATASETS[name].reverses:
        able = ", ".join(dataset.name for dataset in DATASETS.values() if dataset.reverses)
        raise SourceError(
            f"closed periods of {name} cannot be adjusted: it has no amounts to take back",
            where=where,
            remedy=f"leave closed_periods out; it is for {able}",
        )
    if PERIODS not in declared.datasets:
        raise SourceError(
            f"which periods of {name} are closed is not known: the source delivers no {PERIODS}",
            where=where,
            remedy=f"add {PERIODS} to its datasets, or leave closed_periods out",
        )


def _as_source_error(error: ValidationError, path: Path, tree: yaml.Node | None, model: type[BaseModel]) -> SourceError:
    first = error.errors(include_url=False)[0]
    place = tuple(part for part in first["loc"] if part != "[key]")
    key = ".".join(str(part) for part in place)
    if first["type"] == "extra_forbidden":
        known = _siblings(place, model)
        near = difflib.get_close_matches(str(place[-1]), known, n=1)
        what = f"unknown key {place[-1]!r}"
        remedy = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
    else:
        what = f"{key}: {str(first['msg']).removeprefix('Value error, ')}"
        remedy = "see docs/add-a-source.md"
    return SourceError(what, where=_where(path, tree, place), remedy=remedy)


def _siblings(place: Sequence[Any], model: Any) -> list[str]:
    """Keys that are known where the unknown one stands."""
    for part in place[:-1]:
        field = model.model_fields.get(str(part)) if hasattr(model, "model_fields") else None
        if field is None:
            continue
        inner = field.annotation
        # A mapping's or an optional's model is its last type argument that is one.
        candidates = [inner, *getattr(inner, "__args__", ())]
        model = next((kind for kind in reversed(candidates) if hasattr(kind, "model_fields")), model)
    return list(model.model_fields)


def _where(path: Path, tree: yaml.Node | None, place: Sequence[Any]) -> str:
    """The file and the line of the innermost key of `place` that is there."""
    return f"{path}, line {line_of(tree, place)}"
