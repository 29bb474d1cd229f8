"""The mapping SELECT: what it reads, and the technical columns that are written into it.

sqlglot tells the tables, columns and clauses apart. The author's text itself is kept and only added to, so that what
Polars runs is what stands in the file, with `_row_no` of the driving table and the unreadable cells of every table
beside it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.tokenizer_core import Token, TokenType

from schemas.errors import SourceError

BAD = "_bad"
ROW_NO = "_row_no"

Columns = frozenset[str] | None
"""Names of columns; None for all that there are."""

_SET_OPERATIONS = (TokenType.UNION, TokenType.EXCEPT, TokenType.INTERSECT)
_QUERY_STARTS = (TokenType.SELECT, TokenType.WITH)


@dataclass(frozen=True, slots=True)
class MappingSelect:
    """An analysed SELECT.

    `sql` has the technical columns: `_row_no`, and `_bad:<alias>` for each table of its FROM and JOINs. `columns` says
    which columns each raw table must have (None: all, it says `*`), `deciding` which of the driving table's columns
    decide whether a row comes out, `feeds` which raw columns (alias, name) a result column is made of. `judged` names
    by table the `_bad…` columns that its typed frame must have, and which columns each of them judges (None: all);
    their numbers are unique in the SELECT.
    """

    dataset: str
    sql: str
    driving: str
    driving_alias: str
    columns: Mapping[str, Columns]
    outputs: tuple[str, ...]
    aliases: tuple[str, ...]
    deciding: frozenset[str]
    feeds: Mapping[str, frozenset[tuple[str, str]]]
    judged: Mapping[str, Mapping[str, Columns]]
    has_joins: bool

    @property
    def tables(self) -> tuple[str, ...]:
        """Raw tables that the SELECT reads."""
        return tuple(self.columns)


def analyse(dataset: str, sql: str, tables: Mapping[str, object], where: str) -> MappingSelect:
    """Read a mapping SELECT.

    Args:
        dataset: The dataset it maps to.
        sql: Its text.
        tables: The source's raw tables, by name.
        where: File name for messages.

    Raises:
        SourceError: It is not one SELECT over raw tables with one driving table.
    """
    return _analyse(dataset, sql.strip().rstrip(";").rstrip(), frozenset(tables), where)


@cache
def _analyse(dataset: str, text: str, tables: frozenset[str], where: str) -> MappingSelect:
    tree = _parse(text, where)
    if not isinstance(tree, exp.Select):
        raise SourceError(
            "the mapping is not a single SELECT",
            where=where,
            remedy="write one SELECT; UNION and the like may stand in a subquery that is joined",
        )
    _refuse_many_to_one(tree, where)
    rewriter = _Rewriter(tables, where)
    rewritten = rewriter.outer(text, tree)
    driving = _driving_table(tree, tables, where)
    sources = list(_sources(tree))
    columns = _needed(tree, tables, where)
    return MappingSelect(
        dataset=dataset,
        sql=rewritten,
        driving=driving,
        driving_alias=sources[0][0],
        columns=columns,
        outputs=tuple(item.alias_or_name for item in tree.selects),
        aliases=tuple(alias for alias, _ in sources),
        deciding=_deciding(tree, driving),
        feeds={
            item.alias_or_name: frozenset((column.table or sources[0][0], column.name) for column in _columns(item))
            for item in tree.selects
        },
        judged=rewriter.judged,
        has_joins=bool(tree.args.get("joins")),
    )


def _parse(text: str, where: str) -> exp.Expr:
    try:
        trees = sqlglot.parse(text)
    except sqlglot.errors.SqlglotError as error:
        details = getattr(error, "errors", None) or [{}]
        line = details[0].get("line")
        raise SourceError(
            f"the mapping is not valid SQL: {details[0].get('description') or str(error).splitlines()[0]}",
            where=f"{where}, line {line}" if line else where,
            remedy="mend the SELECT",
        ) from error
    if len(trees) != 1 or trees[0] is None:
        raise SourceError(f"the mapping holds {len(trees)} statements", where=where, remedy="write one SELECT")
    return trees[0]


def _refuse_many_to_one(tree: exp.Select, where: str) -> None:
    forbidden = {"group": "GROUP BY", "distinct": "DISTINCT", "having": "HAVING", "limit": "LIMIT", "offset": "OFFSET"}
    found = next((clause for name, clause in forbidden.items() if tree.args.get(name)), None)
    if found is None and _aggregates(tree):
        found = "an aggregate"
    if found:
        raise SourceError(
            f"the mapping has {found}: it maps the driving table's rows one by one, so that none is lost uncounted",
            where=where,
            remedy="aggregate in a subquery that is joined",
        )


def _aggregates(select: exp.Select) -> bool:
    return any(
        not node.find_ancestor(exp.Window) and node.find_ancestor(exp.Select) is select
        for item in select.selects
        for node in item.find_all(exp.AggFunc)
    )


def _columns(node: exp.Expr) -> Iterator[exp.Column]:
    return node.find_all(exp.Column)


def _from(select: exp.Select) -> exp.Expr | None:
    clause = select.args.get("from_") or select.args.get("from")
    return clause.this if clause else None


def _sources(select: exp.Select) -> Iterator[tuple[str, exp.Expr]]:
    """Alias and node of what a SELECT reads, the driving one first."""
    first = _from(select)
    if first is not None:
        yield first.alias_or_name, first
    for join in select.args.get("joins") or []:
        yield join.this.alias_or_name, join.this


def _ctes(select: exp.Expr) -> dict[str, exp.Expr]:
    return {cte.alias: cte.this for cte in getattr(select, "ctes", [])}


def _driving_table(tree: exp.Select, tables: frozenset[str], where: str) -> str:
    ctes = _ctes(tree)
    node: exp.Expr | None = _from(tree)
    while True:
        if isinstance(node, exp.Table) and node.name in tables and node.name not in ctes:
            return node.name
        inner = ctes.get(node.name) if isinstance(node, exp.Table) else getattr(node, "this", None)
        if isinstance(node, exp.Table) and inner is None:
            raise _unknown_table(node.name, tables, where)
        is_plain = isinstance(inner, exp.Select) and not (
            inner.args.get("group") or inner.args.get("distinct") or _aggregates(inner)
        )
        if not is_plain or not isinstance(inner, exp.Select):
            raise SourceError(
                "the mapping has no driving table: its FROM must be a raw table, whose rows are counted one by one",
                where=where,
                remedy="put the table whose rows are mapped after FROM and join the others to it",
            )
        ctes = _ctes(inner) | ctes
        node = _from(inner)


def _unknown_table(name: str, tables: frozenset[str], where: str) -> SourceError:
    return SourceError(
        f"the mapping reads a table {name!r}, which source.yaml does not declare",
        where=where,
        remedy=f"declare it under tables; there are {', '.join(sorted(tables))}",
    )


def _needed(tree: exp.Select, tables: frozenset[str], where: str) -> dict[str, frozenset[str] | None]:
    """Columns that each raw table must have."""
    needed: dict[str, set[str] | None] = {}
    for scope in traverse_scope(tree):
        raw = {alias: node.name for alias, node in scope.sources.items() if isinstance(node, exp.Table)}
        for name in raw.values():
            if name not in tables:
                raise _unknown_table(name, tables, where)
            needed.setdefault(name, set())
        if any(isinstance(item, exp.Star) for item in getattr(scope.expression, "selects", [])):
            needed |= dict.fromkeys(raw.values())
        for column in scope.columns:
            _note(column, scope, raw, needed, where)
    return {name: None if columns is None else frozenset(columns) for name, columns in needed.items()}


def _note(
    column: exp.Column, scope: Scope, raw: Mapping[str, str], needed: dict[str, set[str] | None], where: str
) -> None:
    table = column.table
    if not table and len(scope.sources) == 1:
        table = next(iter(scope.sources))
    if not table:
        own = {item.alias for item in getattr(scope.expression, "selects", [])}
        if column.name in own:
            return
        raise SourceError(
            f"column {column.name!r} does not say which table it belongs to",
            where=where,
            remedy="write it as table.column; a SELECT that joins names every column so",
        )
    name = raw.get(table)
    if name is None:
        return
    if isinstance(column.this, exp.Star):
        needed[name] = None
    elif (columns := needed[name]) is not None:
        columns.add(column.name)


def _deciding(tree: exp.Select, driving: str) -> frozenset[str]:
    """Columns of the driving table in any WHERE, ON or QUALIFY: when unreadable, a row may be missed for it."""
    found: set[str] = set()
    for select in tree.find_all(exp.Select):
        own = {alias for alias, node in _sources(select) if isinstance(node, exp.Table) and node.name == driving}
        clauses = [select.args.get("where"), select.args.get("qualify")]
        clauses += [join.args.get("on") for join in select.args.get("joins") or []]
        for clause in clauses:
            if clause is not None:
                found |= {column.name for column in _columns(clause) if not column.table or column.table in own}
        for join in select.args.get("joins") or []:
            found |= {item.name for item in join.args.get("using") or []}
    return frozenset(found)


@dataclass(slots=True)
class _Rewriter:
    """Writes technical columns into the text of a SELECT and of the subqueries that it reads.

    Each scope judges only the raw cells that it names itself: a subquery that reads two columns of a wide table must
    not cost the parsing of all.
    """

    tables: frozenset[str]
    where: str
    judged: dict[str, dict[str, Columns]] = field(default_factory=dict)
    tainted: set[str] = field(default_factory=set)
    """CTEs that carry `_bad`."""

    def outer(self, text: str, tree: exp.Select) -> str:
        text, cells = self._inner_queries(text, tree)
        added = [f"{_quoted(next(_sources(tree))[0])}.{ROW_NO} as {ROW_NO}"]
        added += [f'{cell} as "{BAD}:{alias}"' for alias, cell in cells.items()]
        return self._before_from(text, added)

    def _nested(self, text: str) -> tuple[str, bool]:
        """A subquery's text with `_bad` (and `_row_no` where rows stay rows); whether it has it."""
        parts, bad = [], True
        for piece, operator in _set_operands(text):
            tree = _parse(piece, self.where)
            if not isinstance(tree, exp.Select) or _from(tree) is None:
                return text, False
            inner, named = self._inner_queries(piece, tree)
            cells = list(named.values())
            combined = (
                cells[0] if len(cells) == 1 else f"greatest({', '.join(cells)})" if cells else "cast(null as bigint)"
            )
            first, node = next(_sources(tree))
            is_raw = isinstance(node, exp.Table) and node.name in self.tables and node.name not in self.tainted
            if tree.args.get("group") or _aggregates(tree):
                added = [f"max({combined}) as {BAD}"]
            elif any(item.is_star for item in tree.selects):
                # A star brings _row_no along, and from a subquery its _bad too.
                added = [f"{combined} as {BAD}"] if is_raw else []
            else:
                added = [f"{combined} as {BAD}"]
                added += [f"{_quoted(first)}.{ROW_NO} as {ROW_NO}"] if is_raw and not tree.args.get("distinct") else []
            parts.append(self._before_from(inner, added) + operator)
        return "".join(parts), bad

    def _inner_queries(self, text: str, tree: exp.Select) -> tuple[str, dict[str, str]]:
        """The text with its CTEs and derived tables rewritten, and by alias the column with its bad cells."""
        tokens = sqlglot.tokenize(text)
        out, last = [], 0
        derived: set[str] = set()
        for opening, closing in _groups(tokens):
            before = tokens[opening - 1].token_type if opening else None
            is_query = tokens[opening + 1].token_type in _QUERY_STARTS
            is_cte, is_derived = before == TokenType.ALIAS, before in (TokenType.FROM, TokenType.JOIN, TokenType.COMMA)
            if not is_query or not (is_cte or is_derived):
                continue
            start, end = tokens[opening].end + 1, tokens[closing].start
            inner, bad = self._nested(text[start:end])
            name = tokens[opening - 2] if is_cte else _alias_after(tokens, closing)
            if bad and name is not None:
                (self.tainted if is_cte else derived).add(name.text)
            out += [text[last:start], inner]
            last = end
        out.append(text[last:])
        cells = {}
        for alias, node in _sources(tree):
            if isinstance(node, exp.Table) and node.name in self.tables and node.name not in self.tainted:
                cells[alias] = f"{_quoted(alias)}.{self._judge(node.name, _own_columns(tree, alias))}"
            elif alias in derived or (isinstance(node, exp.Table) and node.name in self.tainted):
                cells[alias] = f"{_quoted(alias)}.{BAD}"
        return "".join(out), cells

    def _judge(self, table: str, columns: Columns) -> str:
        """Name of the `_bad…` column that judges these columns of a table."""
        known = self.judged.setdefault(table, {})
        for name, judged in known.items():
            if judged == columns:
                return name
        name = f"{BAD}{sum(map(len, self.judged.values()))}"
        known[name] = columns
        return name

    def _before_from(self, text: str, added: list[str]) -> str:
        tokens = sqlglot.tokenize(text)
        depth = 0
        for index, token in enumerate(tokens):
            depth += (token.token_type == TokenType.L_PAREN) - (token.token_type == TokenType.R_PAREN)
            is_clause = token.token_type == TokenType.FROM and tokens[index - 1].token_type != TokenType.DISTINCT
            if depth == 0 and is_clause:
                # After the last column, not before FROM: a comment may stand between.
                at = tokens[index - 1].end + 1
                return f"{text[:at]}{''.join(f', {column}' for column in added)}{text[at:]}"
        raise SourceError("the mapping has no FROM", where=self.where, remedy="name the driving table after FROM")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _own_columns(select: exp.Select, alias: str) -> Columns:
    """Columns of `alias` that a SELECT names outside its subqueries; None where it says `*`."""
    if any(item.is_star for item in select.selects):
        return None
    is_only = len(list(_sources(select))) == 1
    return frozenset(
        column.name
        for column in _columns(select)
        if (column.table == alias or (is_only and not column.table)) and column.find_ancestor(exp.Select) is select
    )


def _groups(tokens: list[Token]) -> Iterator[tuple[int, int]]:
    """Outermost pairs of parentheses, as token positions."""
    depth, opening = 0, 0
    for index, token in enumerate(tokens):
        if token.token_type == TokenType.L_PAREN:
            opening = index if depth == 0 else opening
            depth += 1
        elif token.token_type == TokenType.R_PAREN:
            depth -= 1
            if depth == 0:
                yield opening, index


def _alias_after(tokens: list[Token], closing: int) -> Token | None:
    following = tokens[closing + 1 : closing + 3]
    if following and following[0].token_type == TokenType.ALIAS:
        following = following[1:]
    return following[0] if following else None


def _set_operands(text: str) -> Iterator[tuple[str, str]]:
    """The SELECTs of `a union all b`, each with the operator that follows it."""
    tokens, depth, start = sqlglot.tokenize(text), 0, 0
    for index, token in enumerate(tokens):
        depth += (token.token_type == TokenType.L_PAREN) - (token.token_type == TokenType.R_PAREN)
        if depth == 0 and token.token_type in _SET_OPERATIONS:
            after = tokens[index + 1]
            is_marked = after.token_type in (TokenType.ALL, TokenType.DISTINCT)
            end = (after if is_marked else token).end + 1
            yield text[start : token.start], text[token.start : end]
            start = end
    yield text[start:], ""
