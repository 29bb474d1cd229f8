"""Units of measure: what each code means in the base unit of its kind.

Codes are those of UN/ECE Recommendation 20 and the abbreviations that ERP systems write. Units of one kind convert by
a fixed factor. Packs (box, pallet, …) are a kind of their own each: how much is in one depends on the item.
"""

from dataclasses import dataclass
from decimal import Decimal

import polars as pl


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: its kind, and how many base units of that kind it is."""

    kind: str
    factor: Decimal


_KINDS: dict[str, dict[str, str]] = {
    "piece": {
        **dict.fromkeys(("EA", "PC", "PCS", "PCE", "ST", "STK", "UN", "UNIT", "C62", "H87", "NAR", "NMB"), "1"),
        **dict.fromkeys(("PR", "PAIR"), "2"),
        **dict.fromkeys(("DZ", "DZN", "DOZ"), "12"),
        **dict.fromkeys(("HEN", "C"), "100"),
        **dict.fromkeys(("GRO", "GROSS"), "144"),
        **dict.fromkeys(("MIL", "TEA", "TPC"), "1000"),
    },
    "mass_kg": {
        **dict.fromkeys(("KG", "KGM"), "1"),
        **dict.fromkeys(("G", "GRM"), "0.001"),
        **dict.fromkeys(("MG", "MGM"), "0.000001"),
        **dict.fromkeys(("T", "TO", "TNE"), "1000"),
        **dict.fromkeys(("LB", "LBR"), "0.45359237"),
        **dict.fromkeys(("OZ", "ONZ"), "0.028349523125"),
    },
    "length_m": {
        **dict.fromkeys(("M", "MTR"), "1"),
        **dict.fromkeys(("CM", "CMT"), "0.01"),
        **dict.fromkeys(("MM", "MMT"), "0.001"),
        **dict.fromkeys(("KM", "KMT"), "1000"),
        **dict.fromkeys(("IN", "INH"), "0.0254"),
        **dict.fromkeys(("FT", "FOT"), "0.3048"),
        **dict.fromkeys(("YD", "YRD"), "0.9144"),
    },
    "area_m2": {
        **dict.fromkeys(("M2", "MTK"), "1"),
        **dict.fromkeys(("CM2", "CMK"), "0.0001"),
        **dict.fromkeys(("FT2", "FTK"), "0.09290304"),
    },
    "volume_l": {
        **dict.fromkeys(("L", "LTR"), "1"),
        **dict.fromkeys(("ML", "MLT"), "0.001"),
        **dict.fromkeys(("M3", "MTQ"), "1000"),
        **dict.fromkeys(("GAL", "GLL"), "3.785411784"),
        **dict.fromkeys(("QT", "QTL"), "0.946352946"),
        **dict.fromkeys(("PT", "PTL"), "0.473176473"),
    },
    "time_h": {
        **dict.fromkeys(("H", "HR", "HUR"), "1"),
        **dict.fromkeys(("D", "DAY"), "24"),
    },
    "energy_kwh": {"KWH": "1", "MWH": "1000"},
    **{
        pack.lower(): {pack: "1"}
        for pack in ("BAG", "BOT", "BOX", "BX", "CAN", "CS", "CT", "CTN", "DRM", "PAL", "PF", "PK", "ROL", "SET", "SHT")
    },
}

UNITS: dict[str, Unit] = {
    spelling: Unit(kind, Decimal(factor))
    for kind, codes in _KINDS.items()
    for code, factor in codes.items()
    for spelling in (code, code.lower(), code.capitalize())
}
"""Every known unit by its code, in the spellings that sources use: `KG`, `kg`, `Kg`."""


def is_unit(column: str) -> pl.Expr:
    """True where the column holds a known unit or NULL."""
    return pl.col(column).is_in(sorted(UNITS)) | pl.col(column).is_null()
