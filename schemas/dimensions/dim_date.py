"""mart.dim_date. Grain: one day. Facts carry dates: join them on `date`."""

from schemas import columns as c
from schemas.contract import PublishedContract


class DimDate(PublishedContract):
    """Calendar days from the first to the last date of the facts."""

    date_key = c.durable_key("The day as yyyymmdd", "", key=True)
    date = c.date("The day")
    year = c.whole("Calendar year")
    quarter = c.whole("Calendar quarter, 1 to 4")
    month = c.whole("Month, 1 to 12")
    month_name = c.text("Name of the month in English")
    month_start = c.date("First day of the month")
    day_of_month = c.whole("Day of the month")
    iso_year = c.whole("Year of the ISO 8601 week")
    iso_week = c.whole("ISO 8601 week, 1 to 53")
    iso_weekday = c.whole("ISO 8601 weekday, 1 Monday to 7 Sunday")
    day_name = c.text("Name of the weekday in English")
    is_working_day = c.flag("Monday to Friday; public holidays are not known")
    fiscal_calendar_id = c.text("Fiscal calendar of the fiscal columns: the one that sorts first", null=True)
    fiscal_period_id = c.text("Fiscal period", null=True)
    fiscal_year = c.whole("Fiscal year", null=True)
    fiscal_quarter = c.whole("Fiscal quarter, 1 to 4", null=True)
