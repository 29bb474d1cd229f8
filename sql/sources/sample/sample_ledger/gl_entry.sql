select
    j."Journal" as journal_id,
    j."Line" as line_no,
    j."Posting Date" as posted_on,
    j."Account" as account_id,
    j."Cost Center" as cost_center_id,
    j."Site" as site_id,
    j."Debit" as debit,
    j."Credit" as credit,
    j."Currency" as currency,
    j."Closing" as is_closing,
    j."Reference" as reference
from journal as j
