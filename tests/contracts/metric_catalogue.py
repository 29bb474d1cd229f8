"""The catalogue of metrics in docs/metrics.md, out of their cards: `make catalogue` writes it."""

from collections.abc import Iterator
from pathlib import Path

from flows.io.metric_files import CARDS, load_card
from schemas.catalog import FACTS
from schemas.metric import Card

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
HEADING = "## Catalogue\n"
_TITLES = {"supplier": "Purchasing and stock", "production": "Production", "finance": "Finance"}
_BETTER = {"higher": "↑", "lower": "↓", "target": "·"}


def catalogue() -> str:
    """What the page says below its heading."""
    cards = [load_card(file).card for file in sorted(CARDS.glob("*.yaml"))]
    return HEADING + "\n".join(_lines(cards)) + "\n"


def written() -> str:
    """The page with the catalogue of now; it is the page's last part."""
    return PAGE.read_text(encoding="utf-8").partition(HEADING)[0] + catalogue()


def _lines(cards: list[Card]) -> Iterator[str]:
    yield "Written by `make catalogue` from the cards. ↑ higher is better, ↓ lower is, · neither. The whole card: "
    yield "`select * from mart.dim_metric`."
    for domain, title in _TITLES.items():
        yield f"\n### {title}"
        yield "| metric | name | formula | unit | | by | standard |"
        yield "|---|---|---|---|---|---|---|"
        for card in cards:
            if FACTS[card.numerator.fact].domain == domain:
                by = ", ".join(scope.replace("_", " ") for scope in card.scopes)
                cells = (f"`{card.metric}`", card.name, card.formula, card.unit, _BETTER[card.direction], by)
                yield f"| {' | '.join(cells)} | {card.standard} |"


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
