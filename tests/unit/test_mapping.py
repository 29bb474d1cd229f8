"""What the mapping SELECT is taken for, and what is written into it."""

import pytest

from flows.io.staging.mapping import MappingSelect, analyse
from schemas.errors import SourceError

TABLES = {"detail": 1, "header": 1, "extra": 1}


def mapping(sql: str) -> MappingSelect:
    return analyse("purchase_order_line", sql, TABLES, "x.sql")


def test_driving_table_columns_and_technical_columns() -> None:
    found = mapping("select d.A as po_id, h.B as x -- end\nfrom detail as d\ninner join header as h on h.K = d.K")
    assert (found.driving, found.driving_alias, found.has_joins) == ("detail", "d", True)
    assert found.columns == {"detail": {"A", "K"}, "header": {"B", "K"}}
    assert found.deciding == {"K"}
    assert '"d"._row_no as _row_no' in found.sql
    assert '"h"._bad1 as "_bad:h" -- end' in found.sql
    assert found.judged == {"detail": {"_bad0": {"A", "K"}}, "header": {"_bad1": {"B", "K"}}}


def test_subqueries_carry_their_unreadable_cells_along() -> None:
    found = mapping(
        "select d.A as a, l.last as b from detail as d"
        " left join (select K, max(S) as last from detail group by K) as l on l.K = d.K"
    )
    assert 'max("detail"._bad0) as _bad from detail group by K' in found.sql
    assert '"l"._bad as "_bad:l"' in found.sql
    # The subquery judges only what it reads itself.
    assert found.judged["detail"]["_bad0"] == {"K", "S"}


def test_common_table_expressions_and_unions() -> None:
    found = mapping(
        "with u as (select K, B from header union all select K, C as B from extra)"
        " select d.A as a, u.B as b from detail as d left join u on u.K = d.K where d.A <> 'from x'"
    )
    assert found.driving == "detail"
    assert found.columns["extra"] == {"K", "C"}
    assert '"u"._bad as "_bad:u"' in found.sql
    assert found.deciding == {"A", "K"}


def test_driving_table_through_a_common_table_expression() -> None:
    found = mapping("with p as (select K, A from detail where A > 1) select p.A as a from p")
    assert (found.driving, found.driving_alias) == ("detail", "p")


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select sum(A) as a from detail", "an aggregate"),
        ("select A as a from detail group by A", "GROUP BY"),
        ("select distinct A as a from detail", "DISTINCT"),
        ("select A as a from detail limit 5", "LIMIT"),
        ("select A as a from detail union all select B as a from header", "not a single SELECT"),
        ("select A as a from nowhere", "'nowhere', which source.yaml does not declare"),
        ("select A as a from detail as d inner join header as h on h.K = d.K", "does not say which table"),
        ("select A as a, from detail where", "not valid SQL"),
        ("select g.a from (select K as a from detail group by K) as g", "no driving table"),
        ("select 1 as a; select 2 as a", "2 statements"),
    ],
)
def test_refused(sql: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        mapping(sql)


def test_a_window_is_no_aggregate() -> None:
    assert mapping("select A as a, max(S) over (partition by K) as b from detail").driving == "detail"
