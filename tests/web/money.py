"""An owned asset and an exchange rate, as clients send them."""

from __future__ import annotations

ASSET = {
    "name": "Ours",
    "num_gpus": 8,
    "gpu_key": "H100-80GB-SXM",
    "currency": "USD",
    "price": "30000",
    "busy_kw": "0.7",
    "utilisation": "0.7",
}
RATE = {"base": "EUR", "quote": "USD", "rate": "1.0837", "rate_date": "2026-11-20", "source": "a bank"}
