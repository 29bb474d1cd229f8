"""The ledger: schema `ops` in PostgreSQL, opsmart's memory of what it accepted, built and published.

Everything accepting writes is a maximum or a union (newest version per key, latest sighting, latest coverage, days and
codes ever seen), so that order, repetition and grouping of deliveries do not matter.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION, JSONB, TIMESTAMP

metadata = MetaData()
INSTANT = TIMESTAMP(timezone=True)


def _table(name: str, comment: str, *parts: Column[Any] | UniqueConstraint | Index, **options: Any) -> Table:
    return Table(name, metadata, *parts, schema="ops", comment=comment, **options)


generation = Sequence("generation", metadata=metadata, schema="ops")
"""Generations of dirty slices; never restarts."""

stream = _table(
    "stream",
    "One dataset of one source: the unit in which deliveries are accepted",
    Column("stream_id", Integer, Identity(), primary_key=True, comment="Short id, used as partition key"),
    Column("source", Text, nullable=False, comment="Source that delivers"),
    Column("dataset", Text, nullable=False, comment="Dataset delivered"),
    Column("key_count", BigInteger, nullable=False, server_default="0", comment="Keys in current_key"),
    Column("accept_count", BigInteger, nullable=False, server_default="0", comment="Deliveries accepted so far"),
    Column("books_zone", Text, comment="Where closed periods are adjusted: the zone of their closing; else NULL"),
    UniqueConstraint("source", "dataset"),
)

extract = _table(
    "extract",
    "Deliveries: one row for one delivery of one dataset from one source",
    Column("extract_id", BigInteger, Identity(), primary_key=True, comment="Id of the delivery"),
    Column("stream_id", Integer, ForeignKey("ops.stream.stream_id"), nullable=False, comment="Dataset and source"),
    Column("source", Text, nullable=False, comment="Source that delivered"),
    Column("dataset", Text, nullable=False, comment="Dataset delivered"),
    Column("slot", Text, nullable=False, comment="What the delivery speaks for"),
    Column("revision", Integer, nullable=False, comment="Correction number of the slot; 0 is the first"),
    Column("content_hash", Text, nullable=False, comment="SHA-256 over the delivered bytes"),
    Column("mode", Text, nullable=False, comment="append, delta, snapshot or period"),
    Column("as_of", Date, nullable=False, comment="Day the delivery speaks as of"),
    Column("period_start", Date, comment="First day of the period a period delivery covers"),
    Column("period_end", Date, comment="Last day of the period a period delivery covers"),
    Column("file", Text, nullable=False, comment="Names of the delivered files"),
    Column("landed_at", INSTANT, nullable=False, comment="First landing of these bytes; part of the delivery"),
    Column("state", Text, nullable=False, comment="landed, staged, accepted, blocked or superseded"),
    Column("rows_in", BigInteger, comment="Rows of the driving table"),
    Column("rows_accepted", BigInteger, comment="Rows that went on"),
    Column("rows_quarantined", BigInteger, comment="Rows held back by a row rule"),
    Column("rows_duplicate", BigInteger, comment="Repeats of a row of the same delivery"),
    Column("rows_excluded", BigInteger, comment="Rows that the mapping SELECT leaves out"),
    Column("first_date", Date, comment="Earliest day of an accepted row"),
    Column("last_date", Date, comment="Latest day of an accepted row"),
    Column("gives_coverage", Boolean, comment="Keys it lacks are gone; decided once, or by a replay or a release"),
    Column("unreadable_keys", BigInteger, comment="Quarantined rows whose key could not be read: they may be any key"),
    Column("replays", Integer, nullable=False, server_default="0", comment="How often held rows were taken later"),
    Column("blocked_by", Text, comment="Gate that blocked it, or why it could not be read"),
    Column("accepted_at", INSTANT, comment="When it was accepted"),
    UniqueConstraint("source", "dataset", "slot", "revision", "content_hash"),
)

quarantined_row = _table(
    "quarantined_row",
    "Rows that break a row rule or cannot be read, the first 10,000 of a delivery; its good rows went on",
    Column("extract_id", BigInteger, ForeignKey("ops.extract.extract_id"), primary_key=True, comment="Delivery"),
    Column("row_no", BigInteger, primary_key=True, comment="Row of the driving file, from 1"),
    Column("rule", Text, primary_key=True, comment="Rule the row breaks"),
    Column("column_name", Text, comment="Column the rule judges, where it is one"),
    Column("value", Text, comment="Offending value; personal data masked"),
    Column("raw", JSONB, comment="Row as delivered; personal columns masked"),
    Column("key_hash", BigInteger, comment="Hash of source and natural key; NULL: the key cannot be read"),
    Column("order_at", INSTANT, comment="updated_at of a delta's row; NULL: the as_of of its delivery"),
    Column("quarantined_at", INSTANT, nullable=False, comment="When it was held back"),
    Column("replayed_at", INSTANT, comment="When it was fed through again and accepted"),
)

quarantine_count = _table(
    "quarantine_count",
    "Rows of a delivery that break a rule: all of them, kept for good",
    Column("extract_id", BigInteger, ForeignKey("ops.extract.extract_id"), primary_key=True, comment="Delivery"),
    Column("rule", Text, primary_key=True, comment="Rule the rows break"),
    Column("row_count", BigInteger, nullable=False, comment="Most rows that broke it, when it was taken or replayed"),
    Column("held_count", BigInteger, nullable=False, comment="Rows that break it still, after replays"),
)

correction = _table(
    "correction",
    "Corrections of corrections.yaml that met rows of a delivery, when it was taken last",
    Column("extract_id", BigInteger, ForeignKey("ops.extract.extract_id"), primary_key=True, comment="Delivery"),
    Column("correction", Text, primary_key=True, comment="Which rows, and what is set in them"),
    Column("rows_corrected", BigInteger, nullable=False, comment="Rows that were corrected"),
    Column("rows_unexpected", BigInteger, nullable=False, comment="Rows that do not say what is expected: left alone"),
    Column("reason", Text, nullable=False, comment="Why it is corrected here"),
    Column("owner", Text, nullable=False, comment="Who answers for it"),
)

release = _table(
    "release",
    "Deliveries that somebody let pass in spite of a gate or of the limit to what may end",
    Column("extract_id", BigInteger, ForeignKey("ops.extract.extract_id"), primary_key=True, comment="Delivery"),
    Column("released_at", INSTANT, primary_key=True, comment="When"),
    Column("released_by", Text, nullable=False, comment="Who"),
    Column("reason", Text, nullable=False, comment="Why"),
    Column("overruled", Text, nullable=False, comment="What held it back"),
)

sighting = _table(
    "sighting",
    "Groups of keys last seen in the same delivery; a redelivery moves a group, not its rows",
    Column("sighting_id", Integer, Identity(), primary_key=True, comment="Id of the group"),
    Column("stream_id", Integer, ForeignKey("ops.stream.stream_id"), nullable=False, comment="Dataset and source"),
    Column("extract_id", BigInteger, ForeignKey("ops.extract.extract_id"), nullable=False, comment="That delivery"),
)

held_key = _table(
    "held_key",
    "Keys that a delivery held in quarantined rows only, of streams whose closed periods are adjusted: they were there",
    Column("extract_id", BigInteger, ForeignKey("ops.extract.extract_id"), primary_key=True, comment="That delivery"),
    Column("key_hash", BigInteger, primary_key=True, comment="Hash of source and natural key"),
)

current_key = _table(
    "current_key",
    "Newest version of every key (delta, snapshot, period); one partition per stream",
    Column("stream_id", Integer, primary_key=True, comment="Dataset and source"),
    Column("key_hash", BigInteger, primary_key=True, comment="Hash of source and natural key"),
    Column(
        "payload_hash", BigInteger, comment="Hash of the payload, finds it in the lake; NULL: only seen, never read"
    ),
    Column("row_date", Date, comment="Day that files the version in the lake"),
    Column("link_hash", BigInteger, comment="Document the row belongs to"),
    Column("version_sighting", Integer, comment="Delivery whose order the version has"),
    Column("version_at", INSTANT, comment="updated_at of a delta's version; NULL: the as_of of its delivery"),
    Column("seen_sighting", Integer, comment="Newest delivery that contained the key; NULL: the version's"),
    Column("seen_at", INSTANT, comment="updated_at of that sighting; NULL: the as_of of its delivery"),
    Column("is_deleted", Boolean, nullable=False, comment="The newest version says that the row is gone"),
    Index("current_key_row_date", "row_date", postgresql_using="brin", postgresql_with={"pages_per_range": 16}),
    Index("current_key_link_hash", "link_hash"),
    postgresql_partition_by="LIST (stream_id)",
)

coverage = _table(
    "coverage",
    "Newest delivery that claimed to be complete, per scope",
    Column("dataset", Text, primary_key=True, comment="Dataset"),
    Column("source", Text, primary_key=True, comment="Source"),
    Column("scope", Text, primary_key=True, comment="'' for the whole dataset, else the period"),
    Column("scope_from", Date, comment="First day covered; NULL: unbounded"),
    Column("scope_to", Date, comment="Last day covered; NULL: unbounded"),
    Column("coverage_order", INSTANT, nullable=False, comment="as_of of that delivery"),
    Column("extract_id", BigInteger, ForeignKey("ops.extract.extract_id"), nullable=False, comment="That delivery"),
)

code_span = _table(
    "code_span",
    "Codes that rows refer to, and the days between which they do; only ever widens",
    Column("stream_id", Integer, ForeignKey("ops.stream.stream_id"), primary_key=True, comment="Dataset and source"),
    Column("entity", Text, primary_key=True, comment="What the code names: item, site, …"),
    Column("code_space", Text, primary_key=True, comment="Whose code it is"),
    Column("code", Text, primary_key=True, comment="The code as delivered"),
    Column("first_date", Date, nullable=False, comment="First day a row refers to it"),
    Column("last_date", Date, nullable=False, comment="Last day a row refers to it"),
)

code_alias = _table(
    "code_alias",
    "Every conformation ever delivered; says which codes a change of master data may concern",
    Column("entity", Text, primary_key=True, comment="What the code names"),
    Column("code_space", Text, primary_key=True, comment="Whose code it is"),
    Column("code", Text, primary_key=True, comment="The code"),
    Column("master_code_space", Text, primary_key=True, comment="Whose code it stands for"),
    Column("master_code", Text, primary_key=True, comment="The code it stands for"),
)

stream_day = _table(
    "stream_day",
    "Days on which a stream has ever had rows",
    Column("stream_id", Integer, ForeignKey("ops.stream.stream_id"), primary_key=True, comment="Dataset and source"),
    Column("day", Date, primary_key=True, comment="The day"),
    Column("row_count", BigInteger, nullable=False, comment="Most rows one delivery brought for it; sizes chunks"),
)

link_day = _table(
    "link_day",
    "Days on which an append stream has rows of a document",
    # No foreign key: checking it row by row costs more than the rows, of which there are as many as the source has.
    Column("stream_id", Integer, primary_key=True, comment="Dataset and source"),
    Column("link_hash", BigInteger, primary_key=True, comment="The document"),
    Column("day", Date, primary_key=True, comment="The day"),
)

dirty_slice = _table(
    "dirty_slice",
    "Slices to be rebuilt: those whose generation is newer than the published slice's",
    Column("fact", Text, primary_key=True, comment="Fact or dimension"),
    Column("source", Text, primary_key=True, comment="Anchor source; '' for tables of several sources"),
    Column("day", Date, primary_key=True, comment="Day (or month's first day) of the anchor date"),
    Column("generation", BigInteger, nullable=False, comment="Rises with every change of an input"),
    Column(
        "whole_generation",
        BigInteger,
        nullable=False,
        comment="Generation of the last change that concerns every row; after it, those in dirty_row alone",
    ),
    Column("state", Text, nullable=False, server_default="pending", comment="pending, or blocked by a gate"),
    Column("reason", Text, comment="What dirtied it, or which gate blocks it"),
)

dirty_row = _table(
    "dirty_row",
    "Driving rows whose fact rows are to be built again, in slices that are not dirty as a whole; a bag",
    Column("fact", Text, nullable=False, comment="Fact"),
    Column("source", Text, nullable=False, comment="Anchor source"),
    Column("row_date", Date, nullable=False, comment="Day that filed or files the driving row"),
    Column("key_hash", BigInteger, comment="Hash of its source and natural key"),
    Column("link_hash", BigInteger, comment="Its document, where the ledger has no keys (append): all of its rows"),
)

slice_ = _table(
    "slice",
    "Published slices",
    Column("fact", Text, primary_key=True, comment="Fact or dimension"),
    Column("source", Text, primary_key=True, comment="Anchor source"),
    Column("day", Date, primary_key=True, comment="Day (or month's first day) of the anchor date"),
    Column("row_count", BigInteger, nullable=False, comment="Rows of the slice"),
    Column("checksum", BigInteger, nullable=False, comment="Wrapping sum of the rows' hashes"),
    Column("generation", BigInteger, nullable=False, comment="Generation that the build read"),
    Column("logic_version", Integer, nullable=False, comment="Logic that built it"),
    Column("published_at", INSTANT, nullable=False, comment="When it was published"),
)

gate_result = _table(
    "gate_result",
    "What every gate said",
    Column("run_id", Text, primary_key=True, comment="Run"),
    Column("gate", Text, primary_key=True, comment="Gate"),
    Column("subject", Text, primary_key=True, comment="Extract or slice judged, as it is shown"),
    Column("judged", Text, nullable=False, comment="Dataset of the extract, or fact of the slices"),
    Column("source", Text, nullable=False, comment="Source that delivered, or anchors the slices"),
    Column("day", Date, nullable=False, comment="as_of of the extract, or day of the (first) slice"),
    Column("until", Date, nullable=False, comment="Day of the last slice, where several are told of as one"),
    Column("extract_id", BigInteger, comment="Delivery; NULL for slices"),
    Column("severity", Text, nullable=False, comment="fail or warn"),
    Column("status", Text, nullable=False, comment="passed, warned or failed"),
    Column("value", DOUBLE_PRECISION, comment="What was measured, where that is a number"),
    Column("observed", Text, comment="What was found"),
    Column("expected", Text, comment="What was expected"),
    Column("checked_at", INSTANT, nullable=False, comment="When"),
)

extract_measure = _table(
    "extract_measure",
    "What deliveries measured; gates compare later ones with it",
    Column("extract_id", BigInteger, ForeignKey("ops.extract.extract_id"), primary_key=True, comment="Delivery"),
    Column("measure", Text, primary_key=True, comment="What was measured"),
    Column("part", Text, primary_key=True, comment="Of which column, site, item, value; '' for the whole delivery"),
    Column("value", DOUBLE_PRECISION, nullable=False, comment="How much it was"),
)

business_date = _table(
    "business_date",
    "Business dates that a night has closed, per site",
    Column("site", Text, primary_key=True, comment="Site; '' for the company"),
    Column("date", Date, primary_key=True, comment="Business date"),
    Column("closed_at", INSTANT, nullable=False, comment="When the night closed it"),
    Column("missing", JSONB, comment="Datasets that had not come by then"),
)

announcement = _table(
    "announcement",
    "News of which an event was sent to Prefect, so that each is sent once",
    Column("event", Text, primary_key=True, comment="Name of the event"),
    Column("subject", Text, primary_key=True, comment="What it was about"),
    Column("announced_at", INSTANT, nullable=False, comment="When it was sent"),
)

run = _table(
    "run",
    "Runs of flows",
    Column("run_id", Text, primary_key=True, comment="Id of the run"),
    Column("flow", Text, nullable=False, comment="Flow"),
    Column("started_at", INSTANT, nullable=False, comment="Start"),
    Column("ended_at", INSTANT, comment="End"),
    Column("state", Text, nullable=False, comment="running, ok, partial, failed or crashed"),
    Column("parameters", JSONB, comment="What it was asked for"),
)
