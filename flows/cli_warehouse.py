"""Verbs around the warehouse and the sample company: warehouse up|url|migrate|stop, sample write."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cyclopts

from flows.report import ExitCode, UsageError

if TYPE_CHECKING:
    from flows.settings import Settings

warehouse = cyclopts.App(name="warehouse", help="Start, find, migrate and stop the warehouse.")
sample = cyclopts.App(name="sample", help="The sample company: extracts to try things with.")


@warehouse.command
def up(*, json: bool = False) -> ExitCode:
    """Start the embedded PostgreSQL and the Prefect server, bring the tables up to date, and say how to connect.

    Parameters
    ----------
    json
        Print JSON.
    """
    from flows import console, startup
    from flows.settings import load_settings

    settings = load_settings()
    with console.waiting("Starting PostgreSQL and Prefect …"):
        installation = startup.begin(settings)
        startup.migrate(settings)
        installation.prefect.ensure_running()
    access = installation.access()
    if json:
        console.print_json({"warehouse": access.warehouse, "prefect": access.prefect})
    else:
        console.show_access(access)
    return ExitCode.OK


@warehouse.command
def url(*, role: Literal["reader", "loader", "admin"] = "reader") -> ExitCode:
    """Print the warehouse's URL, password included, as psql and every libpq program take it.

    Parameters
    ----------
    role
        reader is for BI tools and sees the mart only, loader writes, admin owns the embedded server.
    """
    from flows import startup
    from flows.console import print_line
    from flows.settings import settings_of_home

    print_line(startup.warehouse_url(settings_of_home(), role))
    return ExitCode.OK


@warehouse.command
def migrate() -> ExitCode:
    """Bring the warehouse's tables, comments and rights up to date with this version of opsmart."""
    from flows import console, startup
    from flows.settings import load_settings

    settings = load_settings()
    with console.waiting("Migrating …"):
        warnings = startup.migrate(settings)
    for warning in warnings:
        console.out.print(f"Note: {warning}", markup=False)
    console.out.print("The warehouse is up to date.")
    return ExitCode.OK


@warehouse.command
def stop() -> ExitCode:
    """Stop the Prefect server and the embedded PostgreSQL of this home; what is running is rolled back."""
    from flows import console, startup
    from flows.settings import load_settings

    with console.waiting("Stopping …"):
        stopped = startup.stop(load_settings())
    console.out.print("Stopped." if stopped else "Nothing was running.")
    return ExitCode.OK


@sample.command
def write(
    *,
    if_empty: bool = False,
    seed: int = 1,
    days: int = 90,
    scale: float = 1.0,
    dirt: float = 0.002,
    every_kind: bool = False,
    damage: float = 0.0,
    truth: Path | None = None,
) -> ExitCode:
    """Write the extracts of a simulated company into the landing folder: three sites, six systems, known dirt.

    Parameters
    ----------
    if_empty
        Only where the landing folder holds nothing yet.
    seed
        Another number makes another company.
    days
        How many days of it.
    scale
        1 gives about a thousand rows a day.
    dirt
        Share of rows that are spoiled: 0 to 1.
    every_kind
        Spoil rows in every way that a rule of a contract knows, not only in ordinary ones, and as many as --dirt says.
    damage
        Share of deliveries whose file is damaged as a whole: 0 to 1.
    truth
        Folder for quarantine.csv, which names every spoiled row and the rule it breaks, refused.csv and balance.csv.
    """
    from flows.settings import load_settings

    for option, share in (("--dirt", dirt), ("--damage", damage)):
        if not 0 <= share <= 1:
            raise UsageError(f"{option} {share} is no share.", remedy="give a number from 0 to 1")
    settings = load_settings()
    if is_landing_empty(settings):
        write_sample(
            settings, seed=seed, days=days, scale=scale, dirt=dirt, every_kind=every_kind, damage=damage, truth=truth
        )
    elif not if_empty:
        raise UsageError(
            "The landing folder is not empty.",
            where=str(settings.landing),
            remedy="set OPSMART_LANDING or OPSMART_HOME to another folder, or empty this one",
        )
    return ExitCode.OK


def is_landing_empty(settings: "Settings") -> bool:
    """Whether nobody has delivered anything yet; opsmart's own store of landed bytes does not count."""
    if not settings.landing.is_dir():
        return True
    delivered = (entry for entry in settings.landing.iterdir() if not entry.name.startswith("."))
    return not any(entry.is_file() or any(entry.rglob("*")) for entry in delivered)


def write_sample(settings: "Settings", **options: Any) -> None:
    """Writes the sample company's extracts and its targets; `options` are those of samples.write_sample."""
    import samples
    from flows import console
    from flows.io import home

    home.make(settings)
    with console.waiting("Simulating the sample company …"):
        files = samples.write_sample(settings.landing, **options)
    targets = settings.home / "metrics" / "sample_company.csv"
    targets.parent.mkdir(parents=True, exist_ok=True)
    targets.write_bytes(samples.TARGETS.read_bytes())
    console.out.print(f"Sample company: {files} files written to {settings.landing}", markup=False)
