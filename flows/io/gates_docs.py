"""What gates said, as Great Expectations' Data Docs: a static site, made from the ledger when somebody asks for it."""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import polars as pl

from flows.io.gates_engine import import_great_expectations
from flows.io.gates_files import PlannedGate, plan
from flows.io.warehouse import Session
from schemas.catalog import FACTS
from schemas.gate import is_parameter

_SAID = """
select judged, source, run_id, gate, subject, severity, status, observed, expected, checked_at
from ops.gate_result
where checked_at >= now() - $1 * interval '1 day'
order by judged, source, run_id, gate, subject
"""


def write_data_docs(session: Session, folder: Path, days: int) -> int:
    """Write what gates said in the last days: one page per dataset or fact, source and run.

    Returns:
        How many pages; the site begins at `index.html`.
    """
    said = session.fetch(_SAID, days)
    gx = import_great_expectations()
    with tempfile.TemporaryDirectory() as root:
        context = _context(gx, root)
        names = said["judged"].unique().sort()
        for name in names:
            context.suites.add(gx.ExpectationSuite(name=name))
        pages = said.partition_by("judged", "source", "run_id", maintain_order=True)
        for page in pages:
            _add_page(gx, context, page)
        context.build_data_docs()
        rmtree(folder, ignore_errors=True)
        copytree(Path(root) / "uncommitted" / "data_docs" / "local_site", folder)
    return len(pages)


def _context(gx: Any, root: str) -> Any:
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        FilesystemStoreBackendDefaults,
        ProgressBarsConfig,
    )

    config = DataContextConfig(
        store_backend_defaults=FilesystemStoreBackendDefaults(root_directory=root),
        progress_bars=ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _add_page(gx: Any, context: Any, page: pl.DataFrame) -> None:
    """File what the gates of one dataset or fact said of one source in one run."""
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    name, source, run_id = page.select("judged", "source", "run_id").row(0)
    gates = plan("facts" if name in FACTS else "extracts", name).gates
    rows = [row for row in page.iter_rows(named=True) if row["gate"] in gates]
    results = [_result(row, gates[row["gate"]]) for row in rows]
    passed = sum(result.success for result in results)
    run = RunIdentifier(run_name=run_id, run_time=page.item(0, "checked_at"))
    result = ExpectationSuiteValidationResult(
        success=passed == len(results),
        results=results,
        suite_name=name,
        statistics={
            "evaluated_expectations": len(results),
            "successful_expectations": passed,
            "unsuccessful_expectations": len(results) - passed,
            "success_percent": 100 * passed / len(results) if results else None,
        },
        meta={
            "run_id": run.to_json_dict(),
            "active_batch_definition": {"data_asset_name": source or "all sources"},
            "great_expectations_version": gx.__version__,
        },
    )
    key = ValidationResultIdentifier(ExpectationSuiteIdentifier(name), run, source or "all sources")
    context.validation_results_store.add(key, result)


def _result(said: Mapping[str, Any], planned: PlannedGate) -> Any:
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    gate = planned.gate
    about = f"{said['gate']} ({said['severity']}) of {said['subject']}: {gate.reason} Expected: {said['expected']}."
    configuration = ExpectationConfiguration(
        type=gate.expectation,
        kwargs={
            name: _limit(name, value, said["expected"]) if is_parameter(value) else value
            for name, value in gate.arguments.items()
        },
        meta={"notes": {"format": "string", "content": [about]}},
    )
    return ExpectationValidationResult(
        success=said["status"] == "passed",
        expectation_config=configuration,
        result={"observed_value": said["observed"]},
        exception_info={"raised_exception": False, "exception_message": None, "exception_traceback": None},
    )


def _limit(argument: str, parameter: object, expected: str) -> object:
    """What an argument was when the gate was asked: the ledger keeps that in the words of `expected` alone."""
    found = re.search(rf"\b{argument}=(-?\d+(\.\d+)?(e[+-]\d+)?)", expected)
    return float(found[1]) if found else parameter
