"""Closed code lists of ISO standards, and the expressions that check a column against them.

Packaged as text because the libraries that carry them weigh megabytes. Withdrawn currencies stay in: history and old
rate tables use them, and a row is not wrong because it is old.
"""

from functools import cache
from zoneinfo import available_timezones

import polars as pl

# ISO 4217 in force, funds and metals included.
_IN_FORCE = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF
CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD
HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL
MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON
RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX
USD USN UYI UYU UYW UZS VED VES VND VUV WST XAD XAF XAG XAU XBA XBB XBC XBD XCD XCG XDR XOF XPD XPF XPT XSU XUA YER
ZAR ZMW ZWG
"""

# Withdrawn (ISO 4217 table A.3): those that ledgers of the last decades still hold.
_WITHDRAWN = """
ADP AFA ANG AON AOR ATS AZM BEF BGL BRR BYB BYR CSD CUC CYP DEM ECS EEK ESP FIM FRF GHC GRD GWP HRK IEP ITL LTL LUF
LVL MGF MRO MTL MXP MZM NLG PLZ PTE ROL RUR SDD SIT SKK SLL SRG STD TMM TRL UAK UYP VEB VEF XEU YUM ZMK ZRN ZWD ZWL
ZWN ZWR
"""

_COUNTRIES = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC
CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD
GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH
KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW
MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC
SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY
UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
"""

CURRENCIES = frozenset((_IN_FORCE + _WITHDRAWN).split())
"""ISO 4217 alphabetic codes, in force and withdrawn."""

COUNTRIES = frozenset(_COUNTRIES.split())
"""ISO 3166-1 alpha-2 codes."""


@cache
def time_zones() -> frozenset[str]:
    """Names of the IANA time zone database, without its two placeholders that are no place's clock."""
    return frozenset(available_timezones()) - {"Factory", "localtime"}


def is_currency(column: str) -> pl.Expr:
    """True where the column holds an ISO 4217 code or NULL."""
    return pl.col(column).is_in(sorted(CURRENCIES)) | pl.col(column).is_null()


def is_country(column: str) -> pl.Expr:
    """True where the column holds an ISO 3166-1 alpha-2 code or NULL."""
    return pl.col(column).is_in(sorted(COUNTRIES)) | pl.col(column).is_null()


def is_time_zone(column: str) -> pl.Expr:
    """True where the column names a zone of the IANA database."""
    return pl.col(column).is_in(sorted(time_zones()))
