"""Word lists. Names are put together from them; none is meant to be a real person's or company's."""

import numpy as np

from samples.tools import Array

SUPPLIER_PLACES = {
    "DE": ("Nordkai", "Weiherfeld", "Lindenmoor", "Sandhausen-Ost", "Grünau", "Hölzern", "Mühlbach", "Ahornberg"),
    "US": ("Cedar Flats", "Lakebend", "Prairie Fork", "Stonemill", "Redbank", "Gull Harbor", "Twin Pines", "Old Mill"),
    "JP": ("Minatohara", "Kitanosawa", "Higashimori", "Aokawa", "Shirahama-dai", "Tsukimidai", "Umibe", "Matsuhara"),
}
SUPPLIER_TRADES = {
    "DE": ("Gusstechnik", "Drehteile", "Dichtungen", "Elektromotoren", "Federn", "Verpackungen", "Blechbearbeitung"),
    "US": ("Castings", "Machining", "Seals", "Motors", "Springs", "Packaging", "Sheet Metal"),
    "JP": ("Seimitsu", "Kikai", "Kogyo", "Denki", "Bane", "Hoso", "Kinzoku"),
}
LEGAL_FORMS = {"DE": "GmbH", "US": "LLC", "JP": "KK"}

RAW_KINDS = (  # name, base unit as the ERP writes it, category, cost in EUR cents
    ("Casting blank", "ST", "castings", 1840),
    ("Shaft seal", "ST", "seals", 320),
    ("Stainless bar", "M", "bar stock", 1275),
    ("Bronze ingot", "KG", "metals", 915),
    ("Ball bearing", "ST", "bearings", 460),
    ("Epoxy paint", "L", "coatings", 1130),
    ("Drive motor", "ST", "motors", 9650),
    ("Hex bolt set", "ST", "fasteners", 85),
    ("Copper wire", "KG", "metals", 1045),
    ("Shipping crate", "ST", "packaging", 1490),
)
MADE_KINDS = (
    ("Impeller", "ST", "semi", "impellers", 5200),
    ("Pump housing", "ST", "semi", "housings", 8900),
    ("Shaft assembly", "ST", "semi", "shafts", 6400),
    ("Centrifugal pump", "ST", "finished", "pumps", 48500),
    ("Dosing pump", "ST", "finished", "pumps", 31200),
    ("Gate valve", "ST", "finished", "valves", 15900),
)
WORK_CENTER_KINDS = (
    ("Turning", "machining", 62),
    ("Milling", "machining", 71),
    ("Grinding", "machining", 58),
    ("Assembly", "assembly", 44),
    ("Painting", "finishing", 39),
    ("Test bench", "testing", 53),
)
SCRAP_REASONS = ("BURR", "POROUS", "DIM", "LEAK", "PAINT")


def item_names(kinds: tuple[tuple[object, ...], ...], count: int) -> list[str]:
    """Names like `Impeller DN 65`, unlike each other."""
    return [f"{kinds[i % len(kinds)][0]} DN {15 + 10 * (i // len(kinds))}" for i in range(count)]


def supplier_names(countries: list[str]) -> list[str]:
    """A company name in the style of each country, unlike each other."""
    names, seen = [], dict.fromkeys(SUPPLIER_PLACES, 0)
    for country in countries:
        number = seen[country]
        seen[country] += 1
        places, trades = SUPPLIER_PLACES[country], SUPPLIER_TRADES[country]
        series = number // (len(places) * len(trades))
        mark = f" {series + 1}" if series else ""
        place, trade = places[number % len(places)], trades[(number // len(places) + number) % len(trades)]
        names.append(f"{place} {trade}{mark} {LEGAL_FORMS[country]}")
    return names


def spread(values: tuple[int, ...], count: int) -> Array:
    """The values over and over, `count` of them."""
    return np.resize(np.asarray(values, dtype=np.int64), count)
