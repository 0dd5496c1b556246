"""The names under which models speak of the built-in fields and columns. Data only; `names` looks them up.

A name stands here in lower case with single blanks. What could mean two fields stands in a context only, because a
wrong field is worse than a missing one.
"""

from __future__ import annotations

_SUPPLIER = "supplier|vendor|seller|merchant|store|shop|business|company|retailer|issuer|service provider|provider"
_PAYER = "payer|customer|client|buyer|purchaser|bill to|billed to|billing|recipient|sold to|invoice to|invoiced to"

FIELDS: dict[str, str] = {
    "document_type": "document type|doc type|type of document|kind of document|document kind",
    "business_abn": "abn|a b n|abn no|abn number|australian business number|tax number|tax id|vat number|vat no|vat id|"
    "gst number|gst no|business number|tax registration number|p iva|partita iva|ust id|ust idnr|ust id nr|"
    "vat reg no|vat registration number|siret|nif",
    "supplier_name": "sold by|issued by|billed by|supplier business name|name of supplier|name of the supplier|"
    "supplier vendor|vendor supplier",
    "supplier_website": "website|web site|web address|website url|url|homepage|web",
    "payer_name": "billed to name|bill to name|attention|name of payer|payer customer|customer payer|charged to",
    "payer_address": "billing address",
    "invoice_number": "invoice no|invoice nr|invoice num|invoice id|inv no|inv number|tax invoice no|bill number|"
    "tax invoice number|receipt no|receipt number|receipt id|bill no|document number|document no|"
    "invoice receipt number|"
    "invoice number receipt number|docket number|docket no|number of invoice",
    "po_number": "po|po no|purchase order|purchase order number|purchase order no|p o number|p o no|customer po|"
    "order number|order no",
    "invoice_date": "date|issue date|date of issue|date issued|receipt date|date of invoice|tax invoice date|"
    "document date|issued|issued on|issue|purchase date|date of purchase|invoice receipt date|date of receipt|"
    "transaction date",
    "due_date": "due|payment due|payment due date|due by|pay by|date due|due on|payment due by|due date for payment",
    "currency": "currency code|currency of amounts",
    "line_items": "line item|items|item list|items purchased|purchased items|products|services|item details|"
    "products services|list of items|invoice lines|invoice items|order items|itemized list|goods|purchases|"
    "line items table",
    "subtotal_amount": "subtotal|sub total|sub total amount|net amount|net total|total excl gst|total excluding gst|"
    "total ex gst|total before tax|amount before tax|total before gst|subtotal excl gst|subtotal before tax|"
    "subtotal before gst|subtotal excluding gst|taxable amount|amount excluding gst|total exc gst|subtotal ex gst|"
    "zwischensumme|nettobetrag|imponibile|base imponible|total ht|sous total",
    "gst_amount": "gst|tax|tax amount|vat|vat amount|total gst|total tax|sales tax|gst total|gst tax|tax gst|gst vat|"
    "gst 10%|10% gst|vat gst|gst vat amount|amount of gst|mwst|tva|iva|btw",
    "is_gst_included": "gst included|gst inclusive|prices include gst|includes gst|tax included|tax inclusive|"
    "gst included in total|gst included in price|gst included in prices|price includes gst",
    "total_amount": "total|grand total|total due|total payable|total incl gst|total including gst|total inc gst|"
    "total amount due|invoice total|amount payable|final total|total to pay|total amount payable|"
    "total amount including gst|total amount incl gst|total amount inc gst|gesamtbetrag|total ttc|totale",
    "bank_name": "bank|name of bank|name of the bank|financial institution",
    "bsb_number": "bsb|bsb no|bsb code|branch number",
    "account_number": "account no|acct no|acct number|a c no|acc no|acc number|iban|bank account number|a c number",
    "account_holder": "account name|acc name|account holder name|account owner|name of account holder|holder|"
    "name of the account holder|account title|acct name",
    "statement_period": "period|period covered|date range|statement dates|statement date range",
    "opening_balance": "opening|starting balance|beginning balance|previous balance|balance brought forward|"
    "initial balance|start balance|balance at start|balance b f",
    "closing_balance": "closing|ending balance|end balance|final balance|new balance|balance at end|"
    "balance carried forward|balance c f",
    "transactions": "transaction list|transaction history|transaction details|account transactions|movements|"
    "account activity|list of transactions|entries|transactions table",
}
LESSER: dict[str, str] = {
    "total_amount": "amount due|balance due|total amount paid|total paid|total price|total cost|amount",
}
"""Names that count only where no better one of the field stands in the answer."""

_PHONE = "phone|telephone|tel|phone number|telephone number|mobile|contact number|ph|phone no|contact phone"
_WEB = "website|web|url|web site|web address"
_TAX = "abn|tax id|tax number|vat number|vat id|gst number|abn number|abn no|business number|australian business number"
CONTEXTS: dict[str, dict[str, str]] = {
    "supplier": {
        "supplier_name": "name|company name|business name|company|store name|trading name",
        "business_address": "address|street address|location",
        "business_abn": _TAX, "business_phone": _PHONE, "supplier_website": _WEB,
    },
    "payer": {
        "payer_name": "name|company name|business name|company|full name|contact name|attention",
        "payer_address": "address|street address|billing address|location",
        "payer_phone": _PHONE, "payer_email": "email|e mail|email address|e mail address", "": f"{_TAX}|{_WEB}",
    },
    "bank": {
        "bank_name": "name", "bsb_number": "bsb", "account_number": "account number|account",
        "account_holder": "holder|account name",
    },
    "account": {"account_holder": "name|holder|owner", "account_number": "number|no", "bsb_number": "bsb"},
    "invoice": {
        "invoice_number": "number|no|id", "invoice_date": "date|issue date", "document_type": "type", "due_date": "due",
        "po_number": "po",
    },
    "totals": {"total_amount": "amount", "subtotal_amount": "net"},
    "balance": {"opening_balance": "opening|start|beginning", "closing_balance": "closing|end|ending"},
    "other": {},
}  # fmt: skip
"""What a word means inside a part of an answer; under "" stands what is no field there."""

_DETAILS = "|details|information|info"
_OF = {
    "supplier": _SUPPLIER, "payer": f"{_PAYER}|payer customer|customer payer", "bank": "bank",
    "account": "account|bank account|account holder",
    "invoice": "invoice|receipt|document|tax invoice|statement", "balance": "balance|saldo|kontostand|solde|balances",
    "totals": "totals|amounts|summary|payment summary|total|financial|financials|charges",
    "other": "shipping|delivery|ship to|deliver to|payment|payment method|bank payment|card|other|additional|notes",
}  # fmt: skip
SECTIONS: dict[str, str] = {
    f"{word} {tail}".strip(): context
    for context, words in _OF.items()
    for word in words.split("|")
    for tail in _DETAILS.split("|")
}
"""Headings and keys of objects that open a part, and the context they open."""

PARTY_WORDS = frozenset(
    f"name|address|street address|location|number|no|email|e mail|type|id|company name|{_PHONE}".split("|")
) - {"company name"}
"""Words that mean nothing outside a context."""

COLUMNS: dict[str, dict[str, str]] = {
    "line_items": {
        "description": "description|item|items|particulars|product|name|details|service|item description|"
        "product name|item name|desc|article|goods|product service|product description|line item|"
        "service description|text|beschreibung|bezeichnung|artikel|leistung|position|désignation|article|libellé|"
        "omschrijving|descripción|descrizione|concepto",
        "quantity": "quantity|qty|menge|anzahl|stk|quantité|qté|aantal|cantidad|quantità|"
        "count|hours|hrs|pcs|units|quantities|qty hrs|hours qty",
        "unit_price": "unit price|price|einzelpreis|preis|e preis|prix unitaire|prix|pu|prijs|precio|"
        "prezzo|rate|price each|each|unit cost|cost|unit rate|price per unit|item price|"
        "price unit|unit amount|price excl gst|unit price excl gst",
        "total_price": "total price|total|gesamt|gesamtpreis|betrag|summe|montant|total ht|bedrag|importe|"
        "importo|totale|amount|line total|total amount|line amount|subtotal|extended price|ext price|ext|ext amount|"
        "extended|sub total|item total|line price|total cost|net amount|value",
    },
    "transactions": {
        "date": "date|datum|buchungstag|buchungsdatum|fecha|data|"
        "transaction date|trans date|posting date|posted|date posted",
        "description": "description|particulars|details|narration|narrative|transaction|transaction details|memo|"
        "transaction description|desc|payee|item|text|beschreibung|buchungstext|verwendungszweck|libellé|opération|"
        "omschrijving|concepto|descripción|descrizione",
        "debit": "debit|soll|belastung|lastschrift|débit|af|cargo|debe|addebito|dare|"
        "debits|withdrawal|withdrawals|money out|paid out|debit amount|dr|payments|out|"
        "withdrawal amount|"
        "withdrawn|amount out|payment",
        "credit": "credit|haben|gutschrift|crédit|bij|abono|haber|accredito|avere|"
        "credits|deposit|deposits|money in|paid in|credit amount|cr|receipts|in|deposit amount|"
        "deposited|amount in",
        "balance": "balance|running balance|account balance|closing balance|balance amount",
    },
}  # fmt: skip
_SUMS = (
    "total|subtotal|sub total|grand total|gst|tax|total amount|amount due|balance due|total due|vat|total incl gst|"
    "total inc gst|totals|gst amount|total gst|tax total|total tax|sales tax|vat amount|tax amount|gst included|"
    "includes gst|total includes gst|total including gst|total excl gst|total excluding gst|total ex gst|net total|"
    "invoice total|order total|total payable|amount payable|total to pay|final total|net amount|total price|"
    "subtotal excl gst|subtotal ex gst|column totals|total debits|total credits|closing totals|page total|"
    "gesamt|gesamtbetrag|gesamtsumme|summe|endbetrag|zwischensumme|netto|nettobetrag|brutto|bruttobetrag|mwst|ust|"
    "rechnungsbetrag|zu zahlen|total ht|total ttc|sous total|montant ht|montant ttc|tva|net à payer|totale|imponibile|"
    "iva|subtotaal|totaal|btw|base imponible"
)
SUM_ROWS = frozenset(_SUMS.split("|"))
"""What stands in the first cell of a row that is the sum of the others."""
_PAID = (
    "amount paid|total paid|paid|cash|change|change due|cash tendered|amount tendered|tendered|rounding|eftpos|visa|"
    "mastercard|eft|deposit paid|less deposit|less deposit paid|amount outstanding|balance outstanding|outstanding|"
    "you saved|total savings|payment|payment received|card payment|credit card|debit card|less payment|bar|rückgeld"
)
PAID_ROWS = frozenset(_PAID.split("|"))
"""What stands there below the sum: how it was paid. No item where the row has no quantity and no price."""
_BALANCES = (
    "opening balance|closing balance|starting balance|beginning balance|ending balance|previous balance|new balance|"
    "final balance|balance brought forward|balance carried forward|brought forward|carried forward|b f|c f|balance b f|"
    "balance c f|bal b f|bal c f|balance forward|opening bal|closing bal|anfangssaldo|endsaldo|alter saldo|neuer saldo|"
    "solde initial|solde final|ancien solde|nouveau solde|saldo inicial|saldo final|saldo iniziale|saldo finale|"
    "beginsaldo|eindsaldo|balance|total balance|statement opening balance|statement closing balance"
)
BALANCE_ROWS = frozenset(_BALANCES.split("|"))
"""What stands in a row of a statement that is a balance and no movement."""


def _party_names() -> dict[str, str]:
    found: dict[str, str] = {}
    for party, words in (("supplier", _SUPPLIER), ("payer", _PAYER)):
        for word in words.split("|"):
            for field, tails in CONTEXTS[party].items():
                found |= {f"{word} {tail}": field for tail in tails.split("|") if field}
            found[word] = "supplier_name" if party == "supplier" else "payer_name"
    return {name: field for name, field in found.items() if name not in ("billing", "provider")}


OTHER_NAMES: dict[str, str] = _party_names() | {n: f for f, names in FIELDS.items() for n in names.split("|")}
LESSER_NAMES: dict[str, str] = {name: field for field, names in LESSER.items() for name in names.split("|")}
