"""The skeleton that `opsmart source new` writes is valid as it stands."""

from pathlib import Path

import pytest
import yaml

from flows.io.pull import load_source
from flows.io.staging.mapping import analyse
from flows.settings import load_settings
from flows.source_check import check_source
from flows.source_new import OPTIONAL, mapping_select, source_yaml, write_skeleton
from schemas.catalog import DATASETS
from schemas.errors import SourceError
from schemas.source import SourceFile


def test_the_skeleton_of_all_datasets_is_a_valid_source():
    model = SourceFile.model_validate(yaml.safe_load(source_yaml("my_erp", tuple(DATASETS))))
    assert set(model.datasets) == set(DATASETS)


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_select_gives_every_column_and_names_its_table(dataset: str):
    contract = DATASETS[dataset].contract
    tables = SourceFile.model_validate(yaml.safe_load(source_yaml("my_erp", (dataset,)))).tables
    mapping = analyse(dataset, mapping_select(dataset, contract), tables, f"{dataset}.sql")
    assert set(mapping.outputs) == set(contract.columns())
    assert mapping.driving == f"{dataset}_file"
    assert set(mapping.outputs[-len(OPTIONAL) :]) == OPTIONAL


def test_files_are_written_once(tmp_path: Path):
    files = write_skeleton(tmp_path, "my_erp", ("supplier", "item"))
    assert [file.name for file in files] == ["source.yaml", "supplier.sql", "item.sql"]
    with pytest.raises(SourceError, match="there already"):
        write_skeleton(tmp_path, "my_erp", ("supplier",))


@pytest.mark.parametrize("name", ["My ERP", "1erp", "../erp", ""])
def test_names_that_cannot_be_used_are_refused(tmp_path: Path, name: str):
    with pytest.raises(SourceError, match="cannot name a source"):
        write_skeleton(tmp_path, name, ("supplier",))


def test_an_unknown_dataset_is_refused_with_the_known_ones(tmp_path: Path):
    with pytest.raises(SourceError, match="purchase_order_line"):
        write_skeleton(tmp_path, "my_erp", ("orders",))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_mode_that_a_fact_cannot_have_is_said(tmp_path: Path, home: Path, dataset: str):
    write_skeleton(tmp_path, "my_erp", (dataset,))
    file = tmp_path / "my_erp" / "source.yaml"
    described = yaml.safe_load(file.read_text())
    described["datasets"][dataset] = {"mode": "append"}
    file.write_text(yaml.safe_dump(described))
    (check,) = check_source(load_source(tmp_path / "my_erp"), load_settings(home=home), newest=1).datasets
    said = [error for error in check.errors if error.startswith("mode append: ")]
    assert bool(said) == (dataset in ("purchase_order_line", "production_order")), check.errors


def test_a_closed_list_is_told_with_its_values():
    assert "(needed; one of open, closed, cancelled" in mapping_select(
        "purchase_order_line", DATASETS["purchase_order_line"].contract
    )


def test_a_delivery_of_which_no_row_can_be_used_is_not_good(tmp_path: Path, home: Path):
    write_skeleton(tmp_path, "my_erp", ("supplier",))
    select = "select raw.no as supplier_id, raw.name as name, raw.state as status from supplier_file as raw"
    (tmp_path / "my_erp" / "supplier.sql").write_text(select)
    settings = load_settings(home=home)
    source = load_source(tmp_path / "my_erp")
    assert check_source(source, settings, newest=1).searched == [str(settings.landing / "my_erp" / "supplier_*.csv")]
    file = settings.landing / "my_erp" / "supplier_2026-03-31.csv"
    file.parent.mkdir(parents=True)
    file.write_text("no,name,state\n,Nameless,active\n")
    (check,) = check_source(source, settings, newest=1).datasets
    assert check.errors == ["2026-03-31: no row can be used, so the night would block it"]
    assert not check.is_good
    assert {row["slot"] for rows in check.examples.values() for row in rows} == {"2026-03-31"}
