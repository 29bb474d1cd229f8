-- One row per order line: the table after FROM drives, and its rows are the ones that are counted.
select
    p."Bestellung" as po_id,
    p."Position" as line_no,
    k."Lieferant" as supplier_id,
    p."Material" as item_id,
    p."Werk" as site_id,
    p."Bestelldatum" as ordered_on,
    p."Wunschtermin" as requested_on,
    p."Zusage" as promised_on,
    p."Letzte Zusage" as committed_on,
    p."Menge" as ordered_qty,
    -- ST, KG, M, L. A unit that nobody knows is held back by the contract.
    p."ME" as uom,
    p."Preis" as unit_price,
    p."Währung" as currency,
    case p."Status"
        when 'O' then 'open'
        when 'E' then 'closed'
        when 'S' then 'cancelled'
    end as status,
    p."Geändert am" as updated_at,
    p."Löschkennzeichen" as is_deleted
from bestellposition as p
left join bestellkopf as k on p."Bestellung" = k."Bestellung"
-- Requests for quotation ('AN') come in the same files; they are no orders and count as excluded.
where k."Belegart" = 'NB'
